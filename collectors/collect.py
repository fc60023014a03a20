"""`segue collect` as a function, and the section `collect` of a recipe: which sources fill which fields."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from collectors.engine.engine import Engine, Settings, Summary
from collectors.engine.hosts import rates_by_host, user_agent
from collectors.keys import Keys
from collectors.source import ID_FIELDS, Source, SourceParams
from toolkit import plugins
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.parameters import Parameters
from toolkit.progress import Reporter
from toolkit.validation import validated

GROUP = "segue.collectors"
CONTACT = "SEGUE_CONTACT"
Again = Literal["found", "absent", "ambiguous", "blocked", "failed"]

Plan = list[tuple[Source, list[str]]]
"""Sources, each with the fields to collect from it."""


class SourceSpec(Parameters):
    """One source, its fields and its parameters."""

    source: str
    fields: list[str] | None = Field(None, min_length=1, description="default: all that it gives")
    params: dict[str, object] = {}


class Collect(Parameters):
    """The section `collect` of a recipe."""

    library: str = Field("library", description="folder, relative to the current one, or the URL of a database")
    blobs: Path | None = Field(None, description="folder of covers and audio, where `library` is a URL")
    contact: str | None = Field(None, description=f"e-mail address or page for hosts to write to; default: {CONTACT}")
    patience_s: float = Field(
        300.0, gt=0, description="longest wait inside a run; what takes longer is left for the next one"
    )
    again: list[Again] = Field([], description="request again what ended with these statuses")
    sources: list[SourceSpec] = Field(min_length=1)

    @field_validator("sources", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Accept the name of a source instead of its mapping."""
        return (
            [{"source": spec} if isinstance(spec, str) else spec for spec in value]
            if isinstance(value, list)
            else value
        )


def parse(section: Mapping[str, object]) -> Collect:
    """The checked section. Raises `InputError` with the key and the rule."""
    return validated(Collect, section, "collect.")


def collect(params: Collect, library: Catalogue, *, reporter: Reporter, keys: Keys | None = None) -> list[Summary]:
    """Request from every source what the library does not have yet. Raises `InputError` as `prepare`."""
    plan, settings = prepare(params, keys)
    engine = Engine(library, plan, settings, reporter=reporter)
    if params.again:
        for source, fields in plan:
            engine.ledger.reopen(source.name, fields, params.again)
    return engine.run()


def prepare(params: Collect, keys: Keys | None = None) -> tuple[Plan, Settings]:
    """The plan and settings of a run, with every check that is possible before anything is read or written.

    Raises `InputError` for an unknown source, field or parameter, a rate above the host's, or a missing key or contact.
    """
    plan = build_sources(params.sources, keys or Keys())
    rates_by_host(source for source, _ in plan)
    contact = params.contact or os.environ.get(CONTACT, "")
    if not any(source.hosts for source, _ in plan):
        contact = contact or "files@localhost"
    elif not contact:
        raise InputError(f"a contact is missing, which hosts demand: export {CONTACT}=you@example.org, or `contact`")
    else:
        user_agent(contact)
    return plan, Settings(contact, params.patience_s)


def build_sources(specs: Sequence[SourceSpec], keys: Keys | None) -> Plan:
    """Make the sources, those that give ids first. keys: None for sources that will send no requests.

    Raises `InputError` as `prepare`.
    """
    plan = []
    for spec in specs:
        cls, fields, params = resolve(spec)
        secrets = None if keys is None else keys.of(cls.name, cls.keys, cls.optional_keys)
        plan.append((cls(params, keys=secrets), fields))
    names = [source.name for source, _ in plan]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"source {repeated} is named twice: give its fields in one place")
    return sorted(plan, key=lambda pair: not set(pair[1]) & set(ID_FIELDS))


def resolve(spec: SourceSpec) -> tuple[type[Source], list[str], SourceParams]:
    """A source's class, fields and checked parameters.

    Raises `InputError` for an unknown source, field or parameter.
    """
    cls: type[Source] = plugins.load(GROUP, spec.source)
    fields = list(dict.fromkeys(spec.fields or (name for name in cls.fields if name not in cls.by_choice)))
    for name in fields:
        if name not in cls.fields:
            raise InputError(f"{spec.source} does not give {name!r}: {plugins.suggest(name, list(cls.fields))}")
    return cls, fields, validated(cls.Params, spec.params, f"{cls.name}: ")


def summary_line(summary: Summary) -> str:
    """One line about a source's part of a run."""
    counts = ", ".join(f"{n:,} {status}" for status, n in summary.counts.items()) or "nothing new"
    left = f", {summary.left:,} left" if summary.left else ""
    reason = f" ({summary.stopped})" if summary.stopped else ""
    return f"{summary.source}: {counts}{left}{reason}"

"""Function behind `segue collect`, and recipe section `collect` with sources and fields."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from collectors.engine.engine import Engine, Settings, Summary
from collectors.engine.hosts import rates_by_host, user_agent
from collectors.engine.servers import check_keys, checked, contacted
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
    """Source with fields and parameters."""

    source: str
    fields: list[str] | None = Field(None, min_length=1, description="default: all that it gives")
    params: dict[str, object] = {}


class Collect(Parameters):
    """Recipe section `collect`."""

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
        """Accept the name of a source instead of a mapping."""
        return (
            [{"source": spec} if isinstance(spec, str) else spec for spec in value]
            if isinstance(value, list)
            else value
        )


def parse(section: Mapping[str, object]) -> Collect:
    """Return the validated section, or raise `InputError` with the key and the rule."""
    return validated(Collect, section, "collect.")


def collect(params: Collect, library: Catalogue, *, reporter: Reporter, keys: Keys | None = None) -> list[Summary]:
    """Request all missing fields from every source. Raises `InputError` like `prepare`."""
    plan, settings = prepare(params, keys)
    if hosts := contacted(source for source, _ in plan):
        reporter.note(f"requests go to {hosts}")
    engine = Engine(library, plan, settings, reporter=reporter)
    if params.again:
        for source, fields in plan:
            engine.ledger.reopen(source.name, fields, params.again)
    return engine.run()


def prepare(params: Collect, keys: Keys | None = None) -> tuple[Plan, Settings]:
    """Return plan and settings of a run, after all checks that are possible before data is read.

    Raises `InputError` for an unknown source, field or parameter, a rate above the host's, or a missing key or contact.
    """
    plan = build_sources(params.sources, keys or Keys())
    rates_by_host(source for source, _ in plan)
    contact = params.contact or os.environ.get(CONTACT, "")
    if not any(source.hosts for source, _ in plan):
        contact = contact or "files@localhost"
    elif not contact:
        raise InputError(
            f"hosts require a contact: export {CONTACT}=you@example.org or set `contact` in the section `collect`"
        )
    else:
        user_agent(contact)
    return plan, Settings(contact, params.patience_s)


def build_sources(specs: Sequence[SourceSpec], keys: Keys | None) -> Plan:
    """Create the sources, starting with sources that provide ids. `keys` is None for a forecast without requests.

    Raises `InputError` like `prepare`.
    """
    plan = []
    for spec in specs:
        cls, fields, params = resolve(spec)
        secrets = None if keys is None else keys.of(cls.name, cls.keys, cls.optional_keys)
        check_keys(cls.name, cls.hosts, params, secrets or {})
        plan.append((cls(params, keys=secrets), fields))
    names = [source.name for source, _ in plan]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"source {repeated!r} must be listed only once: list all fields of {repeated!r} in one entry")
    return sorted(plan, key=lambda pair: not set(pair[1]) & set(ID_FIELDS))


def resolve(spec: SourceSpec) -> tuple[type[Source], list[str], SourceParams]:
    """Return the class, fields and validated parameters of a source.

    Raises `InputError` for an unknown source, field or parameter.
    """
    cls: type[Source] = plugins.load(GROUP, spec.source)
    fields = list(dict.fromkeys(spec.fields or (name for name in cls.fields if name not in cls.by_choice)))
    for name in fields:
        if name not in cls.fields:
            raise InputError(f"source {spec.source!r} has no field {name!r}: {plugins.suggest(name, list(cls.fields))}")
    params = validated(cls.Params, spec.params, f"{cls.name}: ")
    for host in cls.hosts:
        checked(getattr(params, host.url), f"{cls.name}: {host.url}")
    return cls, fields, params


def summary_line(summary: Summary) -> str:
    """Return a one-line summary for a source."""
    counts = ", ".join(f"{n:,} {status}" for status, n in summary.counts.items()) or "nothing new"
    left = f", {summary.left:,} left" if summary.left else ""
    reason = f" ({summary.stopped})" if summary.stopped else ""
    return f"{summary.source}: {counts}{left}{reason}"

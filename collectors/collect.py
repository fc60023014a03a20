"""Collecting as the command line and a recipe ask for it: which sources, for which fields, into which library."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from collectors.collect_section import CONTACT, Collect, SourceSpec
from collectors.engine import rates
from collectors.engine.engine import Engine, Settings, Summary
from collectors.engine.hosts import user_agent
from collectors.keys import Keys
from collectors.source import ID_FIELDS, Source
from toolkit import plugins
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.progress import Reporter
from toolkit.validation import validated

GROUP = "segue.collectors"


def collect(params: Collect, library: Catalogue, *, reporter: Reporter, keys: Keys | None = None) -> list[Summary]:
    """Ask every source for what the library lacks. Raises `InputError` as `ready`."""
    plan, settings = ready(params, keys)
    engine = Engine(library, plan, settings, reporter=reporter)
    if params.again:
        for source, fields in plan:
            engine.ledger.reopen(source.name, fields, params.again)
    return engine.run()


def ready(params: Collect, keys: Keys | None = None) -> tuple[list[tuple[Source, list[str]]], Settings]:
    """Sources with their fields, and settings: what can be checked before anything is read or made.

    Raises `InputError` for an unknown source, field or parameter, a rate that a host does not allow, or a missing key or contact.
    """
    plan = sources(params.sources, keys or Keys())
    rates.rates(source for source, _ in plan)
    return plan, Settings(_contact(params, plan), params.patience_s)


def sources(specs: Sequence[SourceSpec], keys: Keys | None) -> list[tuple[Source, list[str]]]:
    """Sources, those that find ids first; without keys none of them can be asked that needs one. Raises `InputError`."""
    made = [_source(spec, keys) for spec in specs]
    names = [source.name for source, _ in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"source {twice} is named twice: give its fields in one place")
    return sorted(made, key=lambda pair: not set(pair[1]) & set(ID_FIELDS))


def parameters(cls: type[Source], given: Mapping[str, Any]) -> Any:
    """A source's parameters, checked. Raises `InputError` naming the key and the nearest there is."""
    return validated(cls.Params, given, f"{cls.name}: ")


def checked(spec: SourceSpec) -> tuple[type[Source], list[str], Any]:
    """A source's class, the fields it is asked for, and its parameters. Raises `InputError`."""
    cls: type[Source] = plugins.load(GROUP, spec.source)
    fields = list(dict.fromkeys(spec.fields or (name for name in cls.fields if name not in cls.by_choice)))
    for name in fields:
        if name not in cls.fields:
            raise InputError(f"{spec.source} does not give {name!r}: {plugins.suggest(name, list(cls.fields))}")
    return cls, fields, parameters(cls, spec.params)


def told(summary: Summary) -> str:
    """A line about what came of a source."""
    counts = ", ".join(f"{n:,} {status}" for status, n in summary.counts.items()) or "nothing new"
    left = f", {summary.left:,} left" if summary.left else ""
    why = f" ({summary.stopped})" if summary.stopped else ""
    return f"{summary.source}: {counts}{left}{why}"


def _source(spec: SourceSpec, keys: Keys | None) -> tuple[Source, list[str]]:
    cls, fields, params = checked(spec)
    return cls(params, keys=None if keys is None else keys.of(cls.name, cls.keys, cls.optional_keys)), fields


def _contact(params: Collect, plan: Sequence[tuple[Source, Sequence[str]]]) -> str:
    contact = params.contact or os.environ.get(CONTACT, "")
    if not any(source.hosts for source, _ in plan):
        return contact or "files@localhost"
    if not contact:
        raise InputError(
            f"a contact is missing: hosts want to know whom to write to: export {CONTACT}=you@example.org, or `contact`"
        )
    user_agent(contact)
    return contact

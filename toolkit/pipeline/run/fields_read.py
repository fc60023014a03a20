"""The fields of the catalogue that a recipe reads, the keys that name them, and the fields that the data has."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice

from toolkit import ranker_registry
from toolkit.catalogue.field_lookup import ID
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.track_columns import NAMES
from toolkit.catalogue.records import TrackRecord
from toolkit.catalogue.templates import Template, is_template
from toolkit.errors import InputError, Where
from toolkit.ingest.label_matrices import FIELDS
from toolkit.recipe import EncoderSpec, Recipe
from toolkit.recipe.baseline_section import as_baseline

SAMPLE = 1000
"""Records that are read if a reader does not declare its fields."""


@dataclass(frozen=True)
class FieldRead:
    """A field that a recipe reads. where, written: the key that names it, and its value.

    any_of: one of these is enough.
    """

    where: Where
    written: str
    any_of: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """Fields that tracks may have.

    whole: whether there are no others; otherwise records after the first `SAMPLE` may.
    """

    names: set[str]
    whole: bool


def fields_read(recipe: Recipe) -> Iterator[FieldRead]:
    """Every field of the catalogue that the recipe names, and the labels that its rankers cannot be fitted without."""
    for name, spec in used_encoders(recipe).items():
        for part in _parts(spec.field):
            yield FieldRead(("encoders", name, "field"), spec.field, (part,))
        if spec.targets is not None and spec.targets.field is not None:
            yield _named(("encoders", name, "targets", "field"), spec.targets.field)
    if (held_out := recipe.evaluation.split.reads_field) is not None:
        yield _named(("evaluation", "split", "field"), held_out)
    if recipe.coldstart.tags is not None:
        yield _named(("coldstart", "tags", "field"), recipe.coldstart.tags.field)
    if recipe.coldstart.factor_map is not None and recipe.coldstart.factor_map.genre is not None:
        yield _named(("coldstart", "factor_map", "genre"), recipe.coldstart.factor_map.genre)
    systems: list[tuple[Where, str]] = [
        (("coldstart", "systems", i), spec.system) for i, spec in enumerate(recipe.coldstart.systems)
    ]
    systems += [(("baselines", i), as_baseline(baseline).name) for i, baseline in enumerate(recipe.baselines)]
    for where, system in systems:
        able = ranker_registry.ranker_class(system).capabilities
        for kind in able.labels if able.labels_required else ():
            yield FieldRead(where, system, FIELDS[kind])


def used_encoders(recipe: Recipe) -> dict[str, EncoderSpec]:
    """The encoders of the recipe that one of its systems, or a page of its report, reads."""
    every = list(recipe.encoders)
    used = {name for model in recipe.models for name in model.inputs(recipe.fusion, recipe.encoders)}
    for system in recipe.coldstart.systems:
        if ranker_registry.ranker_class(system.system).capabilities.content != "none":
            used |= {*(every if system.modalities is None else system.modalities)}
    if any(
        ranker_registry.ranker_class(as_baseline(each).name).capabilities.content != "none" for each in recipe.baselines
    ):
        used |= {*(recipe.fusion.modalities or every)}
    if recipe.coldstart.tags is not None:
        used |= {row.vectors for row in recipe.coldstart.tags.rows}
    if recipe.coldstart.factor_map is not None:
        used.add(recipe.coldstart.factor_map.predicted)
    return {name: spec for name, spec in recipe.encoders.items() if name in used}


def offered(reader: Reader) -> Offer:
    """The fields of a reader's tracks: those it declares, or those of its first records.

    Raises `DataError` for a bad record.
    """
    declared = reader.fields_offered()
    if declared is not None:
        return Offer(_completed(declared), whole=True)
    records = list(islice(reader.read(), SAMPLE))
    names = {name for record in records if isinstance(record, TrackRecord) for name in _fields_of(record)}
    return Offer(_completed(names), whole=len(records) < SAMPLE)


def _completed(names: Set[str]) -> set[str]:
    """The fields and those that the catalogue adds: each track's id, and ids of artists and albums with names alone."""
    return {ID, *names} | {f"{name}_id" for name in ("artist", "album") if name in names}


def _parts(field: str) -> list[str]:
    """The fields of a template, or the field itself; empty for a malformed template, which is reported elsewhere."""
    try:
        return Template(field).parts if is_template(field) else [field]
    except InputError:
        return []


def _named(where: Where, name: str) -> FieldRead:
    return FieldRead(where, name, (name,))


def _fields_of(record: TrackRecord) -> Iterator[str]:
    values = (record.title, record.artists, record.artist_ids, record.album, record.album_id, record.duration_s)
    yield from record.fields
    yield from (name for name, value in zip(NAMES, values, strict=True) if value not in (None, ()))

"""Catalogue fields that a recipe reads, with their recipe keys, and the fields in the data."""

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
from toolkit.recipe import EncoderSpec, Recipe, as_baseline, cross_checks

SAMPLE = 1000
"""Records that are read if a reader does not declare its fields."""


@dataclass(frozen=True)
class FieldRead:
    """Field that a recipe reads.

    - where, written: key path and value in the recipe.
    - any_of: fields of which one is sufficient.
    """

    where: Where
    written: str
    any_of: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """Fields that tracks may have.

    - whole: whether the list is complete; otherwise records after the first `SAMPLE` may have more fields.
    """

    names: set[str]
    whole: bool


def fields_read(recipe: Recipe) -> Iterator[FieldRead]:
    """Yield each catalogue field that the recipe names, and the labels that its rankers require."""
    for name in recipe.data.filters.require:
        yield FieldRead(("data", "filters", "require", name), name, (name,))
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
    for where, ranker in cross_checks.rankers(recipe):
        able = ranker_registry.ranker_class(ranker).capabilities
        for kind in able.labels if able.labels_required else ():
            yield FieldRead(where, ranker, FIELDS[kind])


def used_encoders(recipe: Recipe) -> dict[str, EncoderSpec]:
    """Return the encoders that at least one system or report section reads."""
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
    """Return the track fields that a reader declares, or the fields in its first records.

    Raises `DataError` for an invalid record.
    """
    declared = reader.fields_offered()
    if declared is not None:
        return Offer(_completed(declared), whole=True)
    records = list(islice(reader.read(), SAMPLE))
    names = {name for record in records if isinstance(record, TrackRecord) for name in _fields_of(record)}
    return Offer(_completed(names), whole=len(records) < SAMPLE)


def _completed(names: Set[str]) -> set[str]:
    """Return the fields, with the catalogue's additions: track ids, and artist and album ids from names."""
    return {ID, *names} | {f"{name}_id" for name in ("artist", "album") if name in names}


def _parts(field: str) -> list[str]:
    """Return the fields in a template, or the field itself. The result is empty for a malformed template."""
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

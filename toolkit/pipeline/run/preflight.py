"""Checks that find problems in a recipe before its data are read completely, encoded or fitted.

    from toolkit.pipeline.run import preflight

    for line in preflight.problems(recipe): print(line)

A recipe that passes its own checks may still name a missing file, a column that the file does not have, a field that no
track has, or parts with missing packages or weights. No data are downloaded, and torch is imported only to detect a
GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit import devices, plugins, ranker_registry
from toolkit.catalogue.templates import Template, is_template
from toolkit.encoders.contract import registry
from toolkit.errors import InputError, MissingWeights, RecipeError, Where
from toolkit.files import in_utf8
from toolkit.ingest.read_data import open_reader
from toolkit.packages import IMPLICIT, OPTUNA, RAY, REPORT_SKLEARN, UMAP, Package
from toolkit.parameters import nearest
from toolkit.parts import Part
from toolkit.pipeline.run import collect_stage
from toolkit.pipeline.run.fields_read import SAMPLE, FieldRead, Offer, fields_read, offered, used_encoders
from toolkit.recipe import EncoderSpec, Fusion, Recipe, cross_checks

if TYPE_CHECKING:
    from toolkit.recipe.yaml_file import RecipeFile


@dataclass(frozen=True)
class Finding:
    """Problem that stops a run.

    - where, rule: as in `RecipeError`.
    - certain: whether the problem stops the run in all cases.
    """

    where: Where
    rule: str
    certain: bool = True

    @property
    def line(self) -> str:
        """The dotted key and the rule."""
        return f"{'.'.join(map(str, self.where))}{self.rule}"


def problems(recipe: Recipe) -> list[str]:
    """Return the problems that would stop a run, one line each with key, value, rule and cure."""
    return [finding.line for finding in findings(recipe) if finding.certain]


def admit(recipe: Recipe, written: RecipeFile | None = None) -> None:
    """Raise `RecipeError` for the first problem that would stop a run, among the checks that take no time.

    - written: the recipe file, whose lines are named in messages.

    Parameters are checked against their plug-ins. Records are not read, and missing weights may still be downloaded.
    """
    try:
        cross_checks.check_parameters(recipe)
        faults = [*_packages(recipe), *_devices(recipe), *_data(recipe, quick=True), *_templates(recipe)]
        if faults:
            more = f" (and {len(faults) - 1} more: `segue validate` lists them)" if len(faults) > 1 else ""
            raise RecipeError(f"{faults[0].rule}{more}", faults[0].where)
    except RecipeError as error:
        raise (error if written is None else written.placed(error)) from None


def findings(recipe: Recipe) -> Iterator[Finding]:
    """Yield all findings, in the order of the stages."""
    yield from _packages(recipe)
    yield from _devices(recipe)
    yield from _data(recipe)
    yield from _templates(recipe)
    yield from _weights(recipe)


def _packages(recipe: Recipe) -> Iterator[Finding]:
    """Yield a finding for each install command, with its missing packages, at the first part that requires them."""
    users: dict[Package, list[tuple[Where, object]]] = {}
    for where, value, packages in _requirements(recipe):
        for package in packages:
            users.setdefault(package, []).append((where, value))
    missing: dict[tuple[Where, str], list[Package]] = {}
    for package, parts in users.items():
        if fault := package.fault:
            missing.setdefault((parts[0][0], fault), []).append(package)
    for (where, fault), found in missing.items():
        value, more = users[found[0]][0][1], max(len(users[package]) for package in found) - 1
        others = "" if not more else " (so does 1 other)" if more == 1 else f" (so do {more} others)"
        names = " and ".join(", ".join(package.module for package in found).rsplit(", ", 1))
        rule = fault if len(found) == 1 else fault.replace("is", "are", 1)
        yield Finding(where, f"={value!r} needs {names}{others}, which {rule}")


def _requirements(recipe: Recipe) -> Iterator[tuple[Where, object, tuple[Package, ...]]]:
    """Yield the key path, name and required packages of each part."""
    for where, spec in _encoders(recipe):
        yield (*where, "encoder"), spec.encoder, plugins.load("segue.encoders", spec.encoder).requires
        if spec.targets is not None and spec.targets.factors is not None:
            yield (*where, "targets", "factors"), spec.targets.factors, (IMPLICIT,)
    for where, part in _parts(recipe):
        yield where, part.type, part.requires
    for name in recipe.evaluation.metrics:
        yield ("evaluation", "metrics"), name, plugins.load("segue.metrics", name).requires
    for where, ranker in cross_checks.rankers(recipe):
        yield where, ranker, ranker_registry.ranker_class(ranker).requires
    if recipe.coldstart.factor_map is not None:
        yield (
            ("coldstart", "factor_map", "predicted"),
            recipe.coldstart.factor_map.predicted,
            (IMPLICIT, REPORT_SKLEARN),
        )
    if recipe.engine == "ray" and recipe.encoders:
        yield ("engine",), recipe.engine, (RAY,)
    if recipe.report.map_by == "umap":
        yield ("report", "map_by"), recipe.report.map_by, (UMAP,)
    if recipe.sweep is not None and recipe.sweep.search == "optuna":
        yield ("sweep", "search"), recipe.sweep.search, (OPTUNA,)


def _encoders(recipe: Recipe) -> Iterator[tuple[Where, EncoderSpec]]:
    yield from ((("encoders", name), spec) for name, spec in used_encoders(recipe).items())
    if recipe.titles is not None and any(model.titles for model in recipe.models):
        yield ("titles",), recipe.titles


def _parts(recipe: Recipe) -> Iterator[tuple[Where, Part]]:
    """Yield the parts of the recipe that are objects, with their key paths."""
    for place, model in enumerate(recipe.models):
        yield ("models", place, "type"), model
        yield ("models", place, "loss"), model.loss
        if model.fusion is not None:
            yield from _of_fusion(("models", place, "fusion"), model.fusion)
    if recipe.models:
        yield from _of_fusion(("fusion",), recipe.fusion)
    yield ("evaluation", "split"), recipe.evaluation.split


def _of_fusion(where: Where, fusion: Fusion) -> Iterator[tuple[Where, Part]]:
    yield (*where, "join"), fusion.join
    yield (*where, "missing"), fusion.missing


def _devices(recipe: Recipe) -> Iterator[Finding]:
    if recipe.device == "auto":
        return  # there is always one, so torch need not be imported
    try:
        devices.device(recipe.device)
    except InputError as error:
        yield Finding(("device",), str(error).removeprefix("device"))


def _templates(recipe: Recipe) -> Iterator[Finding]:
    """Yield findings for malformed field templates."""
    for name, spec in used_encoders(recipe).items():
        try:
            if is_template(spec.field):
                Template(spec.field)
        except InputError as error:
            yield Finding(("encoders", name, "field"), f": {error}")


def _weights(recipe: Recipe) -> Iterator[Finding]:
    """Yield findings for missing files that encoders require besides their inputs."""
    for where, spec in _encoders(recipe):
        if any(package.fault for package in plugins.load("segue.encoders", spec.encoder).requires):
            continue  # only its packages know where its weights are
        try:
            registry.create(spec.encoder, spec.params, device="cpu").check_files()
        except MissingWeights as error:
            key = (*where, "params", error.parameter)
            text = str(error)
            rule = text.removeprefix(error.parameter) if text.startswith(f"{error.parameter}=") else f": {text}"
            yield Finding(key, rule, certain=recipe.on_missing_weights == "stop")
        except InputError as error:
            yield Finding(where, f": {error}")


def _data(recipe: Recipe, *, quick: bool = False) -> Iterator[Finding]:
    """Yield findings from the first records of the data, then findings for missing fields.

    - quick: whether to skip reading records.
    """
    if (fault := _path(recipe)) is not None:
        yield fault
        return
    try:
        reader = open_reader(recipe.data)
    except InputError as error:
        yield Finding(("data",), f": {error}")
        return
    if missing := [package for package in reader.requires if package.fault]:
        yield from (
            Finding(("data", "reader"), f"={reader.name!r} needs {each.module}, which {each.fault}") for each in missing
        )
        return
    try:
        reader.check_source()
        if quick and reader.fields_offered() is None:
            return
        reads = list(fields_read(recipe))
        offer = offered(reader) if reads else Offer(set(), whole=True)
    except InputError as error:
        yield Finding(("data", "options") if recipe.data.options else ("data",), f": {error}")
        return
    try:
        collected = collect_stage.fields(recipe)
    except InputError as error:
        yield Finding(("collect",), f": {error}")
        return
    if collected is not None:  # the fields of a library on a server are not known here
        yield from _fields(reads, Offer(offer.names | collected, offer.whole))


def _path(recipe: Recipe) -> Finding | None:
    """Return a finding for a `data.path` that is missing or not readable, or None."""
    path, where = recipe.data.path, ("data", "path")
    if path is None:
        return None
    try:
        in_utf8(path)
    except InputError as error:
        return Finding(where, f": {error}")
    if not path.exists():
        return Finding(where, f": {path} does not exist: correct the path, or put the data there")
    if not os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK):
        return Finding(
            where, f": {path} cannot be read (permission denied): change its permissions, or set a different path"
        )
    return None


def _fields(reads: Sequence[FieldRead], offer: Offer) -> Iterator[Finding]:
    """Yield findings for fields that neither the data nor the section `collect` has."""
    for read in reads:
        if offer.names.isdisjoint(read.any_of):
            named, near = " or ".join(read.any_of), nearest(read.any_of[0], sorted(offer.names))
            what = "is a field" if read.written in read.any_of else f"reads {named}, a field"
            if offer.whole:
                yield Finding(read.where, f"={read.written!r} {what} that no track has: {near}")
            else:
                rule = (
                    f"that none of the first {SAMPLE:,} records has: correct it, unless a later track has it ({near})"
                )
                yield Finding(read.where, f"={read.written!r} {what} {rule}", certain=False)

"""What a recipe's parts must say of each other, and of the plug-ins they name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from toolkit import plugins
from toolkit.errors import RecipeError
from toolkit.recipe import idle
from toolkit.recipe.errors import Where, explain, nearest
from toolkit.recipe.evaluation import ALL, WHOLE_LISTS
from toolkit.recipe.file import RecipeFile, laid
from toolkit.recipe.fusion import Fusion
from toolkit.recipe.model import ModelSpec
from toolkit.recipe.recipe import BaselineSpec, Recipe

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Systems and modalities name folders and files."""

SWEPT = ("models", "fusion", "encoders", "titles", "coldstart", "baselines")
"""Sections whose values a sweep may try: the others say what is asked, so that trials could not be compared."""

FALLING = ("clicks", "rmse")
"""Metrics that are lower for better rankings."""


def check(file: RecipeFile, recipe: Recipe) -> None:
    """Check what can be told without importing a plug-in. Raises `RecipeError`."""
    _run(file, recipe)
    _data(file, recipe)
    _encoders(file, recipe)
    _modalities(file, recipe)
    _evaluation(file, recipe)
    _models(file, recipe)
    _systems(file, recipe)
    _sweep(file, recipe)


def check_parameters(file: RecipeFile, recipe: Recipe) -> None:
    """Check options and parameters against the plug-ins they go to, which are imported for it."""
    if recipe.data.reader != "auto":
        _parameters(file, ("data", "options"), recipe.data.options, plugins.load("segue.readers", recipe.data.reader).Params)
    if recipe.collect is not None:
        stage = plugins.load("segue.stages", "collect")
        _parameters(file, ("collect",), recipe.collect, stage.Params)
        stage.check(stage.Params.model_validate(recipe.collect))
    _encoder_parameters(file, recipe)
    _ranker_parameters(file, recipe)


def as_baseline(baseline: str | BaselineSpec) -> BaselineSpec:
    """A bare name is a baseline with default parameters."""
    return BaselineSpec(name=baseline) if isinstance(baseline, str) else baseline


def _encoder_parameters(file: RecipeFile, recipe: Recipe) -> None:
    for name, spec in recipe.encoders.items():
        encoder = plugins.load("segue.encoders", spec.encoder)
        _parameters(file, ("encoders", name, "params"), spec.params, encoder.Params)
        if getattr(encoder, "supervised", False) and spec.targets is None:
            cure = "give it `targets: {field: genre}`, another field with labels, or `targets: {factors: 200}`"
            raise file.error(("encoders", name, "targets"), f" is missing: {spec.encoder} learns to predict labels or factors: {cure}")
        if spec.targets is not None and not getattr(encoder, "supervised", False):
            raise file.error(
                ("encoders", name, "targets"),
                f" is for encoders that learn to predict labels or factors, {spec.encoder} does not: take it out",
            )
    if recipe.titles is not None:
        encoder = plugins.load("segue.encoders", recipe.titles.encoder)
        _parameters(file, ("titles", "params"), recipe.titles.params, encoder.Params)
        if recipe.titles.targets is not None:
            raise file.error(("titles", "targets"), " is for encoders of tracks: a title has no labels")
        if encoder.kind != "text":
            raise file.error(("titles", "encoder"), f"={recipe.titles.encoder!r} reads {encoder.kind}, titles are text")


def _ranker_parameters(file: RecipeFile, recipe: Recipe) -> None:
    for index, system in enumerate(recipe.coldstart.systems):
        ranker, where = plugins.load("segue.rankers", system.system), ("coldstart", "systems", index)
        _parameters(file, (*where, "params"), system.params, ranker.Params)
        needs = getattr(ranker, "needs_modalities", False)
        if needs and not (system.modalities or recipe.encoders):
            raise file.error(where, f": {system.system} ranks by content: name encoders in the recipe, or leave it out")
        if system.modalities and not needs:
            raise file.error((*where, "modalities"), f"={system.modalities} are not read: {system.system} sees no content: take them out")
    for index, baseline in enumerate(map(as_baseline, recipe.baselines)):
        ranker = plugins.load("segue.rankers", baseline.name)
        _parameters(file, ("baselines", index, "params"), baseline.params, ranker.Params)
        if why := unfit(baseline.name, recipe):
            raise file.error(("baselines", index), f"={baseline.name!r} {why}")


def unfit(baseline: str, recipe: Recipe) -> str:
    """Why `recipe` has nothing for a baseline to rank by, and the cure; empty where it has. What only the data tells is not asked."""
    ranker, protocol = plugins.load("segue.rankers", baseline), recipe.evaluation.protocol
    if getattr(ranker, "needs_modalities", False) and not recipe.encoders:
        return "ranks by content: name encoders in the recipe, or leave it out"
    if getattr(ranker, "needs_trained_playlists", False) and protocol in WHOLE_LISTS:
        why = f"has a vector for each training playlist, and {protocol} asks about others"
        return f"{why}: name {baseline}-global, or set protocol: leave_last_out"
    return ""


def _parameters(file: RecipeFile, where: Where, given: dict[str, Any], model: type[BaseModel]) -> None:
    try:
        model.model_validate(given)
    except ValidationError as error:
        inside, message = explain(error, given, model)
        raise file.error((*where, *inside), message) from None


def _plugin(file: RecipeFile, where: Where, group: str, name: str) -> None:
    if name not in plugins.names(group):
        if ":" in name:
            plugins.load(group, name)
            return
        kind = plugins.article(plugins.kind_of(group))
        raise file.error(where, f"={name!r} is not {kind}: {nearest(name, plugins.names(group))}")


def _run(file: RecipeFile, recipe: Recipe) -> None:
    """The name becomes a folder in runs/, beside the cache, and must not lead out of it."""
    if not recipe.name.isprintable() or not recipe.name.strip() or recipe.name.startswith(".") or set(recipe.name) & set("/\\"):
        raise file.error(("name",), f"={recipe.name!r} must be one line without '/' and without a '.' in front: it names the run's folder")


def _data(file: RecipeFile, recipe: Recipe) -> None:
    if recipe.data.reader != "auto":
        _plugin(file, ("data", "reader"), "segue.readers", recipe.data.reader)
    if recipe.data.path is None and (recipe.data.reader == "auto" or plugins.load("segue.readers", recipe.data.reader).needs_path):
        raise file.error(("data", "path"), f" is missing: reader {recipe.data.reader!r} reads a file or folder")


def _encoders(file: RecipeFile, recipe: Recipe) -> None:
    for name, spec in recipe.encoders.items():
        _named(file, ("encoders", name), name)
        _plugin(file, ("encoders", name, "encoder"), "segue.encoders", spec.encoder)
    if recipe.titles is not None:
        _plugin(file, ("titles", "encoder"), "segue.encoders", recipe.titles.encoder)


def _modalities(file: RecipeFile, recipe: Recipe) -> None:
    known = list(recipe.encoders)
    _fusion(file, ("fusion",), recipe.fusion, known)
    for index, model in enumerate(recipe.models):
        _subset(file, ("models", index, "modalities"), model.modalities, known)
        if model.fusion is not None:
            _fusion(file, ("models", index, "fusion"), model.fusion, known)

    for index, system in enumerate(recipe.coldstart.systems):
        _subset(file, ("coldstart", "systems", index, "modalities"), system.modalities, known)
    if recipe.coldstart.looking is not None:
        _subset(file, ("coldstart", "looking", "predicted"), [recipe.coldstart.looking.predicted], known)
    vectors = ["factors", *known, *(system.system_name for system in recipe.coldstart.systems)]
    for index, row in enumerate(recipe.coldstart.tags.rows if recipe.coldstart.tags is not None else ()):
        if row.vectors not in vectors:
            where = ("coldstart", "tags", "rows", index, "vectors")
            raise file.error(
                where, f"={row.vectors!r} is neither factors nor an encoder or cold-start system: {nearest(row.vectors, vectors)}"
            )


def _fusion(file: RecipeFile, where: Where, fusion: Fusion, known: Sequence[str]) -> None:
    _subset(file, (*where, "modalities"), fusion.modalities, known)
    _subset(file, (*where, "match_modalities"), fusion.match_modalities, known)
    for name in fusion.reduce if isinstance(fusion.reduce, dict) else ():
        if name not in known:
            raise file.error((*where, "reduce", name), f" is no encoder of this recipe: {nearest(name, known)}")


def _subset(file: RecipeFile, where: Where, given: Sequence[str] | None, known: Sequence[str]) -> None:
    for index, name in enumerate(given or ()):
        if name not in known:
            raise file.error((*where, index), f"={name!r} is no encoder of this recipe: {nearest(name, known)}")
        if name in (given or ())[:index]:
            raise file.error((*where, index), f"={name!r} stands there twice: take one out")


def _models(file: RecipeFile, recipe: Recipe) -> None:
    chosen = [metric for metric in recipe.evaluation.metrics if metric in ("recall", "ndcg")]
    if not chosen:
        raise file.error(("evaluation", "metrics"), f"={recipe.evaluation.metrics} must hold recall or ndcg: systems are chosen by one")
    measured = [f"{metric}@{k}" for metric in chosen for k in recipe.evaluation.k]
    for index, model in enumerate(recipe.models):
        where = ("models", index)
        if model.titles and recipe.titles is None:
            raise file.error((*where, "titles"), "=true needs an encoder of titles: give the recipe `titles: {encoder: …, field: title}`")
        if model.select not in measured:
            raise file.error((*where, "select"), f"={model.select!r} must be one of the evaluation's {', '.join(measured)}")
        ids_only = model.ids_only(recipe.fusion, recipe.encoders)
        fusion = model.fusion or recipe.fusion
        if model.cold_rows == "predicted" and (ids_only or not fusion.id_embedding):
            lacks = "a modality to predict from" if ids_only else "fusion.id_embedding: true, for it predicts free ids"
            raise file.error((*where, "cold_rows"), f"=predicted needs {lacks}")
        if model.cold_system is not None:
            _cold_system(file, (*where, "cold_system"), recipe, model)
        if ids_only and model.match:
            raise file.error((*where, "match"), "=true needs a modality to match: this model sees ids alone")


def _cold_system(file: RecipeFile, where: Where, recipe: Recipe, model: ModelSpec) -> None:
    known = [system.system_name for system in recipe.coldstart.systems if not plugins.load("segue.rankers", system.system).oracle]
    if model.cold_rows != "predicted":
        raise file.error(where, f" is for cold_rows: predicted, not {model.cold_rows}: take it out")
    if model.cold_system not in known:
        raise file.error(
            where, f"={model.cold_system!r} is no cold-start system that may be asked: {nearest(str(model.cold_system), known)}"
        )


def _systems(file: RecipeFile, recipe: Recipe) -> None:
    for index, baseline in enumerate(map(as_baseline, recipe.baselines)):
        _plugin(file, ("baselines", index), "segue.rankers", baseline.name)
    for index, system in enumerate(recipe.coldstart.systems):
        _plugin(file, ("coldstart", "systems", index, "system"), "segue.rankers", system.system)
    seen: set[str] = set()
    for where, name in system_names(recipe):
        _named(file, where, name)
        if name in seen:
            of_models = "give each a name of its own with `name:`"
            cure = of_models if where[0] in ("models", "coldstart") else "a baseline stands once, under its own name"
            raise file.error(where, f": a second system called {name}: {cure}")
        seen.add(name)
    if not seen:
        raise RecipeError(f"{file.path}: neither models nor cold-start systems nor baselines are given: name at least one")


def system_names(recipe: Recipe) -> list[tuple[Where, str]]:
    """Where each system stands in the recipe, and what tables call it; models first."""
    models: list[tuple[Where, str]] = [
        (("models", i), model.system_name(recipe.fusion, recipe.encoders)) for i, model in enumerate(recipe.models)
    ]
    models += [(("coldstart", "systems", i), system.system_name) for i, system in enumerate(recipe.coldstart.systems)]
    return [*models, *((("baselines", i), as_baseline(baseline).name) for i, baseline in enumerate(recipe.baselines))]


def _evaluation(file: RecipeFile, recipe: Recipe) -> None:
    evaluation, names = recipe.evaluation, [name for _, name in system_names(recipe)]
    if len(set(evaluation.k)) < len(evaluation.k):
        raise file.error(("evaluation", "k"), f"={evaluation.k} names a length twice")
    if not evaluation.metrics or len(set(evaluation.metrics)) < len(evaluation.metrics):
        raise file.error(("evaluation", "metrics"), f"={evaluation.metrics} must name at least one metric, each once")
    if evaluation.attribution and all(model.ids_only(recipe.fusion, recipe.encoders) for model in recipe.models):
        raise file.error(("evaluation", "attribution"), "=true needs a model that sees a modality: name encoders and models in the recipe")
    if evaluation.reference is not None and evaluation.reference not in names:
        raise file.error(("evaluation", "reference"), f"={evaluation.reference!r} is no system: {nearest(evaluation.reference, names)}")


def trial(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """`recipe` without its sweep and with `settings` by dotted key, checked as a written one is. Raises `RecipeError`."""
    file = laid(recipe, settings)
    found = file.recipe()
    check(file, found)
    check_parameters(file, found)
    idle.check_tried(file, found, tuple(settings))
    return found


def swept(recipe: Recipe) -> Where:
    """Where the system stands that a sweep measures; its name may be another in every trial. Raises `RecipeError` where none is meant."""
    sweep, places = recipe.sweep, system_names(recipe)
    assert sweep is not None
    names = [name for _, name in places]
    if sweep.system is not None:
        if sweep.system not in names:
            raise RecipeError(f"sweep.system={sweep.system!r} is no system: {nearest(sweep.system, names)}")
        return places[names.index(sweep.system)][0]
    inside = [where for where, _ in places if any(key.split(".")[: len(where)] == [*map(str, where)] for key in sweep.over)]
    found = inside or [where for where, _ in places if where[0] == "models"] or [where for where, _ in places]
    if len(found) != 1:
        raise RecipeError(f"sweep.system is missing: it says which of {', '.join(names)} is measured")
    return found[0]


def _sweep(file: RecipeFile, recipe: Recipe) -> None:
    sweep = recipe.sweep
    if sweep is None:
        return
    measured = [f"{metric}@{k}" for metric in recipe.evaluation.metrics if metric not in FALLING for k in recipe.evaluation.k]
    if sweep.select not in measured:
        raise file.error(("sweep", "select"), f"={sweep.select!r} must be one of the evaluation's {', '.join(measured)}")
    if recipe.evaluation.split.test_fold == ALL:
        raise file.error(
            ("evaluation", "split", "test_fold"), "=all is for `segue run` and `segue bench`, and a sweep is of one fold: name it"
        )
    for key in sweep.over:
        if key.partition(".")[0] not in SWEPT:
            raise file.error(("sweep", "over", key), f" cannot be tried: its values must lie in {', '.join(SWEPT)}")
    # keys that lead nowhere are told before the first trial
    tried = laid(recipe, sweep.first)
    check(tried, tried.recipe())
    swept(recipe)


def _named(file: RecipeFile, where: Where, name: str) -> None:
    if not NAME.fullmatch(name):
        raise file.error(where, f": the name {name!r} must be of letters, digits, '.', '_' and '-': it names a file")

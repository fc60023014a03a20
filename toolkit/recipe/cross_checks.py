"""Rules between the parts of a recipe, and between it and the plug-ins that it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from toolkit import plugins, ranker_registry
from toolkit.errors import InputError, RecipeError, Where
from toolkit.recipe.baseline_section import as_baseline
from toolkit.recipe.fusion_section import Fusion
from toolkit.recipe.model_section import ModelSpec
from toolkit.validation import explain, nearest

if TYPE_CHECKING:
    from toolkit.recipe.recipe import Recipe

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Systems and modalities name folders and files."""


def check(recipe: Recipe) -> None:
    """Check what can be told without importing a plug-in. Raises `RecipeError`."""
    _run(recipe)
    _data(recipe)
    _encoders(recipe)
    _modalities(recipe)
    _evaluation(recipe)
    _models(recipe)
    _systems(recipe)
    if recipe.sweep is not None:
        from toolkit.recipe import sweep_trials

        sweep_trials.check(recipe)


def fault(where: Where, rule: str) -> RecipeError:
    """What is wrong at a place of a recipe; `rule` follows after the dotted path."""
    return RecipeError(rule, where)


def check_parameters(recipe: Recipe) -> None:
    """Check options and parameters against the plug-ins they go to, which are imported for it."""
    if recipe.data.reader != "auto":
        _parameters(("data", "options"), recipe.data.options, plugins.load("segue.readers", recipe.data.reader).Params)
    if recipe.collect is not None:
        stage = plugins.load("segue.stages", "collect")
        _parameters(("collect",), recipe.collect, stage.Params)
        stage.check(stage.Params.model_validate(recipe.collect))
    _encoder_parameters(recipe)
    _ranker_parameters(recipe)


def _encoder_parameters(recipe: Recipe) -> None:
    for name, spec in recipe.encoders.items():
        encoder = plugins.load("segue.encoders", spec.encoder)
        _parameters(("encoders", name, "params"), spec.params, encoder.Params)
        if getattr(encoder, "supervised", False) and spec.targets is None:
            cure = "give it `targets: {field: genre}`, another field with labels, or `targets: {factors: 200}`"
            raise fault(
                ("encoders", name, "targets"),
                f" is missing: {spec.encoder} learns to predict labels or factors: {cure}",
            )
        if spec.targets is not None and not getattr(encoder, "supervised", False):
            raise fault(
                ("encoders", name, "targets"),
                f" is for encoders that learn to predict labels or factors, {spec.encoder} does not: take it out",
            )
    if recipe.titles is not None:
        encoder = plugins.load("segue.encoders", recipe.titles.encoder)
        _parameters(("titles", "params"), recipe.titles.params, encoder.Params)
        if recipe.titles.targets is not None:
            raise fault(("titles", "targets"), " is for encoders of tracks: a title has no labels")
        if encoder.kind != "text":
            raise fault(("titles", "encoder"), f"={recipe.titles.encoder!r} reads {encoder.kind}, titles are text")


def _ranker_parameters(recipe: Recipe) -> None:
    for index, system in enumerate(recipe.coldstart.systems):
        ranker, where = ranker_registry.ranker_class(system.system), ("coldstart", "systems", index)
        if not ranker.listed:
            raise fault(
                (*where, "system"), f"={system.system!r} is not a cold-start system: {ranker_registry.UNLISTED}"
            )
        _parameters((*where, "params"), system.params, ranker.Params)
        content = ranker.capabilities.content
        if content == "required" and not (system.modalities or recipe.encoders):
            raise fault(where, f": {system.system} ranks by content: name encoders in the recipe, or leave it out")
        if system.modalities and content == "none":
            raise fault(
                (*where, "modalities"),
                f"={system.modalities} are not read: {system.system} sees no content: take them out",
            )
    for index, baseline in enumerate(map(as_baseline, recipe.baselines)):
        ranker = ranker_registry.ranker_class(baseline.name)
        if ranker.listed:
            _parameters(("baselines", index, "params"), baseline.params, ranker.Params)
        if why := unfit(baseline.name, recipe):
            raise fault(("baselines", index), f"={baseline.name!r} {why}")


def unfit(baseline: str, recipe: Recipe) -> str:
    """Why a recipe cannot run a baseline, and the cure; empty where it can. What depends on the data is not checked."""
    ranker, protocol = ranker_registry.ranker_class(baseline), recipe.evaluation.split
    able = ranker.capabilities
    if not ranker.listed:
        return f"is not a baseline: {ranker_registry.UNLISTED}"
    if able.content == "required" and not recipe.encoders:
        return "ranks by content: name encoders in the recipe, or leave it out"
    if able.training_playlists_only and protocol.whole_lists:
        instead = f"name {able.counterpart}, or set" if able.counterpart else "set"
        return f"ranks only for training playlists, and {protocol.type} holds out others: {instead} evaluation.split: leave_last_out"
    return ""


def _parameters(where: Where, given: dict[str, Any], model: type[BaseModel]) -> None:
    try:
        model.model_validate(given)
    except ValidationError as error:
        inside, message = explain(error, given)
        raise fault((*where, *inside), message) from None


def _plugin(where: Where, group: str, name: str) -> None:
    if name not in plugins.names(group):
        if ":" in name:
            try:
                plugins.load(group, name)
            except InputError as error:
                raise fault(where, f"={name!r} {str(error).removeprefix(repr(name)).lstrip(': ')}") from None
            return
        kind = plugins.article(plugins.kind_of(group))
        known = ranker_registry.listed() if group == ranker_registry.GROUP else plugins.names(group)
        raise fault(where, f"={name!r} is not {kind}: {nearest(name, known)}")


def _run(recipe: Recipe) -> None:
    """The name becomes a folder in runs/, beside the cache, and must not lead out of it."""
    if (
        not recipe.name.isprintable()
        or not recipe.name.strip()
        or recipe.name.startswith(".")
        or set(recipe.name) & set("/\\")
    ):
        raise fault(
            ("name",),
            f"={recipe.name!r} must be one line without '/' and without a '.' in front: it names the run's folder",
        )


def _data(recipe: Recipe) -> None:
    if recipe.data.reader != "auto":
        _plugin(("data", "reader"), "segue.readers", recipe.data.reader)
    if recipe.data.path is None and (
        recipe.data.reader == "auto" or plugins.load("segue.readers", recipe.data.reader).needs_path
    ):
        raise fault(("data", "path"), f" is missing: reader {recipe.data.reader!r} reads a file or folder")


def _encoders(recipe: Recipe) -> None:
    for name, spec in recipe.encoders.items():
        _named(("encoders", name), name)
        _plugin(("encoders", name, "encoder"), "segue.encoders", spec.encoder)
    if recipe.titles is not None:
        _plugin(("titles", "encoder"), "segue.encoders", recipe.titles.encoder)


def _modalities(recipe: Recipe) -> None:
    known = list(recipe.encoders)
    _fusion(("fusion",), recipe.fusion, known)
    for index, model in enumerate(recipe.models):
        _subset(("models", index, "modalities"), model.modalities, known)
        if model.fusion is not None:
            _fusion(("models", index, "fusion"), model.fusion, known)

    for index, system in enumerate(recipe.coldstart.systems):
        _subset(("coldstart", "systems", index, "modalities"), system.modalities, known)
    if recipe.coldstart.looking is not None:
        _subset(("coldstart", "looking", "predicted"), [recipe.coldstart.looking.predicted], known)
    vectors = ["factors", *known, *(system.system_name for system in recipe.coldstart.systems)]
    for index, row in enumerate(recipe.coldstart.tags.rows if recipe.coldstart.tags is not None else ()):
        if row.vectors not in vectors:
            where = ("coldstart", "tags", "rows", index, "vectors")
            raise fault(
                where,
                f"={row.vectors!r} is neither factors nor an encoder or cold-start system: {nearest(row.vectors, vectors)}",
            )


def _fusion(where: Where, fusion: Fusion, known: Sequence[str]) -> None:
    _subset((*where, "modalities"), fusion.modalities, known)
    _subset((*where, "match_modalities"), fusion.match_modalities, known)
    for name in fusion.reduce if isinstance(fusion.reduce, dict) else ():
        if name not in known:
            raise fault((*where, "reduce", name), f" is not an encoder of this recipe: {nearest(name, known)}")


def _subset(where: Where, given: Sequence[str] | None, known: Sequence[str]) -> None:
    for index, name in enumerate(given or ()):
        if name not in known:
            raise fault((*where, index), f"={name!r} is not an encoder of this recipe: {nearest(name, known)}")
        if name in (given or ())[:index]:
            raise fault((*where, index), f"={name!r} is listed twice: take one out")


def _models(recipe: Recipe) -> None:
    chosen = [metric for metric in recipe.evaluation.metrics if metric in ("recall", "ndcg")]
    if not chosen:
        raise fault(
            ("evaluation", "metrics"),
            f"={recipe.evaluation.metrics} must hold recall or ndcg: systems are chosen by one",
        )
    measured = [f"{metric}@{k}" for metric in chosen for k in recipe.evaluation.k]
    for index, model in enumerate(recipe.models):
        where = ("models", index)
        if model.titles and recipe.titles is None:
            raise fault(
                (*where, "titles"),
                "=true needs an encoder of titles: give the recipe `titles: {encoder: …, field: title}`",
            )
        if model.select not in measured:
            raise fault((*where, "select"), f"={model.select!r} must be one of the evaluation's {', '.join(measured)}")
        ids_only = model.ids_only(recipe.fusion, recipe.encoders)
        fusion = model.fusion or recipe.fusion
        if model.cold_rows == "predicted" and (ids_only or not fusion.id_embedding):
            lacks = "a modality to predict from" if ids_only else "fusion.id_embedding: true, for it predicts free ids"
            raise fault((*where, "cold_rows"), f"=predicted needs {lacks}")
        if model.cold_system is not None:
            _cold_system((*where, "cold_system"), recipe, model)
        if ids_only and model.match:
            raise fault((*where, "match"), "=true needs a modality to match: this model sees ids alone")


def _cold_system(where: Where, recipe: Recipe, model: ModelSpec) -> None:
    known = [
        system.system_name
        for system in recipe.coldstart.systems
        if not ranker_registry.ranker_class(system.system).capabilities.oracle
    ]
    if model.cold_rows != "predicted":
        raise fault(where, f" is for cold_rows: predicted, not {model.cold_rows}: take it out")
    if model.cold_system not in known:
        raise fault(
            where,
            f"={model.cold_system!r} is not a cold-start system that can be queried: {nearest(str(model.cold_system), known)}",
        )


def _systems(recipe: Recipe) -> None:
    for index, baseline in enumerate(map(as_baseline, recipe.baselines)):
        _plugin(("baselines", index), ranker_registry.GROUP, baseline.name)
    for index, system in enumerate(recipe.coldstart.systems):
        _plugin(("coldstart", "systems", index, "system"), ranker_registry.GROUP, system.system)
    seen: set[str] = set()
    for where, name in system_names(recipe):
        _named(where, name)
        if name in seen:
            of_models = "give each a name of its own with `name:`"
            cure = of_models if where[0] in ("models", "coldstart") else "a baseline stands once, under its own name"
            raise fault(where, f": a second system called {name}: {cure}")
        seen.add(name)
    if not seen:
        raise RecipeError("neither models nor cold-start systems nor baselines are given: name at least one")


def system_names(recipe: Recipe) -> list[tuple[Where, str]]:
    """Where each system stands in the recipe, and what tables call it; models first."""
    models: list[tuple[Where, str]] = [
        (("models", i), model.system_name(recipe.fusion, recipe.encoders)) for i, model in enumerate(recipe.models)
    ]
    models += [(("coldstart", "systems", i), system.system_name) for i, system in enumerate(recipe.coldstart.systems)]
    return [
        *models,
        *((("baselines", i), as_baseline(baseline).system_name) for i, baseline in enumerate(recipe.baselines)),
    ]


def _evaluation(recipe: Recipe) -> None:
    evaluation, names = recipe.evaluation, [name for _, name in system_names(recipe)]
    if len(set(evaluation.k)) < len(evaluation.k):
        raise fault(("evaluation", "k"), f"={evaluation.k} lists the same cutoff twice: take one out")
    if not evaluation.metrics or len(set(evaluation.metrics)) < len(evaluation.metrics):
        raise fault(("evaluation", "metrics"), f"={evaluation.metrics} must name at least one metric, each once")
    if evaluation.attribution and all(model.ids_only(recipe.fusion, recipe.encoders) for model in recipe.models):
        raise fault(
            ("evaluation", "attribution"),
            "=true needs a model that sees a modality: name encoders and models in the recipe",
        )
    if evaluation.reference is not None and evaluation.reference not in names:
        raise fault(
            ("evaluation", "reference"),
            f"={evaluation.reference!r} is not a system: {nearest(evaluation.reference, names)}",
        )


def _named(where: Where, name: str) -> None:
    if not NAME.fullmatch(name):
        raise fault(where, f": the name {name!r} must be of letters, digits, '.', '_' and '-': it names a file")

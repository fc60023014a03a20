"""Rules between the parts of a recipe, and between it and the plug-ins that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from toolkit import plugins, ranker_registry
from toolkit.errors import InputError, RecipeError, Where
from toolkit.parameters import nearest
from toolkit.recipe.baseline_section import as_baseline
from toolkit.recipe.fusion_section import Fusion
from toolkit.validation import explain

if TYPE_CHECKING:
    from toolkit.recipe.recipe import Recipe

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of systems and modalities, which are also names of folders and files."""


def check(recipe: Recipe) -> None:
    """Check what does not depend on the parameters of plug-ins. Raises `RecipeError`."""
    _run(recipe)
    _plugins(recipe)
    _data(recipe)
    _modalities(recipe)
    _evaluation(recipe)
    _models(recipe)
    _systems(recipe)
    if recipe.sweep is not None:
        from toolkit.recipe import sweep_trials

        sweep_trials.check(recipe)


def fault(where: Where, rule: str) -> RecipeError:
    """An error at a place of a recipe. `rule` follows the dotted path."""
    return RecipeError(rule, where)


def check_parameters(recipe: Recipe) -> None:
    """Check options and parameters against the plug-ins that read them, which are imported."""
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
        if encoder.supervised and spec.targets is None:
            cure = "give it `targets: {field: genre}`, another field with labels, or `targets: {factors: 200}`"
            rule = f" is missing: {spec.encoder} learns to predict labels or factors: {cure}"
            raise fault(("encoders", name, "targets"), rule)
        if spec.targets is not None and not encoder.supervised:
            rule = f" is for encoders that learn to predict labels or factors, {spec.encoder} does not: take it out"
            raise fault(("encoders", name, "targets"), rule)
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
    """Why a recipe cannot run a baseline, and the cure; empty if it can. What depends on the data is not checked."""
    ranker, protocol = ranker_registry.ranker_class(baseline), recipe.evaluation.split
    needs = ranker.capabilities
    if not ranker.listed:
        return f"is not a baseline: {ranker_registry.UNLISTED}"
    if needs.content == "required" and not recipe.encoders:
        return "ranks by content: name encoders in the recipe, or leave it out"
    if needs.training_playlists_only and protocol.whole_lists:
        cure = f"{f'name {needs.counterpart}, or ' if needs.counterpart else ''}set evaluation.split: leave_last_out"
        return f"ranks only for training playlists, and {protocol.type} holds out others: {cure}"
    return ""


def _parameters(where: Where, values: Mapping[str, object], model: type[BaseModel]) -> None:
    try:
        model.model_validate(values)
    except ValidationError as error:
        inside, message = explain(error, values)
        raise fault((*where, *inside), message) from None


def _plugin(where: Where, group: str, name: str) -> None:
    if name in plugins.names(group):
        return
    if ":" not in name:
        kind = plugins.article(plugins.kind_of(group))
        known = ranker_registry.listed() if group == ranker_registry.GROUP else plugins.names(group)
        raise fault(where, f"={name!r} is not {kind}: {nearest(name, known)}")
    try:
        plugins.load(group, name)
    except InputError as error:
        raise fault(where, f"={name!r} {plugins.rule_of(error, name)}") from None


def _run(recipe: Recipe) -> None:
    """The name is that of a folder in `runs/`, and must not lead out of it."""
    name = recipe.name
    if not name.isprintable() or not name.strip() or name.startswith(".") or set(name) & set("/\\"):
        rule = "must be one line without '/' and without a '.' in front: it names the run's folder"
        raise fault(("name",), f"={name!r} {rule}")


def _plugins(recipe: Recipe) -> None:
    """Every plug-in that the recipe names exists."""
    if recipe.data.reader != "auto":
        _plugin(("data", "reader"), "segue.readers", recipe.data.reader)
    for name, spec in recipe.encoders.items():
        _named(("encoders", name), name)
        _plugin(("encoders", name, "encoder"), "segue.encoders", spec.encoder)
    if recipe.titles is not None:
        _plugin(("titles", "encoder"), "segue.encoders", recipe.titles.encoder)
    for index, system in enumerate(recipe.coldstart.systems):
        _plugin(("coldstart", "systems", index, "system"), ranker_registry.GROUP, system.system)
    for index, baseline in enumerate(map(as_baseline, recipe.baselines)):
        _plugin(("baselines", index), ranker_registry.GROUP, baseline.name)


def _data(recipe: Recipe) -> None:
    if recipe.data.path is None and (
        recipe.data.reader == "auto" or plugins.load("segue.readers", recipe.data.reader).needs_path
    ):
        raise fault(("data", "path"), f" is missing: reader {recipe.data.reader!r} reads a file or folder")


def _modalities(recipe: Recipe) -> None:
    known = list(recipe.encoders)
    _fusion(("fusion",), recipe.fusion, known)
    for index, model in enumerate(recipe.models):
        _subset(("models", index, "modalities"), model.modalities, known)
        if model.fusion is not None:
            _fusion(("models", index, "fusion"), model.fusion, known)

    for index, system in enumerate(recipe.coldstart.systems):
        _subset(("coldstart", "systems", index, "modalities"), system.modalities, known)
    if recipe.coldstart.factor_map is not None:
        _subset(("coldstart", "factor_map", "predicted"), [recipe.coldstart.factor_map.predicted], known)
    vectors = ["factors", *known, *(system.system_name for system in recipe.coldstart.systems)]
    for index, row in enumerate(recipe.coldstart.tags.rows if recipe.coldstart.tags is not None else ()):
        if row.vectors not in vectors:
            rule = f"is neither factors nor an encoder or cold-start system: {nearest(row.vectors, vectors)}"
            raise fault(("coldstart", "tags", "rows", index, "vectors"), f"={row.vectors!r} {rule}")


def _fusion(where: Where, fusion: Fusion, known: Sequence[str]) -> None:
    _subset((*where, "modalities"), fusion.modalities, known)
    _subset((*where, "match_modalities"), fusion.match_modalities, known)
    for name in fusion.reduce if isinstance(fusion.reduce, dict) else ():
        if name not in known:
            raise fault((*where, "reduce", name), f" is not an encoder of this recipe: {nearest(name, known)}")


def _subset(where: Where, names: Sequence[str] | None, known: Sequence[str]) -> None:
    for index, name in enumerate(names or ()):
        if name not in known:
            raise fault((*where, index), f"={name!r} is not an encoder of this recipe: {nearest(name, known)}")
        if name in (names or ())[:index]:
            raise fault((*where, index), f"={name!r} is listed twice: take one out")


def _models(recipe: Recipe) -> None:
    selecting = [metric for metric in recipe.evaluation.metrics if metric in ("recall", "ndcg")]
    if not selecting:
        raise fault(
            ("evaluation", "metrics"),
            f"={recipe.evaluation.metrics} must hold recall or ndcg: systems are chosen by one",
        )
    measured = [f"{metric}@{k}" for metric in selecting for k in recipe.evaluation.k]
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
            needs = "a modality to predict from" if ids_only else "fusion.id_embedding: true, for it predicts free ids"
            raise fault((*where, "cold_rows"), f"=predicted needs {needs}")
        if model.cold_system is not None:
            _cold_system((*where, "cold_system"), recipe, model.cold_system, model.cold_rows)
        if ids_only and model.match:
            raise fault((*where, "match"), "=true needs a modality to match: this model sees ids alone")


def _cold_system(where: Where, recipe: Recipe, name: str, cold_rows: str) -> None:
    known = [
        system.system_name
        for system in recipe.coldstart.systems
        if not ranker_registry.ranker_class(system.system).capabilities.oracle
    ]
    if cold_rows != "predicted":
        raise fault(where, f" is for cold_rows: predicted, not {cold_rows}: take it out")
    if name not in known:
        raise fault(where, f"={name!r} is not a cold-start system that can be queried: {nearest(name, known)}")


def _systems(recipe: Recipe) -> None:
    seen: set[str] = set()
    for where, name in system_names(recipe):
        _named(where, name)
        if name in seen:
            cure = "list a baseline once" if where[0] == "baselines" else "give each its own name with `name:`"
            raise fault(where, f": a second system called {name}: {cure}")
        seen.add(name)
    if not seen:
        raise RecipeError("neither models nor cold-start systems nor baselines are given: name at least one")


def system_names(recipe: Recipe) -> list[tuple[Where, str]]:
    """The place of each system in the recipe and its name in tables; models first."""
    models = (model.system_name(recipe.fusion, recipe.encoders) for model in recipe.models)
    return [
        *((("models", i), name) for i, name in enumerate(models)),
        *((("coldstart", "systems", i), system.system_name) for i, system in enumerate(recipe.coldstart.systems)),
        *((("baselines", i), as_baseline(baseline).system_name) for i, baseline in enumerate(recipe.baselines)),
    ]


def _evaluation(recipe: Recipe) -> None:
    evaluation, names = recipe.evaluation, [name for _, name in system_names(recipe)]
    if evaluation.attribution and all(model.ids_only(recipe.fusion, recipe.encoders) for model in recipe.models):
        rule = "=true needs a model that sees a modality: name encoders and models in the recipe"
        raise fault(("evaluation", "attribution"), rule)
    if evaluation.reference is not None and evaluation.reference not in names:
        rule = f"={evaluation.reference!r} is not a system: {nearest(evaluation.reference, names)}"
        raise fault(("evaluation", "reference"), rule)


def _named(where: Where, name: str) -> None:
    if not NAME.fullmatch(name):
        raise fault(where, f": the name {name!r} must be of letters, digits, '.', '_' and '-': it names a file")

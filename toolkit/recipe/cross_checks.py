"""Checks across the sections of a recipe, and of the plug-in names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from toolkit import plugins, ranker_registry
from toolkit.errors import InputError, RecipeError, Where
from toolkit.parameters import nearest
from toolkit.recipe.baseline_section import as_baseline
from toolkit.recipe.coldstart_section import ColdSystem, FactorSpec
from toolkit.recipe.fusion_section import Fusion
from toolkit.validation import explain

if TYPE_CHECKING:
    from toolkit.recipe.recipe import Recipe

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST_NAME = 200
"""Largest number of characters of the recipe's name. Folders may have names of 255 bytes, with endings such as -sweep.
"""
"""Names of systems and modalities, which are also names of folders and files."""


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` if sections contradict each other. Parameters of plug-ins are not checked."""
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


def check_parameters(recipe: Recipe) -> None:
    """Raise `RecipeError` if options or parameters are wrong for a plug-in. All named plug-ins are imported."""
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
            raise RecipeError(
                f" is missing, but {spec.encoder} learns to predict labels or factors: set `targets: {{field: genre}}`,"
                " another field with labels, or `targets: {factors: 200}`",
                ("encoders", name, "targets"),
            )
        if spec.targets is not None and not encoder.supervised:
            raise RecipeError(
                f" requires an encoder that learns to predict labels or factors, unlike {spec.encoder}: remove"
                " `targets`",
                ("encoders", name, "targets"),
            )
    if recipe.titles is not None:
        encoder = plugins.load("segue.encoders", recipe.titles.encoder)
        _parameters(("titles", "params"), recipe.titles.params, encoder.Params)
        if recipe.titles.targets is not None:
            raise RecipeError(
                " requires an encoder of tracks because titles have no labels: remove `targets`", ("titles", "targets")
            )
        if encoder.kind != "text":
            raise RecipeError(
                f"={recipe.titles.encoder!r} reads {encoder.kind}, but titles are text: set a text encoder such"
                " as tfidf",
                ("titles", "encoder"),
            )


def _ranker_parameters(recipe: Recipe) -> None:
    for index, system in enumerate(recipe.coldstart.systems):
        ranker, where = ranker_registry.ranker_class(system.system), ("coldstart", "systems", index)
        if not ranker.listed:
            raise RecipeError(
                f"={system.system!r} is not a cold-start system: {ranker_registry.UNLISTED}", (*where, "system")
            )
        _parameters((*where, "params"), system.params, ranker.Params)
        content = ranker.capabilities.content
        if content == "required" and not (system.modalities or recipe.encoders):
            raise RecipeError(
                f" requires encoders because {system.system} ranks by content: add `encoders` to the recipe,"
                " or remove this system",
                where,
            )
        if ranker.capabilities.predicted_factors:
            _factor_numbers(recipe, system)
        if system.modalities and content == "none":
            raise RecipeError(
                f"={system.modalities} cannot be set because {system.system} does not read content: remove"
                " `modalities`",
                (*where, "modalities"),
            )
    for index, baseline in enumerate(map(as_baseline, recipe.baselines)):
        ranker = ranker_registry.ranker_class(baseline.name)
        if ranker.listed:
            _parameters(("baselines", index, "params"), baseline.params, ranker.Params)
        if why := unfit(baseline.name, recipe):
            raise RecipeError(f"={baseline.name!r} {why}", ("baselines", index))


def _factor_numbers(recipe: Recipe, system: ColdSystem) -> None:
    """Raise `RecipeError` if an encoder does not predict as many factors as the system reads."""
    k = FactorSpec.model_validate(system.params.get("factors") or recipe.coldstart.factors).k
    for name in system.modalities or recipe.encoders:
        spec = recipe.encoders[name]
        if spec.targets is None:
            continue  # vectors from elsewhere may be predicted factors
        if spec.targets.factors != k:
            raise RecipeError(
                f"={spec.targets.factors} must be {k}, the number of factors that {system.system_name} reads: set"
                " `targets.factors` and `coldstart.factors.k` to the same number",
                ("encoders", name, "targets", "factors"),
            )
        params = plugins.load("segue.encoders", spec.encoder).Params.model_validate(spec.params)
        if getattr(params, "output", "prediction") != "prediction":
            raise RecipeError(
                f" must be prediction because {system.system_name} reads factors: set `output: prediction`",
                ("encoders", name, "params", "output"),
            )


def unfit(baseline: str, recipe: Recipe) -> str:
    """Return why a recipe cannot run a baseline, with the cure, or an empty text. The data are not checked."""
    ranker, protocol = ranker_registry.ranker_class(baseline), recipe.evaluation.split
    needs = ranker.capabilities
    if not ranker.listed:
        return f"is not a baseline: {ranker_registry.UNLISTED}"
    if needs.content == "required" and not recipe.encoders:
        return "requires encoders to rank by content: add `encoders` to the recipe, or remove this baseline"
    if needs.training_playlists_only and protocol.whole_lists:
        cure = f"{f'use {needs.counterpart}, or ' if needs.counterpart else ''}set `evaluation.split: leave_last_out`"
        return f"ranks only for training playlists, but {protocol.type} holds out other playlists: {cure}"
    return ""


def _parameters(where: Where, values: Mapping[str, object], model: type[BaseModel]) -> None:
    try:
        model.model_validate(values)
    except ValidationError as error:
        inside, message = explain(error, values)
        raise RecipeError(message, (*where, *inside)) from None


def _plugin(where: Where, group: str, name: str) -> None:
    if name in plugins.names(group):
        return
    if ":" not in name:
        kind = plugins.article(plugins.kind_of(group))
        known = ranker_registry.listed() if group == ranker_registry.GROUP else plugins.names(group)
        raise RecipeError(f"={name!r} is not {kind}: {nearest(name, known)}", where)
    try:
        plugins.load(group, name)
    except InputError as error:
        raise RecipeError(f"={name!r} {plugins.rule_of(error, name)}", where) from None


def _run(recipe: Recipe) -> None:
    """Raise `RecipeError` if the recipe's name cannot be the name of a folder in `runs/`."""
    name = recipe.name
    if len(name) > LONGEST_NAME:
        raise RecipeError(f" must have at most {LONGEST_NAME} characters to name a folder: shorten the name", ("name",))
    if not name.isprintable() or not name.strip() or name.startswith(".") or set(name) & set("/\\"):
        raise RecipeError(
            f"={name!r} must be one line without '/' or a leading '.' to name a folder: set a name such as 'my-run'",
            ("name",),
        )


def _plugins(recipe: Recipe) -> None:
    """Raise `RecipeError` if a named plug-in does not exist."""
    if recipe.data.reader != "auto":
        _plugin(("data", "reader"), "segue.readers", recipe.data.reader)
    for name, spec in recipe.encoders.items():
        _named(("encoders", name), name)
        _plugin(("encoders", name, "encoder"), "segue.encoders", spec.encoder)
    if recipe.titles is not None:
        _plugin(("titles", "encoder"), "segue.encoders", recipe.titles.encoder)
    for where, ranker in rankers(recipe):
        _plugin(where, ranker_registry.GROUP, ranker)


def _data(recipe: Recipe) -> None:
    if recipe.data.path is None and (
        recipe.data.reader == "auto" or plugins.load("segue.readers", recipe.data.reader).needs_path
    ):
        raise RecipeError(
            f" is missing, but reader {recipe.data.reader!r} requires a file or folder: set `data.path`",
            ("data", "path"),
        )


def _modalities(recipe: Recipe) -> None:
    known = list(recipe.encoders)
    _fusion(("fusion",), recipe.fusion, known)
    _choices(recipe)
    for index, model in enumerate(recipe.models):
        _subset(("models", index, "modalities"), model.modalities, [*known, *recipe.choices])
        if model.fusion is not None:
            _fusion(("models", index, "fusion"), model.fusion, known)

    for index, system in enumerate(recipe.coldstart.systems):
        _subset(("coldstart", "systems", index, "modalities"), system.modalities, known)
    if recipe.coldstart.factor_map is not None:
        _subset(("coldstart", "factor_map", "predicted"), [recipe.coldstart.factor_map.predicted], known)
    vectors = ["factors", *known, *(system.system_name for system in recipe.coldstart.systems)]
    for index, row in enumerate(recipe.coldstart.tags.rows if recipe.coldstart.tags is not None else ()):
        if row.vectors not in vectors:
            raise RecipeError(
                f"={row.vectors!r} must be factors, an encoder or a cold-start system of this recipe: "
                f"{nearest(row.vectors, vectors)}",
                ("coldstart", "tags", "rows", index, "vectors"),
            )


def _choices(recipe: Recipe) -> None:
    """Raise `RecipeError` for a choice that cannot be made before the first model that uses it."""
    tried: list[str] = []
    for index, model in enumerate(recipe.models):
        inputs = model.inputs(recipe.fusion, recipe.encoders)
        for name in inputs:
            for candidate in recipe.choices.get(name, ()):
                if candidate not in tried:
                    raise RecipeError(
                        f" uses the choice {name!r}, so a model above it must read {candidate!r} alone: add"
                        f" `{{modalities: [{candidate}]}}` before this model, or remove {candidate!r} from the choice",
                        ("models", index, "modalities"),
                    )
        tried += inputs if len(inputs) == 1 else []
    for name, candidates in recipe.choices.items():
        _named(("choices", name), name)
        _subset(("choices", name), candidates, list(recipe.encoders))
        if name in recipe.encoders:
            raise RecipeError(" is also the name of an encoder: rename the choice", ("choices", name))
        if all(name not in model.inputs(recipe.fusion, recipe.encoders) for model in recipe.models):
            raise RecipeError(" is not read by a model: add it to the `modalities` of a model", ("choices", name))


def _fusion(where: Where, fusion: Fusion, known: Sequence[str]) -> None:
    _subset((*where, "modalities"), fusion.modalities, known)
    _subset((*where, "match_modalities"), fusion.match_modalities, known)
    for name in fusion.reduce if isinstance(fusion.reduce, dict) else ():
        if name not in known:
            raise RecipeError(f" is not an encoder of this recipe: {nearest(name, known)}", (*where, "reduce", name))


def _subset(where: Where, names: Sequence[str] | None, known: Sequence[str]) -> None:
    for index, name in enumerate(names or ()):
        if name not in known:
            raise RecipeError(f"={name!r} is not an encoder of this recipe: {nearest(name, known)}", (*where, index))


def _models(recipe: Recipe) -> None:
    from toolkit.contracts.metric import selecting

    able = [metric for metric in recipe.evaluation.metrics if metric in ("recall", "ndcg")]
    if not able and (recipe.models or not selecting(recipe.evaluation.metrics)):
        raise RecipeError(
            f"={recipe.evaluation.metrics} must contain recall or ndcg to select systems: add recall or ndcg",
            ("evaluation", "metrics"),
        )
    measured = [f"{metric}@{k}" for metric in able for k in recipe.evaluation.k]
    for index, model in enumerate(recipe.models):
        where = ("models", index)
        if model.titles and recipe.titles is None:
            raise RecipeError(
                "=true requires a title encoder: add `titles: {encoder: …, field: title}` to the recipe",
                (*where, "titles"),
            )
        if model.select not in measured:
            raise RecipeError(
                f"={model.select!r} must be a metric that the evaluation measures: set one of {', '.join(measured)}",
                (*where, "select"),
            )
        ids_only = model.ids_only(recipe.fusion, recipe.encoders)
        if model.cold_rows == "predicted" and (ids_only or not (model.fusion or recipe.fusion).id_embedding):
            needs = "a modality: add `encoders`" if ids_only else "free ids to predict: set `fusion.id_embedding: true`"
            raise RecipeError(f"=predicted requires {needs}, or remove `cold_rows`", (*where, "cold_rows"))
        if model.cold_system is not None:
            _cold_system((*where, "cold_system"), recipe, model.cold_system, model.cold_rows)
        if ids_only and model.match:
            raise RecipeError(
                "=true requires a modality, but this model uses ids alone: remove `match`", (*where, "match")
            )


def _cold_system(where: Where, recipe: Recipe, name: str, cold_rows: str) -> None:
    known = [
        system.system_name
        for system in recipe.coldstart.systems
        if not ranker_registry.ranker_class(system.system).capabilities.oracle
    ]
    if cold_rows != "predicted":
        raise RecipeError(
            f" can be set only with `cold_rows: predicted`, not `{cold_rows}`: remove `cold_system`", where
        )
    if name not in known:
        raise RecipeError(f"={name!r} is not a cold-start system that can be queried: {nearest(name, known)}", where)


def _systems(recipe: Recipe) -> None:
    seen: set[str] = set()
    for where, name in system_names(recipe):
        _named(where, name)
        if name in seen:
            cure = "list each baseline once" if where[0] == "baselines" else "set different names with `name`"
            raise RecipeError(f" repeats the system name {name}: {cure}", where)
        seen.add(name)
    if not seen:
        raise RecipeError("the recipe has no models, cold-start systems or baselines: add at least one system")


def system_names(recipe: Recipe) -> list[tuple[Where, str]]:
    """Return the key path and table name of each system, models first."""
    return [
        *((("models", i), model.system_name(recipe.fusion, recipe.encoders)) for i, model in enumerate(recipe.models)),
        *((("coldstart", "systems", i), system.system_name) for i, system in enumerate(recipe.coldstart.systems)),
        *((("baselines", i), as_baseline(baseline).system_name) for i, baseline in enumerate(recipe.baselines)),
    ]


def rankers(recipe: Recipe) -> list[tuple[Where, str]]:
    """Return the key path and name of each ranker: cold-start systems, then baselines."""
    return [
        *((("coldstart", "systems", i, "system"), system.system) for i, system in enumerate(recipe.coldstart.systems)),
        *((("baselines", i), as_baseline(baseline).name) for i, baseline in enumerate(recipe.baselines)),
    ]


def _evaluation(recipe: Recipe) -> None:
    evaluation, names = recipe.evaluation, [name for _, name in system_names(recipe)]
    if isinstance(evaluation.attribution, list):
        models = [model.system_name(recipe.fusion, recipe.encoders) for model in recipe.models]
        for index, name in enumerate(evaluation.attribution):
            if name not in models:
                raise RecipeError(
                    f"={name!r} is not a model of this recipe: {nearest(name, models)}",
                    ("evaluation", "attribution", index),
                )
    if evaluation.attribution and all(model.ids_only(recipe.fusion, recipe.encoders) for model in recipe.models):
        raise RecipeError(
            "=true requires a model with a modality: add `encoders` and `models` to the recipe",
            ("evaluation", "attribution"),
        )
    if evaluation.reference is not None and evaluation.reference not in names:
        raise RecipeError(
            f"={evaluation.reference!r} is not a system: {nearest(evaluation.reference, names)}",
            ("evaluation", "reference"),
        )


def _named(where: Where, name: str) -> None:
    if not NAME.fullmatch(name):
        raise RecipeError(
            f": name {name!r} must start with a letter or digit and contain only letters, digits,"
            " '.', '_' and '-': change the name",
            where,
        )

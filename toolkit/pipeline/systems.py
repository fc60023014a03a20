"""The systems of a recipe: what each is, what it sees, and with whose help it ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import scipy.sparse as sp

from toolkit import plugins
from toolkit.coldstart.factors import FactorStore
from toolkit.corpus.splits import Split
from toolkit.encoders import registry
from toolkit.encoders.base import Encoder
from toolkit.modality import Modality
from toolkit.pipeline.context import Context
from toolkit.ranker import Ranker
from toolkit.recipe import BaselineSpec, ColdSystem, EncoderSpec, ModelSpec, Recipe
from toolkit.recipe.checks import as_baseline
from toolkit.seeds import derived_seed

SEQUENTIAL = "sequential"


@dataclass(frozen=True)
class System:
    """One row of the tables.

    ranker: `sequential`, or the name of a plug-in of `segue.rankers`.
    spec: the recipe's entry, which with the data decides the result.
    """

    name: str
    ranker: str
    spec: dict[str, Any]
    make: Callable[[Sequence[str | None]], Ranker]
    modalities: list[str] = field(default_factory=list)
    oracle: bool = False
    group: str = ""
    twin: str = ""
    """The system whose random draws it shares; default: its own."""
    labels: tuple[str, ...] = ()
    over: tuple[System, ...] = ()
    """Systems with whose help it ranks: they are fitted before it."""
    draws: bool = True
    seed: int | None = None
    """Of its draws; default: the recipe's."""

    @property
    def entry(self) -> dict[str, Any]:
        """What `model/systems.json` says of it."""
        return {"system": self.name, "ranker": self.ranker, "modalities": self.modalities, "oracle": self.oracle}


@dataclass(frozen=True)
class Material:
    """What systems are fitted to and measured on.

    key: hash of playlists and split. content: hash of each modality and, as `label:KIND`, of each kind of labels.
    missing: modalities whose pretrained weights are not here, and where to give their path.
    """

    split: Split
    modalities: dict[str, Modality]
    key: str
    content: dict[str, str]
    missing: dict[str, str]
    factors: FactorStore | None = None
    labels: dict[str, sp.csr_matrix] = field(default_factory=dict)

    def lacks(self, system: System) -> list[str]:
        """Where to give the paths that a system needs."""
        return [self.missing[name] for name in system.modalities if name in self.missing]


def systems(context: Context) -> list[System]:
    """Every system of the recipe, models first; those that rank with the others' help after them, the reader's upper bound last."""
    recipe = context.recipe
    found = [_model(context, spec) for spec in recipe.models]
    found += [_cold(recipe, spec) for spec in recipe.coldstart.systems]
    found += [baseline_system(recipe, as_baseline(baseline)) for baseline in recipe.baselines]
    found = [_with_others(system, found) for system in sorted(found, key=_place)]
    whole = recipe.evaluation.shows_beginnings and recipe.data.level == "track"  # the bound knows playlists in their own order
    bound = "" if recipe.data.reader == "auto" else plugins.load("segue.readers", recipe.data.reader).upper_bound
    if bound and whole and all(system.ranker != bound for system in found):
        found.append(baseline_system(recipe, BaselineSpec(name=bound, params=recipe.data.options)))
    return found


def described(recipe: Recipe) -> bool:
    """Whether a catalogue is needed: for what the recipe names, or for the labels of a baseline or cold-start system."""
    names = [as_baseline(each).name for each in recipe.baselines] + [each.system for each in recipe.coldstart.systems]
    return recipe.reads_fields or any(getattr(plugins.load("segue.rankers", name), "labels", ()) for name in names)


def replicas(context: Context, system: System) -> list[System]:
    """A system and, where the recipe names several `seeds` and it draws, the same system under each other seed.

    Their names hold a `~`, which no system of a recipe can. Encoders run once, under the first seed.
    """
    others = (context.recipe.seeds or [])[1:] if system.draws else []
    return [system, *(_under(system, seed) for seed in others)]


def _under(system: System, seed: int) -> System:
    """A system under another seed; what shares a training shares that of the same seed."""
    over = tuple(_under(one, seed) for one in system.over) if _trained_as(system) else system.over
    return replace(system, name=under_seed(system.name, seed), twin=system.name, seed=seed, over=over)


def under_seed(name: str, seed: int) -> str:
    """What a system is called under another seed than the first."""
    return f"{name}~seed{seed}"


def less(name: str, modality: str) -> str:
    """What a model is called that was trained without a modality."""
    return f"{name}~{modality}"


def shuffled(name: str, modality: str) -> str:
    """What a model is called that is asked with a modality's vectors dealt out anew."""
    return f"{name}~shuffled~{modality}"


def reduced(context: Context) -> dict[tuple[str, str], System]:
    """Each model of the recipe without each of its modalities, by (name, modality): the same settings, budget and draws otherwise.

    Their names hold a `~`, which no system of a recipe can. Without its last modality a model has its ids alone.
    """
    recipe, found = context.recipe, {}
    for spec in recipe.models if recipe.evaluation.attribution else []:
        name, modalities = spec.system_name(recipe.fusion, recipe.encoders), spec.inputs(recipe.fusion, recipe.encoders)
        for modality in modalities:
            rest = [other for other in modalities if other != modality]
            match = spec.match and any(other in ((spec.fusion or recipe.fusion).match_modalities or rest) for other in rest)
            without = _model(context, spec.model_copy(update={"name": less(name, modality), "modalities": rest, "match": match}))
            heard = _with_others(without, [_cold(recipe, each) for each in recipe.coldstart.systems])
            found[name, modality] = replace(heard, twin=name)
    return found


def _model(context: Context, spec: ModelSpec) -> System:
    recipe = context.recipe
    name, modalities = spec.system_name(recipe.fusion, recipe.encoders), spec.inputs(recipe.fusion, recipe.encoders)
    titles, fusion = recipe.titles if spec.titles else None, spec.fusion or recipe.fusion

    def make(train_titles: Sequence[str | None]) -> Ranker:
        from toolkit.sequential.advised import AdvisedRanker
        from toolkit.sequential.ranker import SequentialRanker

        encoder = _title_encoder(context, titles, train_titles) if titles is not None else None
        kind = SequentialRanker if spec.cold_system is None else AdvisedRanker
        return kind(spec, fusion, name=name, titles=encoder)

    entry = {"model": spec.model_dump(mode="json", exclude={"group", "fusion"}), "fusion": fusion.model_dump(mode="json")}
    told = {**entry, "titles": titles.model_dump() if titles else None}
    return System(name, SEQUENTIAL, told, make, modalities, group=spec.group or "")


def _title_encoder(context: Context, spec: EncoderSpec, titles: Sequence[str | None]) -> Encoder:
    """The encoder of playlist titles; one that learns does so from the distinct training titles."""
    encoder = registry.create(spec.encoder, spec.params, seed=derived_seed(context.recipe.seed, "titles"), device=context.device)
    return encoder.fit(sorted({title for title in titles if title})) if encoder.learns else encoder


def _cold(recipe: Recipe, spec: ColdSystem) -> System:
    cls: type[Ranker] = plugins.load("segue.rankers", spec.system)
    modalities = spec.modalities if spec.modalities is not None else list(recipe.encoders)
    modalities = modalities if getattr(cls, "needs_modalities", False) else []
    entry = {"coldstart": spec.model_dump(mode="json", exclude={"group"}), "factors": recipe.coldstart.factors.model_dump(mode="json")}
    labels = getattr(cls, "labels", ())
    return System(
        spec.system_name, spec.system, entry, lambda _: cls(**spec.params), modalities, cls.oracle, group=spec.group or "", labels=labels
    )


def baseline_system(recipe: Recipe, spec: BaselineSpec) -> System:
    """The row of one baseline."""
    cls: type[Ranker] = plugins.load("segue.rankers", spec.name)
    # a baseline that needs content takes what the models see
    reads = getattr(cls, "needs_modalities", False) or getattr(cls, "reads_modalities", False)
    modalities = list(recipe.fusion.modalities or recipe.encoders) if reads else []
    told = spec.model_dump(mode="json")
    return System(
        spec.name, spec.name, told, lambda _: cls(**spec.params), modalities, cls.oracle, labels=getattr(cls, "labels", ()), draws=cls.draws
    )


def _reads_systems(system: System) -> bool:
    if system.ranker == SEQUENTIAL:
        return system.spec["model"]["cold_system"] is not None
    return bool(getattr(plugins.load("segue.rankers", system.ranker), "reads_systems", False))


def _trained_as(system: System) -> str:
    """The system whose training it shares; empty for its own."""
    return "" if system.ranker == SEQUENTIAL else str(getattr(plugins.load("segue.rankers", system.ranker), "trained_as", ""))


def lender(system: System) -> str:
    """The system of this run whose training it was given; empty where it trained itself."""
    return system.over[0].name if _trained_as(system) and system.over else ""


def _place(system: System) -> int:
    return 2 if _reads_systems(system) else 1 if _trained_as(system) else 0


def _with_others(system: System, found: Sequence[System]) -> System:
    """A system that ranks with the help of others gets those that can be asked about any playlist, itself and its like not among them.

    One that shares a training gets the system that was so trained, if its parameters are the same.
    """
    if shared := _trained_as(system):
        return replace(system, over=tuple(one for one in found if one.name == shared and one.spec["params"] == system.spec["params"]))
    if not _reads_systems(system):
        return system
    sequential = system.ranker == SEQUENTIAL
    wanted = [system.spec["model"]["cold_system"]] if sequential else system.spec["params"].get("systems")
    others = [other for other in found if not other.oracle and not _reads_systems(other) and (wanted is None or other.name in wanted)]
    return replace(system, over=tuple(others))

"""The systems of a recipe: their models, the modalities they use, and the systems they rank with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import scipy.sparse as sp

from segue.modalities import Modality
from segue.model import Model
from segue.model_kinds import RankerModel, SequentialModel
from segue.split import HeldOutPlaylists, Training
from toolkit import plugins
from toolkit.coldstart.factorisation import FactorStore
from toolkit.corpus.splits import HeldOut, Split
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.modality import Modality as Aligned
from toolkit.pipeline.run.run_context import Context
from toolkit.ranker import Capabilities, Ranker
from toolkit.ranker_registry import ranker_class
from toolkit.recipe import BaselineSpec, ColdSystem, EncoderSpec, ModelSpec, Recipe
from toolkit.recipe.baseline_section import as_baseline
from toolkit.result_types import SystemEntry
from toolkit.seeds import derived_seed


@dataclass(frozen=True)
class System:
    """One row of the tables.

    - ranker: name of its class, for `load_ranker`. capabilities: those of that class.
    - spec: the recipe's entry, which decides the result together with the data.
    - make: its model, over the modalities that it uses.
    - modalities: names of those modalities. params: of its ranker, if its class is made of parameters alone.
    - group: heading in the tables.
    - twin: the system whose random draws it shares; default: its own.
    - helpers: names of the systems that it ranks with; None: all that it can.
    - over: those systems, which are fitted before it.
    - draws: whether it is fitted under each of the recipe's seeds. seed: of its draws; default: the recipe's.
    """

    name: str
    ranker: str
    spec: Mapping[str, object]
    make: Callable[[Sequence[Modality]], Model]
    capabilities: Capabilities
    modalities: list[str] = field(default_factory=list)
    params: Mapping[str, object] | None = None
    group: str = ""
    twin: str = ""
    helpers: Sequence[str] | None = None
    over: tuple[System, ...] = ()
    draws: bool = True
    seed: int | None = None

    @property
    def entry(self) -> SystemEntry:
        """Its entry in `model/systems.json`."""
        return {"system": self.name, "ranker": self.ranker, "modalities": self.modalities, "oracle": self.oracle}

    @property
    def oracle(self) -> bool:
        return self.capabilities.oracle

    @property
    def labels(self) -> tuple[str, ...]:
        return self.capabilities.labels

    @property
    def training_of(self) -> str:
        """The system of this run whose training it shares; empty if it has its own."""
        return self.over[0].name if self.capabilities.shares_training_of and self.over else ""


@dataclass(frozen=True)
class Material:
    """What systems are fitted to and measured on.

    - train: the training playlists, with what systems share of them. split: all parts, as arrays.
    - encoded: the modalities. coverage: their rows of `coverage.json`.
    - key: hash of playlists and split.
    - content: hash of each modality and, as `label:KIND`, of each kind of labels.
    - missing: modalities whose pretrained weights are not here, and the key of the recipe that gives their path.
    """

    train: Training
    split: Split
    encoded: dict[str, Modality]
    key: str
    content: dict[str, str]
    missing: dict[str, str]
    labels: dict[str, sp.csr_matrix] = field(default_factory=dict)
    coverage: list[dict[str, object]] = field(default_factory=list)

    @property
    def modalities(self) -> dict[str, Aligned]:
        """The modalities in the order of the catalogue."""
        return {name: modality.on(self.train.data.corpus) for name, modality in self.encoded.items()}

    @property
    def factors(self) -> FactorStore | None:
        return self.train.store

    def held_out(self, part: str) -> HeldOutPlaylists:
        """The playlists of `valid` or `test`."""
        return HeldOutPlaylists(self.train.data, held_out(self.split, part), self.train, part)

    def missing_paths(self, system: System) -> list[str]:
        """Keys of the recipe that give the paths to weights which a system needs and which are not here."""
        return [self.missing[name] for name in system.modalities if name in self.missing]


def held_out(split: Split, part: str) -> HeldOut:
    """The playlists of `valid` or `test`."""
    return {"valid": split.valid, "test": split.test}[part]


def systems(context: Context) -> list[System]:
    """Every system of the recipe: models first, then those that rank with others, then the reader's upper bound."""
    recipe = context.recipe
    every = [_model(context, spec) for spec in recipe.models]
    every += [_cold(context, spec) for spec in recipe.coldstart.systems]
    every += [baseline_system(context, as_baseline(baseline)) for baseline in recipe.baselines]
    every = [_with_others(system, every) for system in sorted(every, key=_order)]
    # the bound knows playlists in their own order
    whole = recipe.evaluation.split.shows_beginnings and recipe.data.level == "track"
    bound = "" if recipe.data.reader == "auto" else plugins.load("segue.readers", recipe.data.reader).upper_bound
    if bound and whole and all(system.ranker != bound for system in every):
        every.append(baseline_system(context, BaselineSpec(name=bound, params=recipe.data.options)))
    return every


def needs_catalogue(recipe: Recipe) -> bool:
    """Whether the recipe reads fields of the catalogue, or one of its systems its labels."""
    names = [as_baseline(each).name for each in recipe.baselines] + [each.system for each in recipe.coldstart.systems]
    return recipe.reads_fields or any(ranker_class(name).capabilities.labels for name in names)


def replicas(context: Context, system: System) -> list[System]:
    """A system and, where the recipe names several `seeds` and it draws, the same system under each other seed.

    Their names hold a `~`, which no system of a recipe can. Encoders run once, under the first seed.
    """
    others = (context.recipe.seeds or [])[1:] if system.draws else []
    return [system, *(_under(system, seed) for seed in others)]


def _under(system: System, seed: int) -> System:
    """A system under another seed. One that shares a training shares that of the same seed."""
    over = (
        tuple(_under(other, seed) for other in system.over) if system.capabilities.shares_training_of else system.over
    )
    return replace(system, name=name_under_seed(system.name, seed), twin=system.name, seed=seed, over=over)


def name_under_seed(name: str, seed: int) -> str:
    """Name of a system under another seed than the first."""
    return f"{name}~seed{seed}"


def name_without(name: str, modality: str) -> str:
    """Name of a model that was trained without a modality."""
    return f"{name}~{modality}"


def name_shuffled(name: str, modality: str) -> str:
    """Name of a model that is queried with the vectors of a modality shuffled among the tracks."""
    return f"{name}~shuffled~{modality}"


def models_without(context: Context) -> dict[tuple[str, str], System]:
    """Each model of the recipe without each of its modalities, by (name, modality): same settings, budget and draws.

    Their names hold a `~`, which no system of a recipe can. Without its last modality a model has its ids alone.
    """
    recipe, reduced = context.recipe, {}
    for spec in recipe.models if recipe.evaluation.attribution else []:
        name, modalities = spec.system_name(recipe.fusion, recipe.encoders), spec.inputs(recipe.fusion, recipe.encoders)
        for modality in modalities:
            rest = [other for other in modalities if other != modality]
            matched = (spec.fusion or recipe.fusion).match_modalities or rest
            match = spec.match and any(other in matched for other in rest)
            changes = {"name": name_without(name, modality), "modalities": rest, "match": match}
            model = _model(context, spec.model_copy(update=changes))
            helped = _with_others(model, [_cold(context, each) for each in recipe.coldstart.systems])
            reduced[name, modality] = replace(helped, twin=name)
    return reduced


def _model(context: Context, spec: ModelSpec) -> System:
    from toolkit.sequential.hybrid import AdvisedRanker
    from toolkit.sequential.sequential_ranker import SequentialRanker

    recipe = context.recipe
    name, modalities = spec.system_name(recipe.fusion, recipe.encoders), spec.inputs(recipe.fusion, recipe.encoders)
    titles, fusion = recipe.titles if spec.titles else None, spec.fusion or recipe.fusion
    cls = SequentialRanker if spec.cold_system is None else AdvisedRanker

    def make(chosen: Sequence[Modality]) -> Model:
        encoder = None if titles is None else _title_encoder(context, titles)
        return SequentialModel.of(
            spec, fusion, name=name, modalities=chosen, seed=recipe.seed, device=context.device, title_encoder=encoder
        )

    entry = {
        "model": spec.model_dump(mode="json", exclude={"group", "fusion"}),
        "fusion": fusion.model_dump(mode="json"),
    }
    decided = {**entry, "titles": titles.model_dump() if titles else None}
    helpers = None if spec.cold_system is None else [spec.cold_system]
    return System(name, cls.name, decided, make, cls.capabilities, modalities, group=spec.group or "", helpers=helpers)


def _title_encoder(context: Context, spec: EncoderSpec) -> Encoder:
    """The encoder of playlist titles; one that learns is fitted with the model, to the training titles."""
    return registry.create(
        spec.encoder, spec.params, seed=derived_seed(context.recipe.seed, "titles"), device=context.device
    )


def _cold(context: Context, spec: ColdSystem) -> System:
    recipe, cls = context.recipe, ranker_class(spec.system)
    modalities = spec.modalities if spec.modalities is not None else list(recipe.encoders)
    entry = {
        "coldstart": spec.model_dump(mode="json", exclude={"group"}),
        "factors": recipe.coldstart.factors.model_dump(mode="json"),
    }
    return System(
        spec.system_name,
        spec.system,
        entry,
        _maker(context, cls, spec.system_name, spec.params),
        cls.capabilities,
        modalities if cls.capabilities.content != "none" else [],
        spec.params,
        group=spec.group or "",
        helpers=_helpers(spec.params),
    )


def baseline_system(context: Context, spec: BaselineSpec) -> System:
    """The system of one baseline, which reads the content that the models read."""
    recipe, cls = context.recipe, ranker_class(spec.name)
    modalities = list(recipe.fusion.modalities or recipe.encoders) if cls.capabilities.content != "none" else []
    return System(
        spec.system_name,
        spec.name,
        spec.model_dump(mode="json"),
        _maker(context, cls, spec.system_name, spec.params),
        cls.capabilities,
        modalities,
        spec.params,
        helpers=_helpers(spec.params),
        draws=not cls.capabilities.deterministic,
    )


def _helpers(params: Mapping[str, object]) -> list[str] | None:
    names = params.get("systems")
    return [str(name) for name in names] if isinstance(names, list) else None


def _maker(
    context: Context, cls: type[Ranker], name: str, params: Mapping[str, Any]
) -> Callable[[Sequence[Modality]], Model]:
    seed, device = context.recipe.seed, context.device
    return lambda chosen: RankerModel(cls, name=name, modalities=chosen, seed=seed, device=device, **params)


def _order(system: System) -> int:
    """0 for systems that need no other, 1 for those that share a training, 2 for those that rank with others."""
    return 2 if system.capabilities.systems else 1 if system.capabilities.shares_training_of else 0


def _with_others(system: System, every: Sequence[System]) -> System:
    """A system with those that it ranks with: all that can be queried for any playlist and need no others themselves.

    One that shares a training gets the system that was trained so, if its parameters are the same.
    """
    if shared := system.capabilities.shares_training_of:
        return replace(
            system, over=tuple(other for other in every if other.ranker == shared and other.params == system.params)
        )
    if not system.capabilities.systems:
        return system
    able = (other for other in every if not other.oracle and not other.capabilities.systems)
    return replace(
        system, over=tuple(other for other in able if system.helpers is None or other.name in system.helpers)
    )

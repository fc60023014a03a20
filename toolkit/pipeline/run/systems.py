"""The systems of a recipe: what each is, what it sees, and with whose help it ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import scipy.sparse as sp

from segue.kinds import RankerModel, SequentialModel
from segue.modalities import Modality
from segue.model import Model
from segue.split import HeldOutPlaylists, Training
from toolkit import plugins
from toolkit.coldstart.factorisation import FactorStore
from toolkit.corpus.splits import Split
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.modality import Modality as Aligned
from toolkit.pipeline.run.run_context import Context
from toolkit.ranker import Capabilities, Ranker
from toolkit.ranker_registry import ranker_class
from toolkit.recipe import BaselineSpec, ColdSystem, EncoderSpec, ModelSpec, Recipe
from toolkit.recipe.baseline_section import as_baseline
from toolkit.seeds import derived_seed


@dataclass(frozen=True)
class System:
    """One row of the tables.

    ranker: the name of its class, for `load_ranker`. capabilities: those of that class.
    spec: the recipe's entry, which with the data decides the result.
    params: of its ranker, where its class is made of parameters alone.
    """

    name: str
    ranker: str
    spec: dict[str, Any]
    make: Callable[[Sequence[Modality]], Model]
    """The model of it, over the modalities that it uses."""
    capabilities: Capabilities
    modalities: list[str] = field(default_factory=list)
    params: dict[str, Any] | None = None
    group: str = ""
    twin: str = ""
    """The system whose random draws it shares; default: its own."""
    helpers: Sequence[str] | None = None
    """Of systems that rank with the help of others, the others' names; None: all."""
    over: tuple[System, ...] = ()
    """Systems with whose help it ranks: they are fitted before it."""
    draws: bool = True
    """Whether it is fitted under each of the recipe's seeds."""
    seed: int | None = None
    """Of its draws; default: the recipe's."""

    @property
    def entry(self) -> dict[str, Any]:
        """What `model/systems.json` says of it."""
        return {"system": self.name, "ranker": self.ranker, "modalities": self.modalities, "oracle": self.oracle}

    @property
    def oracle(self) -> bool:
        return self.capabilities.oracle

    @property
    def labels(self) -> tuple[str, ...]:
        return self.capabilities.labels


@dataclass(frozen=True)
class Material:
    """What systems are fitted to and measured on.

    train: the training playlists, with what systems share of them. split: all parts, as arrays.
    encoded: the modalities. key: hash of playlists and split.
    content: hash of each modality and, as `label:KIND`, of each kind of labels.
    missing: modalities whose pretrained weights are not here, and where to give their path.
    """

    train: Training
    split: Split
    encoded: dict[str, Modality]
    key: str
    content: dict[str, str]
    missing: dict[str, str]
    labels: dict[str, sp.csr_matrix] = field(default_factory=dict)

    @property
    def modalities(self) -> dict[str, Aligned]:
        """The modalities in the order of the catalogue."""
        return {name: modality.on(self.train.data.corpus) for name, modality in self.encoded.items()}

    @property
    def factors(self) -> FactorStore | None:
        return self.train.store

    def held_out(self, part: str) -> HeldOutPlaylists:
        """The playlists of `valid` or `test`."""
        held = {"valid": self.split.valid, "test": self.split.test}[part]
        return HeldOutPlaylists(self.train.data, held, self.train, part)

    def lacks(self, system: System) -> list[str]:
        """Where to give the paths that a system needs."""
        return [self.missing[name] for name in system.modalities if name in self.missing]


def systems(context: Context) -> list[System]:
    """Every system of the recipe, models first; those that rank with the others' help after them, the reader's upper bound last."""
    recipe = context.recipe
    found = [_model(context, spec) for spec in recipe.models]
    found += [_cold(context, spec) for spec in recipe.coldstart.systems]
    found += [baseline_system(context, as_baseline(baseline)) for baseline in recipe.baselines]
    found = [_with_others(system, found) for system in sorted(found, key=_order)]
    whole = (
        recipe.evaluation.split.shows_beginnings and recipe.data.level == "track"
    )  # the bound knows playlists in their own order
    bound = "" if recipe.data.reader == "auto" else plugins.load("segue.readers", recipe.data.reader).upper_bound
    if bound and whole and all(system.ranker != bound for system in found):
        found.append(baseline_system(context, BaselineSpec(name=bound, params=recipe.data.options)))
    return found


def described(recipe: Recipe) -> bool:
    """Whether a catalogue is needed: for what the recipe names, or for the labels of a baseline or cold-start system."""
    names = [as_baseline(each).name for each in recipe.baselines] + [each.system for each in recipe.coldstart.systems]
    return recipe.reads_fields or any(ranker_class(name).capabilities.labels for name in names)


def replicas(context: Context, system: System) -> list[System]:
    """A system and, where the recipe names several `seeds` and it draws, the same system under each other seed.

    Their names hold a `~`, which no system of a recipe can. Encoders run once, under the first seed.
    """
    others = (context.recipe.seeds or [])[1:] if system.draws else []
    return [system, *(_under(system, seed) for seed in others)]


def _under(system: System, seed: int) -> System:
    """A system under another seed; what shares a training shares that of the same seed."""
    over = tuple(_under(one, seed) for one in system.over) if system.capabilities.shares_training_of else system.over
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
            match = spec.match and any(
                other in ((spec.fusion or recipe.fusion).match_modalities or rest) for other in rest
            )
            without = _model(
                context, spec.model_copy(update={"name": less(name, modality), "modalities": rest, "match": match})
            )
            heard = _with_others(without, [_cold(context, each) for each in recipe.coldstart.systems])
            found[name, modality] = replace(heard, twin=name)
    return found


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
        helpers=spec.params.get("systems"),
    )


def baseline_system(context: Context, spec: BaselineSpec) -> System:
    """The row of one baseline; it reads the content that the models read."""
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
        helpers=spec.params.get("systems"),
        draws=not cls.capabilities.deterministic,
    )


def _maker(
    context: Context, cls: type[Ranker], name: str, params: dict[str, Any]
) -> Callable[[Sequence[Modality]], Model]:
    seed, device = context.recipe.seed, context.device
    return lambda chosen: RankerModel(cls, name=name, modalities=chosen, seed=seed, device=device, **params)


def lender(system: System) -> str:
    """The system of this run whose training it was given; empty where it trained itself."""
    return system.over[0].name if system.capabilities.shares_training_of and system.over else ""


def _order(system: System) -> int:
    """0 for systems that need no other, 1 for those that share a training, 2 for those that rank with the help of others."""
    return 2 if system.capabilities.systems else 1 if system.capabilities.shares_training_of else 0


def _with_others(system: System, found: Sequence[System]) -> System:
    """A system that ranks with the help of others gets those that can be queried for any playlist, itself and its like not among them.

    One that shares a training gets the system that was so trained, if its parameters are the same.
    """
    if shared := system.capabilities.shares_training_of:
        over = tuple(one for one in found if one.ranker == shared and one.params == system.params)
        return replace(system, over=over)
    if not system.capabilities.systems:
        return system
    helpers = [other for other in found if not other.oracle and not other.capabilities.systems]
    return replace(
        system, over=tuple(other for other in helpers if system.helpers is None or other.name in system.helpers)
    )

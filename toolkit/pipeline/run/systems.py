"""Systems of a recipe: models, their modalities, and the systems that they combine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from segue.modalities import Modality
from segue.model import Model
from segue.model_kinds import RankerModel, SequentialModel
from segue.split import HeldOutPlaylists, Training
from toolkit import plugins
from toolkit.corpus.splits import HeldOut, Split
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.modality import Modality as Aligned
from toolkit.pipeline.run.run_context import Context
from toolkit.ranker import Capabilities, Ranker
from toolkit.ranker_registry import ranker_class
from toolkit.recipe import BaselineSpec, ColdSystem, EncoderSpec, ModelSpec, Recipe, as_baseline, cross_checks
from toolkit.result_types import EncoderRow, SystemEntry
from toolkit.seeds import derived_seed


@dataclass(frozen=True)
class System:
    """Row of the tables.

    - ranker: name of the ranker class, for `load_ranker`.
    - capabilities: capabilities of that class.
    - spec: the recipe entry, which determines the result together with the data.
    - make: function that returns the model for its modalities.
    - unfitted: function that returns its ranker without content, to check what it requires.
    - modalities: names of these modalities.
    - params: parameters of the ranker, if they suffice to create it.
    - group: heading in the tables.
    - twin: the system with the same random draws; default: its own name.
    - helpers: names of the systems that it combines; None: all suitable systems.
    - over: the combined systems, which are fitted first.
    - draws: whether it is fitted with each seed in the recipe.
    - seed: seed of the random draws; default: the recipe's seed.
    """

    name: str
    ranker: str
    spec: Mapping[str, object]
    make: Callable[[Sequence[Modality]], Model]
    unfitted: Callable[[], Ranker]
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
        """The entry in `model/systems.json`."""
        return {"system": self.name, "ranker": self.ranker, "modalities": self.modalities, "oracle": self.oracle}

    @property
    def oracle(self) -> bool:
        return self.capabilities.oracle

    @property
    def labels(self) -> tuple[str, ...]:
        return self.capabilities.labels

    @property
    def training_of(self) -> str:
        """The system with the same training, or an empty text."""
        return self.over[0].name if self.capabilities.shares_training_of and self.over else ""


@dataclass(frozen=True)
class Material:
    """Data that systems are fitted to and measured on.

    - train: the training playlists, with data that systems share.
    - split: all parts, as arrays.
    - encoded: the modalities.
    - coverage, encoders: their rows of `coverage.json` and of `encoders.json`.
    - key: hash of playlists and split.
    - shared: hidden tracks whose recording is in training under another id, by part, int64.
    - content: hash of each modality and, as `label:KIND`, of each kind of labels.
    - missing: modalities without their pretrained weights, and the recipe key for the path of the weights.
    """

    train: Training
    split: Split
    encoded: dict[str, Modality]
    key: str
    content: dict[str, str]
    missing: dict[str, str]
    labels: dict[str, sp.csr_matrix] = field(default_factory=dict)
    coverage: list[dict[str, object]] = field(default_factory=list)
    shared: dict[str, np.ndarray] = field(default_factory=dict)
    encoders: list[EncoderRow] = field(default_factory=list)

    @property
    def modalities(self) -> dict[str, Aligned]:
        """The modalities in catalogue order."""
        return {name: modality.on(self.train.data.corpus) for name, modality in self.encoded.items()}

    def held_out(self, part: str) -> HeldOutPlaylists:
        """Return the playlists of `valid` or `test`."""
        return HeldOutPlaylists(self.train.data, held_out(self.split, part), self.train, part)

    def missing_paths(self, system: System) -> list[str]:
        """Return the recipe keys for the paths of missing weights that a system requires."""
        return [self.missing[name] for name in system.modalities if name in self.missing]


def held_out(split: Split, part: str) -> HeldOut:
    """Return the playlists of `valid` or `test`."""
    return {"valid": split.valid, "test": split.test}[part]


def systems(context: Context) -> list[System]:
    """Return all systems in the recipe: models, then systems that combine others, then the reader's upper bound."""
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
    """Return whether the recipe or one of its systems reads catalogue fields."""
    return recipe.reads_fields or any(
        ranker_class(name).capabilities.labels for _, name in cross_checks.rankers(recipe)
    )


def replicas(context: Context, system: System) -> list[System]:
    """Return a system and, if the recipe has several `seeds` and the system draws, its replicas for the other seeds.

    Replica names contain a `~`, which is not allowed in system names. Encoders run once, with the first seed.
    """
    others = (context.recipe.seeds or [])[1:] if system.draws else []
    return [system, *(_under(system, seed) for seed in others)]


def _under(system: System, seed: int) -> System:
    """Return a system with another seed. A system with shared training shares the training with that seed."""
    over = (
        tuple(_under(other, seed) for other in system.over) if system.capabilities.shares_training_of else system.over
    )
    return replace(system, name=name_under_seed(system.name, seed), twin=system.name, seed=seed, over=over)


def name_under_seed(name: str, seed: int) -> str:
    """Return the name of a system with a seed other than the first."""
    return f"{name}~seed{seed}"


def name_without(name: str, modality: str) -> str:
    """Return the name of a model that was trained without a modality."""
    return f"{name}~{modality}"


def name_shuffled(name: str, modality: str) -> str:
    """Return the name of a model with the vectors of a modality shuffled among the tracks."""
    return f"{name}~shuffled~{modality}"


def models_without(context: Context) -> dict[tuple[str, str], System]:
    """Return each model without each of its modalities, by (name, modality), with the same settings, budget and draws.

    Names contain a `~`, which is not allowed in system names. A model without its last modality uses ids alone.
    """
    recipe, reduced = context.recipe, {}
    for spec in recipe.models:
        name, modalities = spec.system_name(recipe.fusion, recipe.encoders), spec.inputs(recipe.fusion, recipe.encoders)
        for modality in modalities if recipe.evaluation.attributes(name) else []:
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

    decided = {
        "model": spec.model_dump(mode="json", exclude={"group", "fusion"}),
        "fusion": fusion.model_dump(mode="json"),
        "titles": titles.model_dump() if titles else None,
    }
    untitled = spec.model_copy(update={"titles": False})  # the title encoder is not needed, and may have to be fitted
    return System(
        name,
        cls.name,
        decided,
        make,
        lambda: cls(untitled, fusion, name=name),
        cls.capabilities,
        modalities,
        group=spec.group or "",
        helpers=None if spec.cold_system is None else [spec.cold_system],
    )


def _title_encoder(context: Context, spec: EncoderSpec) -> Encoder:
    """Return the encoder of playlist titles. A trainable encoder is fitted with the model, to the training titles."""
    return registry.create(
        spec.encoder, spec.params, seed=derived_seed(context.recipe.seed, "titles"), device=context.device
    )


def title_weights(context: Context, system: System) -> str:
    """Return the hash of the files of the encoder of playlist titles, or "" for a system without one."""
    titles = context.recipe.titles if system.spec.get("titles") else None
    return "" if titles is None else _title_encoder(context, titles).fingerprint()


def _cold(context: Context, spec: ColdSystem) -> System:
    recipe, cls = context.recipe, ranker_class(spec.system)
    modalities = spec.modalities if spec.modalities is not None else list(recipe.encoders)
    return System(
        spec.system_name,
        spec.system,
        {
            "coldstart": spec.model_dump(mode="json", exclude={"group"}),
            "factors": recipe.coldstart.factors.model_dump(mode="json"),
        },
        _maker(context, cls, spec.system_name, spec.params),
        lambda: cls(**spec.params),
        cls.capabilities,
        modalities if cls.capabilities.content != "none" else [],
        spec.params,
        group=spec.group or "",
        helpers=_helpers(spec.params),
    )


def baseline_system(context: Context, spec: BaselineSpec) -> System:
    """Return the system of a baseline, which reads the same content as the models."""
    recipe, cls = context.recipe, ranker_class(spec.name)
    return System(
        spec.system_name,
        spec.name,
        spec.model_dump(mode="json"),
        _maker(context, cls, spec.system_name, spec.params),
        lambda: cls(**spec.params),
        cls.capabilities,
        list(recipe.fusion.modalities or recipe.encoders) if cls.capabilities.content != "none" else [],
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
    """Return 0 for independent systems, 1 for systems with shared training, 2 for systems that combine others."""
    return 2 if system.capabilities.systems else 1 if system.capabilities.shares_training_of else 0


def _with_others(system: System, every: Sequence[System]) -> System:
    """Return a system with the independent systems that it combines, which can rank for any playlist.

    A system with shared training gets the system with that training, if the parameters are the same.
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

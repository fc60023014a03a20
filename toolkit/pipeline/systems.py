"""The systems of a recipe: each fitted, saved, loaded again and evaluated, so that what is measured is what is kept."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from toolkit import plugins
from toolkit.coldstart.factors import FactorStore
from toolkit.compute import derived_seed
from toolkit.continuation import load_ranker
from toolkit.corpus.splits import HeldOut, Split
from toolkit.encoders import registry
from toolkit.encoders.base import Encoder
from toolkit.errors import SegueError
from toolkit.evaluation import slices
from toolkit.evaluation.evaluator import Key, Scores, evaluate
from toolkit.files import digest, folder, write_bytes
from toolkit.modality import Modality
from toolkit.pipeline.context import Context
from toolkit.pipeline.meter import metered
from toolkit.ranker import Ranker, TrainingData
from toolkit.recipe import BaselineSpec, ColdSystem, EncoderSpec, ModelSpec, Recipe
from toolkit.recipe.checks import as_baseline
from toolkit.runs import MODEL, STAGES, RunDirectory

BOUND = "upper-bound"
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
    """Every system of the recipe, models first; those that rank with the others' help after them, the demo's upper bound last."""
    recipe = context.recipe
    found = [_model(context, spec) for spec in recipe.models]
    found += [_cold(recipe, spec) for spec in recipe.coldstart.systems]
    found += [baseline_system(recipe, as_baseline(baseline)) for baseline in recipe.baselines]
    found = [_with_others(system, found) for system in sorted(found, key=_place)]
    whole = recipe.evaluation.shows_beginnings and recipe.data.level == "track"  # the bound knows playlists in their own order
    if recipe.data.reader == "demo" and whole and all(system.ranker != BOUND for system in found):
        found.append(baseline_system(recipe, BaselineSpec(name=BOUND, params=recipe.data.options)))
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


def fit(context: Context, system: System, material: Material) -> dict[str, Any]:
    """Fit and save a system; returns fit_seconds, peak_mb, curve and underfit."""

    def make(workdir: Path) -> tuple[Sequence[Path], Any]:
        target = context.run.path(f"{MODEL}/{system.name}")
        with metered(context.device) as meter:
            ranker = system.make(material.split.train.titles())
            _fit_with_all(context, system, ranker, material, workdir)
        with folder(target) as unfinished:
            ranker.save(unfinished)
        learned = {"curve": getattr(ranker, "curve", []), "underfit": bool(getattr(ranker, "underfit", False))}
        return [target, *files(target)], {"fit_seconds": meter.seconds, "peak_mb": meter.peak_mb, **learned}

    result: dict[str, Any] = context.run.stage(f"fit-{system.name}", _inputs(context, system, material), make)
    return result


def fit_along(context: Context, material: Material, asked: dict[str, str]) -> None:
    """Fit with the first process what it `asked` for; what comes of it is the first one's."""
    if asked["material"] != _whole(material):
        raise SegueError("the processes of this run read different data: it must not change, and all must see the same")
    known = [*(each for system in systems(context) for each in replicas(context, system)), *reduced(context).values()]
    system = next(system for system in known if system.name == asked["system"])
    _fit(context, system, system.make(material.split.train.titles()), material, Path(asked["workdir"]))


def _fit_with_all(context: Context, system: System, ranker: Ranker, material: Material, workdir: Path) -> None:
    """Fit a system, with every process there is where it can use them."""
    if system.ranker == SEQUENTIAL:
        from toolkit.sequential import distributed

        distributed.current().decide(lambda: {"system": system.name, "workdir": str(workdir.resolve()), "material": _whole(material)})
    _fit(context, system, ranker, material, workdir)


def score(context: Context, system: System, material: Material, part: str) -> tuple[Scores, dict[str, Any]]:
    """Evaluate a fitted system on `valid` or `test`; returns the scores, evaluate_seconds and peak_mb."""
    return _score(context, system, material, part, system.name, lambda: load(context, system))


def score_shuffled(context: Context, system: System, material: Material, modality: str) -> Scores | None:
    """Evaluate a fitted model on `test` with one modality dealt out anew among the tracks that have it.

    None where the model does not read it apart from the others (`reduce_joint: pca`).
    """
    from toolkit.sequential.ranker import SequentialRanker

    ranker = load(context, system)
    assert isinstance(ranker, SequentialRanker)
    if not ranker.apart(modality):
        return None

    def dealt_anew() -> Ranker:
        seed = derived_seed(context.recipe.seed, "shuffle", system.name, modality)
        ranker.shuffle(modality, material.modalities[modality].present, seed=seed)
        return ranker

    return _score(context, system, material, "test", shuffled(system.name, modality), dealt_anew)[0]


def _score(
    context: Context, system: System, material: Material, part: str, name: str, make_ranker: Callable[[], Ranker]
) -> tuple[Scores, dict[str, Any]]:
    path = scores_file(context.run, name, part)
    evaluation = context.recipe.evaluation

    asked, counts = held_out(material.split, part), material.split.train.counts()
    # where weights may come later, what others were measured on must not change by them
    described = {} if context.recipe.on_missing_weights == "skip" else material.modalities
    parts = slices.by_track(counts, {name: each.present for name, each in described.items()}, evaluation.slices)

    def make(_: Path) -> tuple[Sequence[Path], Any]:
        context.reporter(0, len(asked), f"{name} on {part}")
        with metered(context.device) as meter:
            scores = evaluate(
                make_ranker(),
                asked,
                ks=evaluation.k,
                metrics=evaluation.metrics,
                train_counts=counts,
                parts=parts,
                allow_repeats=evaluation.allow_repeats,
                memory_mb=evaluation.memory_mb,
                progress=lambda done, total, _: context.reporter(done, total, f"{name} on {part}"),
            )
        write_bytes(path, packed(scores))
        return [path], {"evaluate_seconds": meter.seconds, "peak_mb": meter.peak_mb}

    inputs = {**_inputs(context, system, material), "parts": digest({name: digest(inside.tolist()) for name, inside in parts.items()})}
    result = context.run.stage(f"evaluate-{name}-{part}", inputs, make)
    return unpacked(path), result


def load(context: Context, system: System) -> Ranker:
    """The fitted system from the run directory."""
    return load_ranker(system.entry, context.run.path(f"{MODEL}/{system.name}"), device=context.device)


def files(target: Path) -> list[Path]:
    """What a fitted system is kept in; one that is gone has it fitted again."""
    return sorted(file for file in target.rglob("*") if file.is_file())


def held_out(split: Split, part: str) -> HeldOut:
    return {"valid": split.valid, "test": split.test}[part]


def scores_file(run: RunDirectory, name: str, part: str) -> Path:
    """Where a run keeps what a system, also one under another seed or a variant, reached on `valid` or `test`: `unpacked` reads it."""
    return run.path(f"{STAGES}/evaluate-{name}-{part}.npz")


def packed(scores: Scores) -> bytes:
    """Scores as the bytes of an npz file."""
    arrays = {f"values|{name}|{metric}|{k}": values for (name, metric, k), values in scores.values.items()}
    arrays |= {f"n_hidden|{name}": counts for name, counts in scores.n_hidden.items()}
    arrays |= {f"overall|{metric}|{k}": np.array(value) for (metric, k), value in scores.overall.items()}
    buffer = io.BytesIO()
    np.savez(buffer, top=scores.top, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(path: Path) -> Scores:
    """What `packed` packed."""
    values: dict[Key, np.ndarray] = {}
    n_hidden: dict[str, np.ndarray] = {}
    overall: dict[tuple[str, int], float] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            kind, *parts = name.split("|")
            if kind == "values":
                values[parts[0], parts[1], int(parts[2])] = arrays[name]
            elif kind == "n_hidden":
                n_hidden[parts[0]] = arrays[name]
            elif kind == "overall":
                overall[parts[0], int(parts[1])] = float(arrays[name])
        return Scores(values, n_hidden, arrays["top"], overall)


def _inputs(context: Context, system: System, material: Material) -> dict[str, Any]:
    """What decides a system's result: of the modalities those it sees alone, so that weights given later leave the others as they are."""
    seed = {} if system.seed is None else {"seed": system.seed}
    content = [material.content[name] for name in system.modalities]
    content += [material.content[f"label:{kind}"] for kind in system.labels if kind in material.labels]
    over = [_inputs(context, other, material) for other in system.over]
    own = context.inputs(material=material.key, content=content, spec=system.spec, **({"over": over} if over else {}))
    return {**own, **seed}


def _whole(material: Material) -> str:
    return digest([material.key, material.content])


def _fit(context: Context, system: System, ranker: Ranker, material: Material, workdir: Path) -> None:
    chosen = {name: material.modalities[name] for name in system.modalities}
    seed = derived_seed(context.recipe.seed if system.seed is None else system.seed, "system", system.twin or system.name)
    labels = {kind: material.labels[kind] for kind in system.labels if kind in material.labels}
    others = {other.name: load(context, other) for other in system.over}
    split = material.split
    data = TrainingData(
        split.train, split.valid, chosen, workdir, seed, context.device, factors=material.factors, labels=labels, systems=others
    )
    fitting: Any = ranker.fit
    if "on_step" in inspect.signature(fitting).parameters:
        fitting(data, on_step=context.progress(f"{system.name}, ", per_epoch=system.ranker == SEQUENTIAL))
    else:
        fitting(data)


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

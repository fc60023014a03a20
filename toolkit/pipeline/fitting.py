"""Each system fitted, saved, loaded again and evaluated, so that what is measured is what is kept."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import SegueError
from toolkit.evaluation import slices
from toolkit.evaluation.evaluator import Key, Scores, evaluate
from toolkit.files import digest, folder, write_bytes
from toolkit.pipeline import systems
from toolkit.pipeline.context import Context
from toolkit.pipeline.meter import metered
from toolkit.pipeline.own_code import sources
from toolkit.pipeline.systems import Material, System
from toolkit.ranker import Ranker, TrainingData
from toolkit.rankers import load_ranker
from toolkit.runs import MODEL, STAGES, RunDirectory
from toolkit.seeds import derived_seed


def fit(context: Context, system: System, material: Material) -> dict[str, Any]:
    """Fit and save a system; returns fit_seconds, peak_mb, curve and underfit."""

    def make(workdir: Path) -> tuple[Sequence[Path], Any]:
        target = context.run.path(f"{MODEL}/{system.name}")
        with metered(context.device) as meter:
            ranker = system.make(material.split.train.titles())
            _fit_with_all(context, system, ranker, material, workdir)
        with folder(target) as unfinished:
            ranker.save(unfinished)
        learned = {"curve": list(ranker.curve), "underfit": ranker.underfit}
        return [target, *files(target)], {"fit_seconds": meter.seconds, "peak_mb": meter.peak_mb, **learned}

    result: dict[str, Any] = context.run.stage(f"fit-{system.name}", inputs(context, system, material), make)
    return result


def fit_along(context: Context, material: Material, asked: dict[str, str]) -> None:
    """Fit with the first process what it `asked` for; what comes of it is the first one's."""
    if asked["material"] != whole(material):
        raise SegueError("the processes of this run read different data: it must not change, and all must see the same")
    known = [each for system in systems.systems(context) for each in systems.replicas(context, system)]
    known += systems.reduced(context).values()
    system = next(system for system in known if system.name == asked["system"])
    fit_ranker(context, system, system.make(material.split.train.titles()), material, Path(asked["workdir"]))


def _fit_with_all(context: Context, system: System, ranker: Ranker, material: Material, workdir: Path) -> None:
    """Fit a system, with every process there is where it can use them."""
    if system.capabilities.distributed:
        from toolkit.sequential import distributed

        distributed.current().decide(lambda: {"system": system.name, "workdir": str(workdir.resolve()), "material": whole(material)})
    fit_ranker(context, system, ranker, material, workdir)


def score(context: Context, system: System, material: Material, part: str) -> tuple[Scores, dict[str, Any]]:
    """Evaluate a fitted system on `valid` or `test`; returns the scores, evaluate_seconds and peak_mb."""
    return _score(context, system, material, part, system.name, lambda: load(context, system))


def score_shuffled(context: Context, system: System, material: Material, modality: str) -> Scores | None:
    """Evaluate a fitted model on `test` with one modality dealt out anew among the tracks that have it.

    None where the model does not read it apart from the others (`reduce_joint: pca`).
    """
    ranker = load(context, system)
    if not ranker.apart(modality):
        return None

    def dealt_anew() -> Ranker:
        seed = derived_seed(context.recipe.seed, "shuffle", system.name, modality)
        ranker.shuffle(modality, material.modalities[modality].present, seed=seed)
        return ranker

    return _score(context, system, material, "test", systems.shuffled(system.name, modality), dealt_anew)[0]


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

    decided = {**inputs(context, system, material), "parts": digest({name: digest(inside.tolist()) for name, inside in parts.items()})}
    result = context.run.stage(f"evaluate-{name}-{part}", decided, make)
    return unpacked(path), result


def load(context: Context, system: System) -> Ranker:
    """The fitted system from the run directory."""
    return load_ranker(system.ranker, context.run.path(f"{MODEL}/{system.name}"), device=context.device)


def files(target: Path) -> list[Path]:
    """What a fitted system is kept in; one that is gone has it fitted again."""
    return sorted(file for file in target.rglob("*") if file.is_file())


def held_out(split: Split, part: str) -> HeldOut:
    """The playlists of `valid` or `test`."""
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


def inputs(context: Context, system: System, material: Material) -> dict[str, Any]:
    """What decides a system's result: of the modalities those it sees alone, so that weights given later leave the others as they are."""
    seed = {} if system.seed is None else {"seed": system.seed}
    content = [material.content[name] for name in system.modalities]
    content += [material.content[f"label:{kind}"] for kind in system.labels if kind in material.labels]
    over = [inputs(context, other, material) for other in system.over]
    own = context.inputs(material=material.key, content=content, spec=system.spec, **({"over": over} if over else {}))
    code = sources([system.spec, context.recipe.evaluation.model_dump(mode="json")])
    return {**own, **seed, **({"sources": code} if code else {})}


def whole(material: Material) -> str:
    """A hash of all that systems are fitted to."""
    return digest([material.key, material.content])


def fit_ranker(context: Context, system: System, ranker: Ranker, material: Material, workdir: Path) -> None:
    """Fit a ranker in this process to what its system sees; nothing is kept but its checkpoints in `workdir`."""
    chosen = {name: material.modalities[name] for name in system.modalities}
    seed = derived_seed(context.recipe.seed if system.seed is None else system.seed, "system", system.twin or system.name)
    labels = {kind: material.labels[kind] for kind in system.labels if kind in material.labels}
    others = {other.name: load(context, other) for other in system.over}
    split = material.split
    data = TrainingData(
        split.train,
        split.valid,
        chosen,
        workdir,
        seed,
        context.device,
        factors=material.factors,
        labels=labels,
        systems=others,
        progress=context.progress(f"{system.name}, "),
    )
    ranker.fit(data)

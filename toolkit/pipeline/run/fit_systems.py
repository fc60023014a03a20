"""Fitting, saving, loading and evaluation of systems. Evaluation loads the saved system."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from segue.model import Model
from segue.model_kinds import Loaded
from segue.results import evaluate, with_cutoffs
from toolkit.contracts.learning import NotLearned, combined
from toolkit.errors import SegueError
from toolkit.evaluation import early_stopping, shared_recordings, slices
from toolkit.evaluation.evaluator import Key, Scores
from toolkit.files import digest, folder, write_bytes
from toolkit.pipeline.run import systems
from toolkit.pipeline.run.meter import metered
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.write import rankings_file
from toolkit.ranker import Ranker
from toolkit.ranker_registry import load_ranker
from toolkit.run_directory import MODEL, STAGES, RunDirectory
from toolkit.seeds import derived_seed
from toolkit.source_code import sources


class Fit(TypedDict):
    """Cost and learning curve of a fit. curve: values by epoch. peak_mb: MB of 10^6 bytes.

    collapsed: why the network did not learn, or "".
    """

    fit_seconds: float
    peak_mb: float
    curve: list[Mapping[str, float]]
    underfit: bool
    collapsed: str


class Evaluation(TypedDict):
    """Cost of an evaluation. peak_mb: MB of 10^6 bytes."""

    evaluate_seconds: float
    peak_mb: float


def fit(context: Context, system: systems.System, material: systems.Material) -> Fit:
    """Fit and save a system, unless a saved system exists."""

    def make(workdir: Path) -> tuple[Sequence[Path], Fit]:
        target = context.run.path(f"{MODEL}/{system.name}")
        with metered(context.device) as meter:
            ranker = _fit_with_all(context, system, material, workdir).ranker
        with folder(target) as unfinished:
            ranker.save(unfinished)
        if message := early_stopping.note(system.name, ranker.curve):
            context.reporter.note(message)
        return [target, *files(target)], {
            "fit_seconds": meter.seconds,
            "peak_mb": meter.peak_mb,
            "curve": list(ranker.curve),
            "underfit": ranker.underfit,
            "collapsed": ranker.collapsed,
        }

    return context.run.stage(f"fit-{system.name}", inputs(context, system, material), make)


def collapsed(system: systems.System, material: systems.Material, fits: Sequence[Fit]) -> str:
    """Return why the network of a system, or a trained encoder that it uses, did not learn, or "".

    - fits: the fits of the system, one for each seed.
    """
    own = next((fit["collapsed"] for fit in fits if fit["collapsed"]), "")
    return combined(own, {name: material.encoded[name].collapsed for name in system.modalities})


def fit_along(context: Context, material: systems.Material, request: Mapping[str, str]) -> None:
    """Fit the system that the first process of a run requests, together with that process.

    Only the first process keeps the result.
    """
    if request["material"] != whole(material):
        raise SegueError(
            "all processes of a run must read the same data: give each process the same files, and run again"
        )
    every = [each for system in systems.systems(context) for each in systems.replicas(context, system)]
    every += systems.models_without(context).values()
    system = next(system for system in every if system.name == request["system"])
    fit_model(context, system, material, Path(request["workdir"]))


def _fit_with_all(context: Context, system: systems.System, material: systems.Material, workdir: Path) -> Model:
    """Fit a system, with all processes of the run if the system supports several processes."""
    if system.capabilities.distributed:
        from toolkit.sequential.training import distributed

        distributed.current().decide(
            lambda: {"system": system.name, "workdir": str(workdir.resolve()), "material": whole(material)}
        )
    return fit_model(context, system, material, workdir)


def fit_model(context: Context, system: systems.System, material: systems.Material, workdir: Path) -> Model:
    """Fit a system in this process. Only checkpoints are kept in `workdir`."""
    model = system.make([material.encoded[name] for name in system.modalities])
    if system.seed is not None:
        model.seed = system.seed
    others = {other.name: load(context, other, material) for other in system.over}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotLearned)  # tables and log name each system that did not learn
        return model.fit(
            material.train,
            material.held_out("valid"),
            systems=others,
            workdir=workdir,
            progress=context.progress(f"{system.name}, "),
            draws_as=system.twin or system.name,
        )


def validation_value(
    context: Context, system: systems.System, material: systems.Material, key: str, workdir: Path
) -> float:
    """Fit a system without saving it, and return its mean of a metric such as `ndcg@50` on validation."""
    evaluation = context.recipe.evaluation
    scores = evaluate(
        fit_model(context, system, material, workdir),
        material.held_out("valid"),
        [key],
        rankings=0,
        allow_repeats=evaluation.allow_repeats,
        memory_mb=evaluation.memory_mb,
    ).scores
    (values,) = (values for (part, _, _), values in scores.values.items() if part == "all")
    return round(float(np.nanmean(values)), 8)


def score(context: Context, system: systems.System, material: systems.Material, part: str) -> tuple[Scores, Evaluation]:
    """Return the scores of a fitted system on `valid` or `test`."""
    # of a system under several seeds only the rankings of the first are kept
    kept = context.recipe.evaluation.rankings if part == "test" and not system.twin else 0
    return _score(context, system, material, part, system.name, lambda: load(context, system, material), kept)


def score_shuffled(
    context: Context, system: systems.System, material: systems.Material, modality: str
) -> Scores | None:
    """Return the scores of a fitted model on `test` with a modality shuffled among the tracks that have it.

    Returns None if the model cannot read the modality separately (`reduce_joint: pca`).
    """
    model = load(context, system, material)
    if not model.ranker.apart(modality):
        return None

    def shuffled() -> Model:
        seed = derived_seed(context.recipe.seed, "shuffle", system.name, modality)
        model.ranker.shuffle(modality, material.modalities[modality].present, seed=seed)
        return model

    return _score(context, system, material, "test", systems.name_shuffled(system.name, modality), shuffled)[0]


def _score(
    context: Context,
    system: systems.System,
    material: systems.Material,
    part: str,
    name: str,
    make_model: Callable[[], Model],
    kept: int = 0,
) -> tuple[Scores, Evaluation]:
    """Return the scores of a ranker. kept: number of ranked tracks for each playlist to keep in a file."""
    path, lists = scores_file(context.run, name, part), rankings_file.stage_file(context.run, name)
    evaluation = context.recipe.evaluation

    held, counts = material.held_out(part), material.train.counts
    # weights that are given in a later run must not change what the other systems were measured on
    described = {} if context.recipe.on_missing_weights == "skip" else material.modalities
    parts = slices.by_track(counts, {name: each.present for name, each in described.items()}, evaluation.slices)
    parts |= shared_recordings.slice_of(material.shared[part], len(counts) - 1)

    def make(_: Path) -> tuple[Sequence[Path], Evaluation]:
        context.reporter(0, len(held), f"{name} on {part}")
        with contextlib.ExitStack() as files, metered(context.device) as meter:
            scores = evaluate(
                make_model(),
                held,
                metrics=with_cutoffs(evaluation.metrics, evaluation.k),
                slices=parts,
                allow_repeats=evaluation.allow_repeats,
                memory_mb=evaluation.memory_mb,
                rankings=kept,
                keep=files.enter_context(rankings_file.writer(lists, held.playlists)) if kept else None,
                progress=lambda done, total, _: context.reporter(done, total, f"{name} on {part}"),
            ).scores
        write_bytes(path, packed(scores))
        return [path, *([lists] if kept else [])], {"evaluate_seconds": meter.seconds, "peak_mb": meter.peak_mb}

    decided = {
        **inputs(context, system, material),
        "parts": digest({name: digest(inside.tolist()) for name, inside in parts.items()}),
    }
    result = context.run.stage(f"evaluate-{name}-{part}", decided, make)
    return unpacked(path), result


def load(context: Context, system: systems.System, material: systems.Material) -> Model:
    """Return the fitted system from the run directory."""
    return Loaded(system.name, fitted(context, system), material.train.data.corpus.tracks)


def fitted(context: Context, system: systems.System) -> Ranker:
    """Return the ranker of a fitted system from the run directory."""
    return load_ranker(system.ranker, context.run.path(f"{MODEL}/{system.name}"), device=context.device)


def files(target: Path) -> list[Path]:
    """Return the files of a fitted system. The system is fitted again if a file is missing."""
    return sorted(file for file in target.rglob("*") if file.is_file())


def scores_file(run: RunDirectory, name: str, part: str) -> Path:
    """Return the file of a system's scores on `valid` or `test`, also for another seed or a variant.

    `unpacked` reads the file.
    """
    return run.path(f"{STAGES}/evaluate-{name}-{part}.npz")


def packed(scores: Scores) -> bytes:
    """Return scores as the bytes of an npz file."""
    arrays = {f"values|{name}|{metric}|{k}": values for (name, metric, k), values in scores.values.items()}
    arrays |= {f"n_hidden|{name}": counts for name, counts in scores.n_hidden.items()}
    arrays |= {f"overall|{metric}|{k}": np.array(value) for (metric, k), value in scores.overall.items()}
    buffer = io.BytesIO()
    np.savez(buffer, top=scores.top, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(path: Path) -> Scores:
    """Return scores from a file that holds the result of `packed`."""
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


def inputs(context: Context, system: systems.System, material: systems.Material) -> dict[str, object]:
    """Return the values that determine the result of a system.

    Only modalities that the system uses are included. Adding missing weights therefore does not change other systems.
    """
    content = [material.content[name] for name in system.modalities]
    content += [material.content[f"label:{kind}"] for kind in system.labels if kind in material.labels]
    over = [inputs(context, other, material) for other in system.over]
    titles = systems.title_weights(context, system)
    code = sources([system.spec, system.ranker, context.recipe.evaluation.model_dump(mode="json")])
    return {
        **context.inputs(material=material.key, content=content, spec=system.spec, **({"over": over} if over else {})),
        **({} if system.seed is None else {"seed": system.seed}),
        **({"sources": code} if code else {}),
        **({"title_weights": titles} if titles else {}),
    }


def whole(material: systems.Material) -> str:
    """Return a hash of all data that systems are fitted to."""
    return digest([material.key, material.content])

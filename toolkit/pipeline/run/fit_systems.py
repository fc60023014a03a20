"""Each system fitted, saved, loaded again and evaluated, so that what is measured is what is kept."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segue.kinds import Loaded
from segue.model import Model
from segue.results import evaluate, with_cutoffs
from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import SegueError
from toolkit.evaluation import slices
from toolkit.evaluation.evaluator import Key, Scores
from toolkit.files import digest, folder, write_bytes
from toolkit.pipeline.run import systems
from toolkit.pipeline.run.meter import metered
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.pipeline.write import rankings_file
from toolkit.ranker import Ranker
from toolkit.ranker_registry import load_ranker
from toolkit.run_directory import MODEL, STAGES, RunDirectory
from toolkit.seeds import derived_seed
from toolkit.source_code import sources


def fit(context: Context, system: System, material: Material) -> dict[str, Any]:
    """Fit and save a system; returns fit_seconds, peak_mb, curve and underfit."""

    def make(workdir: Path) -> tuple[Sequence[Path], Any]:
        target = context.run.path(f"{MODEL}/{system.name}")
        with metered(context.device) as meter:
            ranker = _fit_with_all(context, system, material, workdir).ranker
        with folder(target) as unfinished:
            ranker.save(unfinished)
        learned = {"curve": list(ranker.curve), "underfit": ranker.underfit}
        return [target, *files(target)], {"fit_seconds": meter.seconds, "peak_mb": meter.peak_mb, **learned}

    result: dict[str, Any] = context.run.stage(f"fit-{system.name}", inputs(context, system, material), make)
    return result


def fit_along(context: Context, material: Material, request: dict[str, str]) -> None:
    """Fit with the first process what it requests; what comes of it is the first one's."""
    if request["material"] != whole(material):
        raise SegueError("the processes of this run read different data: it must not change, and all must see the same")
    known = [each for system in systems.systems(context) for each in systems.replicas(context, system)]
    known += systems.reduced(context).values()
    system = next(system for system in known if system.name == request["system"])
    fit_model(context, system, material, Path(request["workdir"]))


def _fit_with_all(context: Context, system: System, material: Material, workdir: Path) -> Model:
    """Fit a system, with every process there is where it can use them."""
    if system.capabilities.distributed:
        from toolkit.sequential.training import distributed

        distributed.current().decide(
            lambda: {"system": system.name, "workdir": str(workdir.resolve()), "material": whole(material)}
        )
    return fit_model(context, system, material, workdir)


def fit_model(context: Context, system: System, material: Material, workdir: Path) -> Model:
    """Fit a system in this process; nothing is kept but its checkpoints in `workdir`."""
    model = system.make([material.encoded[name] for name in system.modalities])
    if system.seed is not None:
        model.seed = system.seed
    return model.fit(
        material.train,
        material.held_out("valid"),
        systems={other.name: load(context, other, material) for other in system.over},
        workdir=workdir,
        progress=context.progress(f"{system.name}, "),
        draws_as=system.twin or system.name,
    )


def score(context: Context, system: System, material: Material, part: str) -> tuple[Scores, dict[str, Any]]:
    """Evaluate a fitted system on `valid` or `test`; returns the scores, evaluate_seconds and peak_mb."""
    # of a system under several seeds the rankings of the first are kept
    kept = context.recipe.evaluation.rankings if part == "test" and not system.twin else 0
    return _score(context, system, material, part, system.name, lambda: load(context, system, material), kept)


def score_shuffled(context: Context, system: System, material: Material, modality: str) -> Scores | None:
    """Evaluate a fitted model on `test` with one modality dealt out anew among the tracks that have it.

    None where the model does not read it apart from the others (`reduce_joint: pca`).
    """
    model = load(context, system, material)
    if not model.ranker.apart(modality):
        return None

    def dealt_anew() -> Model:
        seed = derived_seed(context.recipe.seed, "shuffle", system.name, modality)
        model.ranker.shuffle(modality, material.modalities[modality].present, seed=seed)
        return model

    return _score(context, system, material, "test", systems.shuffled(system.name, modality), dealt_anew)[0]


def _score(
    context: Context,
    system: System,
    material: Material,
    part: str,
    name: str,
    make_model: Callable[[], Model],
    kept: int = 0,
) -> tuple[Scores, dict[str, Any]]:
    """kept: how much of each ranking to keep in a file."""
    path, lists = scores_file(context.run, name, part), rankings_file.stage_file(context.run, name)
    evaluation = context.recipe.evaluation

    held, counts = material.held_out(part), material.train.counts
    # where weights may come later, what others were measured on must not change by them
    described = {} if context.recipe.on_missing_weights == "skip" else material.modalities
    parts = slices.by_track(counts, {name: each.present for name, each in described.items()}, evaluation.slices)

    def make(_: Path) -> tuple[Sequence[Path], Any]:
        context.reporter(0, len(held), f"{name} on {part}")
        with contextlib.ExitStack() as files, metered(context.device) as meter:
            keep = files.enter_context(rankings_file.Kept.into(lists, held.playlists)) if kept else None
            scores = evaluate(
                make_model(),
                held,
                metrics=with_cutoffs(evaluation.metrics, evaluation.k),
                slices=parts,
                allow_repeats=evaluation.allow_repeats,
                memory_mb=evaluation.memory_mb,
                rankings=kept,
                keep=keep,
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


def load(context: Context, system: System, material: Material) -> Model:
    """The fitted system from the run directory."""
    return Loaded(system.name, fitted(context, system), material.train.data.corpus.tracks)


def fitted(context: Context, system: System) -> Ranker:
    """The ranker of a fitted system, from the run directory."""
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

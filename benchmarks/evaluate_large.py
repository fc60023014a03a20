"""Evaluating 10,000 playlists among 2,262,292 tracks: the memory that it takes beyond the model's.

    python benchmarks/evaluate_large.py --quick
    python benchmarks/evaluate_large.py --data /somewhere/large --clock processor --save

Playlists of the Million Playlist Dataset's shape (`synthetic_files.py`), one in fifty held out, 70 % of each shown. The
model is a SASRec of 64 numbers a track with random weights and popularity as its bias. In a process of its own the
model is loaded; everything
after that counts: the corpus is opened, split and checked for leaks, training placements are counted, the exact best
500 of all tracks are found for each playlist, and Recall, NDCG and R-precision of what is hidden are taken. There is no
peer. Check: Recall and NDCG of some playlists from a plain sort of all scores in double precision. Bar: 1,000 MB beyond
the model. One JSON line last.
"""

from __future__ import annotations

import common  # isort: skip

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import synthetic_files
from synthetic import MPD_PLAYLISTS, MPD_TRACKS

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split
from toolkit.evaluation.evaluator import Scores, evaluate
from toolkit.pipeline.run.meter import metered
from toolkit.recipe import Evaluation, Fusion
from toolkit.sequential.models.sasrec import SASRec
from toolkit.sequential.sequential_ranker import SequentialRanker

SIZES = {True: (20_000, 100_000, 1_300_000), False: (MPD_PLAYLISTS, MPD_TRACKS, 66_346_428)}
PLAYLISTS = {True: 300, False: 10_000}
K, COMPARED = 500, 16
SETTINGS = Evaluation.model_validate({"split": {"folds": 50, "valid_fraction": 0.02, "min_tracks": 10, "shown": 0.7}})
SPEC = SASRec(modalities=[], hidden_size=64, popularity=True)


def model(data: Path, folder: Path) -> dict[str, Any]:
    """Write a model with random weights that knows how often each track is played."""
    corpus, ranker = Corpus.load(data), SequentialRanker(SPEC, Fusion())
    every = PlaylistSet(corpus, np.arange(len(corpus)), corpus.offsets[:-1], corpus.offsets[1:])
    ranker._build({}, every.counts(), device="cpu", seed=0)
    ranker.save(folder)
    return {}


def measure(data: Path, folder: Path, playlists: int, clock: str, memory_mb: int) -> dict[str, Any]:
    """Evaluate with the written model: what it reached, seconds by stage, and memory in MB of 10^6 bytes."""
    ranker = SequentialRanker.load(folder)
    before = _resident()
    seconds = {}
    with metered() as meter:
        began = common.CLOCKS[clock]()
        split = _split(data)
        counts, test = split.train.counts(), split.test.part(0, playlists)
        seconds["split_and_count"] = round(common.CLOCKS[clock]() - began, 2)
        began = common.CLOCKS[clock]()
        scores = evaluate(
            ranker,
            test,
            ks=[K],
            metrics=["recall", "ndcg", "rprec"],
            train_counts=counts,
            memory_mb=memory_mb,
            progress=_told(),
        )
        seconds["evaluate"] = round(common.CLOCKS[clock]() - began, 2)
    weights = sum(tensor.nbytes for tensor in (*ranker.model.parameters(), *ranker.model.buffers()))
    memory = {"peak": meter.peak_mb, "model_loaded": round(before, 1), "weights": round(weights / 1e6, 1)}
    compared = check(ranker, test, scores)
    means = {
        f"{metric}@{k}" if k else metric: float(np.nanmean(scores.values["all", metric, k]))
        for _, metric, k in _whole(scores)
    }
    return {"playlists": len(test), "seconds": seconds, "memory_mb": memory, "means": means, "compared": compared}


def check(ranker: SequentialRanker, test: HeldOut, scores: Scores) -> dict[str, float]:
    """Means over playlists spread over all of them, from a plain sort in double precision; raises where one of them is
    another."""
    chosen = np.linspace(0, len(test) - 1, min(COMPARED, len(test))).astype(int)
    queries, hidden = test.take(chosen).queries(), test.take(chosen).hidden()
    query, rows, items, _ = ranker._product(queries, False)
    every = np.full((len(chosen), ranker.n_items + 1), -np.inf)
    for ids in items.split(2**16):
        every[:, ids] = query.detach().double() @ rows(ids).detach().double().T
    discount, found = 1 / np.log2(np.arange(2, K + 2)), {"recall": [], "ndcg": []}
    for row, of_all in enumerate(every):
        of_all[queries.seeds[queries.offsets[row] : queries.offsets[row + 1]]] = -np.inf
        best = np.argsort(-of_all, kind="stable")[:K]
        wanted = hidden[0][hidden[1][row] : hidden[1][row + 1]]
        hits = np.isin(best, wanted)
        found["recall"].append(hits.sum() / min(K, len(wanted)))
        found["ndcg"].append(hits @ discount / discount[: len(wanted)].sum())
    for metric, values in found.items():
        differ = np.abs(scores.values["all", metric, K][chosen] - values)
        assert differ.max() <= 1e-9, f"{metric}@{K} of playlist {chosen[differ.argmax()]} is off by {differ.max()}"
    assert np.mean(found["recall"]) > 0, "a check of zeros is none: none of the playlists compared has a hit"
    return {f"{metric}@{K}": float(np.mean(values)) for metric, values in found.items()}


def _split(data: Path) -> Split:
    return SETTINGS.split.split(Corpus.load(data))


def _whole(scores: Scores) -> list[tuple[str, str, int]]:
    return [key for key in scores.values if key[0] == "all"]


def _resident() -> float:
    """MB of this process that are in memory now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def _told() -> Any:
    began = time.monotonic()

    def tell(done: int, total: int, _: str) -> None:
        print(f"{done:,} of {total:,} playlists, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    return tell


def _stage(name: str, *rest: object) -> dict[str, Any]:
    """A stage in a process of its own, so that its memory is its own."""
    output = subprocess.run(
        [sys.executable, __file__, "--stage", name, *map(str, rest)], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    return result


def _in_stage(given: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(given.threads)
    if given.stage == "model":
        return model(given.data, given.model)
    return measure(given.data, given.model, given.playlists, given.clock, given.memory_mb)


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument(
        "--data", type=Path, help="folder that keeps the synthetic playlists, 0.5 GB, or holds them already"
    )
    options.add_argument("--playlists", type=int, help="default: 300 with --quick, 10,000 without")
    options.add_argument("--memory-mb", type=int, default=256, help="bound on the scores held at once")
    options.add_argument("--stage", choices=("model", "measure"), help=argparse.SUPPRESS)
    options.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.stage:
        print(json.dumps(_in_stage(given)))
        return
    common.start(given)
    count = given.playlists or PLAYLISTS[given.quick]
    sizes = dict(zip(("playlists", "tracks", "placements"), SIZES[given.quick], strict=True))
    with tempfile.TemporaryDirectory(prefix="segue-evaluate-") as work:
        arrays = (given.data or Path(work)) / ("arrays-quick" if given.quick else "arrays")
        if not arrays.exists():
            asked = [each for name, size in sizes.items() for each in (f"--{name}", str(size))]
            subprocess.run(
                [sys.executable, str(Path(synthetic_files.__file__)), "--out", str(arrays), *asked], check=True
            )
        same = ["--data", arrays, "--model", Path(work) / "model", "--threads", given.threads, "--clock", given.clock]
        _stage("model", *same)
        found = _stage("measure", *same, "--playlists", count, "--memory-mb", given.memory_mb)
    memory, seconds = found["memory_mb"], found["seconds"]
    common.report(
        "evaluate_large",
        given,
        ours=[seconds["evaluate"]],
        peer=None,
        check=f"Recall and NDCG at {K} of {COMPARED} playlists as from a plain sort in float64: {found['compared']}",
        unit=f"seconds for {found['playlists']:,} playlists and {sizes['tracks']:,} tracks",
        bar=None,
        beyond_the_model_mb=round(memory["peak"] - memory["model_loaded"], 1),
        bar_beyond_the_model_mb=1000,
        memory_mb=memory,
        seconds=seconds,
        playlists_a_second=round(found["playlists"] / seconds["evaluate"], 1),
        means=found["means"],
        data={**sizes, "evaluated": found["playlists"], "columns": SPEC.hidden_size, "k": K},
    )


if __name__ == "__main__":
    main()

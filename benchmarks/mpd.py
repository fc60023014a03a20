"""The size of the Million Playlist Dataset: building from its JSON slices, then splitting, training and evaluating on
all of it.

    python benchmarks/mpd.py --quick
    python benchmarks/mpd.py --data /somewhere/large --save

1. Build: 20 slices to a corpus (parsing, ids, names, arrays, the filters), ours against the same with the standard
   library's json, projected to 1,000 slices. Check: the same files, byte for byte.
2. Whole size: a corpus of 1,000,000 playlists, 66,346,428 placements and 2,262,292 tracks is built again from records,
then opened,
   split, trained on for two minutes (SASRec, sampled loss; the epoch's end, with its checkpoint, included) and
   evaluated on 1,000 playlists, each in a process of its own whose peak memory is measured. RecBole has no other side
   here: its rows alone would take 42 GB.

The data is synthetic (`synthetic_files.py`) and is made under --data where it is not there yet. The last line is JSON.
"""

from __future__ import annotations

from dataclasses import replace

import common  # isort: skip

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from synthetic import MPD_PLAYLISTS, MPD_TRACKS, Synthetic
from synthetic_files import SLICE, write_arrays, write_slices

from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.corpus.splits import leave_last_out
from toolkit.pipeline.run.meter import metered

MPD = Synthetic(MPD_PLAYLISTS, MPD_TRACKS, 66_346_428)
SLICES = {True: 2, False: 20}
SECONDS = {True: 15, False: 120}
ASKED = 1000
"""Playlists of the evaluation."""
HIDDEN, NEGATIVES, TOKENS = 64, 4096, 16_384


def ours(slices: Path, out: Path) -> None:
    build(MpdReader(slices), None, out)


def with_json(slices: Path, out: Path) -> None:
    """The same corpus as one would write it with the standard library."""
    known: dict[str, int] = {}
    items: list[int] = []
    offsets, names, playlists = [0], [], []
    for file in sorted(slices.iterdir(), key=lambda file: int(file.name.split(".")[2].split("-")[0])):
        for playlist in json.loads(file.read_bytes())["playlists"]:
            held = {}
            for track in sorted(playlist["tracks"], key=lambda track: track["pos"]):
                uri = track["track_uri"]
                number = known.get(uri)
                if number is None:
                    number = known[uri] = len(known) + 1
                    names.append((track["track_name"], track["artist_name"], track["album_name"]))
                held[number] = None
            items.extend(held)
            offsets.append(len(items))
            playlists.append((f"mpd:{playlist['pid']}", playlist["name"], playlist["modified_at"]))
    text = pa.string()
    columns = zip(("id", "title", "artist", "album"), (list(known), *zip(*names, strict=True)), strict=True)
    tracks = pa.table({name: pa.array(values, text) for name, values in columns})
    ids, titles, times = zip(*playlists, strict=True)
    nothing = pa.nulls(len(ids), text)
    about = pa.table(
        {
            "id": pa.array(ids, text),
            "title": pa.array(titles, text),
            "group": nothing,
            "split": nothing,
            "time": pa.array(times, pa.int64()),
        }
    )
    Corpus(np.array(items, np.int32), np.array(offsets, np.int64), tracks, about).save(out)


def race(given: argparse.Namespace, slices: Path) -> dict[str, Any]:
    """Both builds in turn, and whether they wrote the same."""
    with tempfile.TemporaryDirectory(prefix="segue-mpd-") as work:
        a, b = Path(work) / "ours", Path(work) / "json"
        sides = {"ours": lambda: ours(slices, a), "json": lambda: with_json(slices, b)}
        seconds = common.alternate(sides, repetitions=3, warm=False, clock=given.clock)
        for name in ("items.npy", "offsets.npy"):
            if (a / name).read_bytes() != (b / name).read_bytes():
                raise SystemExit(f"the builds differ in {name}")
        left, right = Corpus.load(a), Corpus.load(b)
        if not left.tracks.equals(right.tracks) or not left.playlists.equals(right.playlists):
            raise SystemExit("the builds differ in their tables")
        placements = len(left.items)
    count = len(list(slices.iterdir()))
    whole = {
        name: round(float(np.median(values)) / count * (MPD_PLAYLISTS // SLICE), 1) for name, values in seconds.items()
    }
    print(f"projected to {MPD_PLAYLISTS // SLICE:,} slices: ours {whole['ours']} s, json {whole['json']} s", flush=True)
    check = f"same arrays and tables, {placements:,} placements of {count} slices"
    return {"ours": seconds["ours"], "peer": seconds["json"], "check": check, "projected_s": whole}


def build_again(data: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The whole size through ids, names and filters; a slice's own JSON is one slice in memory and is measured by the
    race."""
    with tempfile.TemporaryDirectory(prefix="segue-mpd-", dir=data.parent) as work, metered() as meter:
        corpus = build(CorpusReader(data), None, Path(work) / "corpus")
        sizes = {"playlists": len(corpus), "placements": len(corpus.items), "tracks": corpus.n_items}
    return {"build_s": meter.seconds, "build_peak_mb": meter.peak_mb, **sizes}


def engine(data: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Open, split, train for a while, evaluate: seconds, rates and the peak of it all."""
    import torch

    from toolkit.evaluation.evaluator import evaluate
    from toolkit.ranker import TrainingData
    from toolkit.recipe import Fusion
    from toolkit.sequential.losses.sampled import Sampled
    from toolkit.sequential.models.sasrec import SASRec
    from toolkit.sequential.sequential_ranker import SequentialRanker

    torch.set_num_threads(given.threads)
    found: dict[str, Any] = {}
    with metered() as meter:
        begin = time.perf_counter()
        corpus = Corpus.load(data)
        split = leave_last_out(corpus)
        found["open_and_split_s"] = round(time.perf_counter() - begin, 3)
        found["arrays_bytes"] = corpus.items.nbytes + corpus.offsets.nbytes
        spec = SASRec(loss=Sampled(negatives=NEGATIVES), hidden_size=HIDDEN, batch_tokens=TOKENS, adam="rows", epochs=1)
        ranker = SequentialRanker(spec, Fusion())
        with tempfile.TemporaryDirectory(prefix="segue-mpd-", dir=data.parent) as work:
            steps = _train(
                ranker, TrainingData(split.train, workdir=Path(work), device=given.device), SECONDS[given.quick]
            )
        gc.collect()  # the trainer, with the optimiser's state, stands in a cycle
        targets = int((split.train.lengths - 1).sum())
        found |= _rates(steps, targets)
        test, begin = split.test.part(0, ASKED), time.perf_counter()
        scores = evaluate(ranker, test, ks=[10], metrics=["ndcg"], train_counts=split.train.counts())
        found["evaluate_s"] = round(time.perf_counter() - begin, 1)
        found["ndcg@10"] = float(np.nanmean(scores.values["all", "ndcg", 10]))
    return found | {"engine_peak_mb": meter.peak_mb}


def _train(ranker: Any, data: Any, seconds: float) -> list[tuple[float, float, int, int]]:
    """(wall, processor, placements so far, placements of the epoch) after each step.

    The epoch ends after `seconds` of steps, as every epoch ends: its weights and the optimiser's state are written, the
    best restored.
    """
    from toolkit.sequential.training import training_steps

    steps: list[tuple[float, float, int, int]] = []

    def on_step(done: int, total: int, what: str) -> None:
        steps.append((time.perf_counter(), time.process_time(), done, total))

    def cut_short(*given: Any, **settings: Any) -> Iterator[Any]:
        for batch in whole(*given, **settings):
            yield batch
            if steps[-1][0] - steps[0][0] > seconds:
                return

    whole = training_steps.batches
    training_steps.batches = cut_short
    try:
        ranker.fit(replace(data, progress=on_step))
    finally:
        training_steps.batches = whole
    return steps


def _rates(steps: list[tuple[float, float, int, int]], targets: int) -> dict[str, Any]:
    """Without the first step, which makes the optimiser's state."""
    wall, processor, done, total = (last - first for last, first in zip(steps[-1], steps[0], strict=True))
    epoch = steps[0][3] + total
    rate = targets * done / epoch / wall
    return {
        "steps": len(steps) - 1,
        "targets_a_second": round(rate),
        "targets_a_processor_second": round(targets * done / epoch / processor),
        "epoch_h": round(targets / rate / 3600, 2),
        "train_s": round(wall, 1),
    }


STAGES = {"build": build_again, "engine": engine}


def stage(name: str, data: Path, given: argparse.Namespace) -> dict[str, Any]:
    """A stage in a process of its own, so that its peak is its own."""
    options = ["--threads", str(given.threads), "--device", given.device, *(["--quick"] if given.quick else [])]
    command = [sys.executable, __file__, "--stage", name, "--data", str(data), *options]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    for key, value in result.items():
        print(f"  {key:>26} {value:,}" if isinstance(value, int | float) else f"  {key:>26} {value}", flush=True)
    return result


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--data", type=Path, help="folder that keeps the synthetic data: 270 MB of arrays, 32 MB a slice"
    )
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(STAGES[given.stage](given.data, given)))
        return
    common.start(given)
    with tempfile.TemporaryDirectory(prefix="segue-mpd-") as work:
        root = given.data or Path(work)
        slices, arrays = root / f"slices-{SLICES[given.quick]}", root / "arrays"
        if not slices.exists():
            write_slices(MPD, slices, slices=SLICES[given.quick])
        result = race(given, slices)
        # quick has no time for the whole size through ids and names
        whole = {} if given.quick else _whole(arrays, "build", given)
        whole |= _whole(arrays, "engine", given)
    peak = max(value for key, value in whole.items() if key.endswith("peak_mb"))
    print(f"peak memory {peak:,.0f} MB (bar: 4,000)")
    common.report("mpd", given, **result, bar=2.5, **whole, peak_mb=peak, bar_peak_mb=4000)


def _whole(arrays: Path, name: str, given: argparse.Namespace) -> dict[str, Any]:
    if not arrays.exists():
        write_arrays(MPD, arrays)
    return stage(name, arrays, given)


if __name__ == "__main__":
    main()

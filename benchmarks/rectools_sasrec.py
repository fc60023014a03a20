"""Training SASRec with sampled losses against RecTools 0.19's SASRec, which runs in an environment of its own.

    python -m venv rectools && rectools/bin/pip install "rectools[torch]==0.19.*" torch==2.13.0
    python benchmarks/rectools_sasrec.py FOLDER --rectools rectools/bin/python [--quick] [--seeds 0] [--clock processor]

FOLDER holds playlists.csv.gz. Both sides learn from the same playlists, each cut to its last 51 tracks (RecTools reads
no more of one): hidden size 64, two layers and heads, inner size 64 (RecTools has no other), dropout 0.2, the same
number of epochs (RecTools' default).
Peer: its default loss (full softmax) and its sampled softmax with 256 negatives for each position, in its batches of
128 playlists, and the latter in batches of 32, its best (four times the steps); each against ours in batches of as many
tracks. The ratio is the least. Both recommend 10 tracks for the test track of leave-last-out, seeds left out, and one
function judges both lists; differences are paired by playlist, seeds averaged. With `--work DIR` a finished training is
not repeated by a later run. Bar: 2x, NDCG@10 not below the interval.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np
import time_to_quality

from toolkit.corpus.splits import PlaylistSet, Split
from toolkit.evaluation.metrics import hits, ndcg_at
from toolkit.evaluation.significance import paired_differences
from toolkit.files import write_json
from toolkit.pipeline.run.meter import metered
from toolkit.ranker import TrainingData
from toolkit.recipe import Fusion, ModelSpec
from toolkit.sequential.sequential_ranker import SequentialRanker

WINDOW, BLOCK = 50, 500
SIZE = {"n_factors": 64, "n_blocks": 2, "n_heads": 2, "session_max_len": WINDOW, "dropout_rate": 0.2}
SAMPLED = {"loss": "sampled_softmax", "n_negatives": 256}
PEERS: dict[str, dict[str, Any]] = {
    "sampled": {**SAMPLED, "batch_size": 128},
    "softmax": {"loss": "softmax", "batch_size": 128},
    "best": {**SAMPLED, "batch_size": 32},
}
OURS = {
    "type": "sasrec",
    "modalities": [],
    "loss": {"type": "sampled", "negatives": 1024},
    "inner_size": 64,
    "dropout": 0.2,
    "max_length": WINDOW,
    "bf16": "off",
}


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("data", help="a folder with playlists.csv.gz")
    options.add_argument(
        "--rectools", metavar="PYTHON", required=True, help="interpreter of the environment that has RecTools"
    )
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument(
        "--work", metavar="DIR", type=Path, help="keep the results of both sides, to resume a killed run"
    )
    options.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    given = options.parse_args()
    if given.quick:
        given.epochs, given.seeds = 1, given.seeds[:1]
    common.start(given)
    with tempfile.TemporaryDirectory() as folder:
        run(given, given.work or Path(folder))


@dataclass(frozen=True)
class Race:
    """What both sides learn from and are asked, and where they leave what they made."""

    split: Split
    train: PlaylistSet
    given: argparse.Namespace
    folder: Path


def run(given: argparse.Namespace, folder: Path) -> None:
    split = time_to_quality.split_of(given.data, folder)
    race = Race(split, last_tracks(split.train, few=1000 if given.quick else None), given, folder)
    mine = {name: f"ours-{PEERS[name]['batch_size']}" for name in given.peers}
    seconds: dict[str, list[float]] = {name: [] for name in (*mine.values(), *given.peers)}
    tops: dict[str, list[np.ndarray]] = {name: [] for name in seconds}
    about: dict[str, Any] = {}
    for seed in given.seeds:
        for name in seconds:
            top, figures = kept(name, seed, race)
            tops[name].append(top)
            seconds[name].append(figures.pop("seconds"))
            about[name] = figures
            print(f"  {name:>8}, seed {seed}: {seconds[name][-1]:.1f} s, {figures}", flush=True)
    ratios = {
        name: round(statistics.median(seconds[name]) / statistics.median(seconds[mine[name]]), 2)
        for name in given.peers
    }
    least = min(ratios, key=lambda name: ratios[name])
    quality = {name: judged(split, tops[mine[name]], tops[name]) for name in given.peers}
    common.report(
        "rectools_sasrec",
        given,
        ours=seconds[mine[least]],
        peer=seconds[least],
        check="NDCG@10 on the test track, ours less theirs: "
        + ", ".join(
            f"{name} {q['difference']:+.4f} [{q['low']:+.4f}, {q['high']:+.4f}]" for name, q in quality.items()
        ),
        unit=f"seconds of fit, {given.epochs} epochs",
        bar=2,
        against=least,
        ratios=ratios,
        seconds={name: common.spread(taken) for name, taken in seconds.items()},
        quality=quality,
        settings={"ours": OURS, **{name: PEERS[name] for name in given.peers}},
        about=about,
        data={
            "playlists": len(race.train),
            "placements": int(race.train.lengths.sum()),
            "tracks": race.train.corpus.n_items,
        },
    )


def kept(name: str, seed: int, race: Race) -> tuple[np.ndarray, dict[str, Any]]:
    """A side's lists int64 [n, 10] and its figures: of an earlier run with the same options, or made now."""
    done = race.folder / f"{name}-{race.given.epochs}-{len(race.train)}-{seed}-{race.given.clock}"
    if not done.exists():
        top, figures = (
            ours(int(name.removeprefix("ours-")), seed, race) if name.startswith("ours-") else peer(name, seed, race)
        )
        made = Path(tempfile.mkdtemp(dir=race.folder))
        np.save(made / "lists.npy", top)
        write_json(made / "figures.json", figures)
        made.rename(done)
    return np.load(done / "lists.npy"), json.loads((done / "figures.json").read_text())


def last_tracks(train: PlaylistSet, *, few: int | None) -> PlaylistSet:
    """The last 51 tracks of each playlist: 50 inputs and their next ones."""
    chosen = slice(few)
    starts = np.maximum(train.starts, train.ends - (WINDOW + 1))
    return PlaylistSet(train.corpus, train.rows[chosen], starts[chosen], train.ends[chosen])


def ours(sessions: int, seed: int, race: Race) -> tuple[np.ndarray, dict[str, Any]]:
    """Trained in batches of as many tracks as `sessions` playlists have on average."""
    given, batch = race.given, round(sessions * float(race.train.lengths.mean()))
    ranker = SequentialRanker(ModelSpec.of({**OURS, "epochs": given.epochs, "batch_tokens": batch}), Fusion())
    data = TrainingData(race.train, seed=seed, device=given.device)
    with metered(given.device) as meter:
        seconds = common.timed(lambda: ranker.fit(data), device=given.device, clock=given.clock)
    figures = {"seconds": seconds, "peak_mb": round(meter.peak_mb), "batch_tokens": batch}
    parts = [race.split.test.part(start, start + BLOCK).queries() for start in range(0, len(race.split.test), BLOCK)]
    return np.concatenate([ranker.rank(queries, 10)[0] for queries in parts]), figures


def peer(name: str, seed: int, race: Race) -> tuple[np.ndarray, dict[str, Any]]:
    given, queries, (items, offsets) = race.given, race.split.test.queries(), race.train.flat()
    playlists, lists = race.folder / "playlists.npz", race.folder / "lists.npy"
    np.savez(playlists, items=items, offsets=offsets, seeds=queries.seeds, seed_offsets=queries.offsets)
    settings = json.dumps({**SIZE, **PEERS[name], "epochs": given.epochs})
    script = Path(__file__).with_name("rectools_peer.py")
    command = [given.rectools, script, playlists, lists, settings, seed, given.clock, given.threads]
    # its interpreter must not find this toolkit's packages
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "OMP_NUM_THREADS": str(given.threads)
    }
    figures = subprocess.run(
        [str(each) for each in command], env=alone, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return np.load(lists), json.loads(figures.strip().splitlines()[-1])


def judged(split: Split, ours: list[np.ndarray], theirs: list[np.ndarray]) -> dict[str, Any]:
    """NDCG@10 of both sides' lists [n, 10] and the paired difference with its 95 % interval; playlists that hide a seed
    are left out."""
    hidden = split.test.hidden()
    asked = np.diff(hidden[1]) > 0
    sides = []
    for lists in (ours, theirs):
        values = [ndcg_at(hits(top, *hidden), np.diff(hidden[1]), 10)[asked] for top in lists]
        sides.append(np.mean(values, axis=0)[:, None])
    found = paired_differences(*sides, split.test.groups()[asked], seed=0)[0]
    numbers = {
        "ours": sides[0].mean(),
        "peer": sides[1].mean(),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
    }
    return {key: round(float(value), 5) for key, value in numbers.items()} | {"n": found.n}


if __name__ == "__main__":
    main()

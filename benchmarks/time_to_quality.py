"""Seconds until our SASRec has RecBole's best NDCG@10: the long run behind `train_sasrec.py --quality`.

Both sides train on the same leave-last-out split and are judged by the same evaluator on the validation track; RecBole stops early as it
does by default, or after `--budget` seconds, and is then marked underfit. Everything lies under `--work`: a killed run goes on from the
last finished epoch of either side, and a finished side is not trained again. Bar: an eighth of RecBole's time to its best epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import common
import numpy as np

from toolkit.baselines.stock import StockSASRec
from toolkit.corpus.splits import HeldOut, Split, leave_last_out
from toolkit.evaluation.evaluator import evaluate
from toolkit.files import write_json
from toolkit.pipeline.ingest import ingest
from toolkit.ranker import Ranker, TrainingData
from toolkit.recipe import Data, Fusion, ModelSpec
from toolkit.sequential import bridge
from toolkit.sequential.ranker import SequentialRanker

OURS = {
    "type": "sasrec",
    "modalities": [],
    "loss": "sampled",
    "negatives": 1024,
    "dropout": 0.5,
    "epochs": 300,
    "patience": 10,
    "select": "ndcg@10",
    "bf16": "off",
}
PLAYLISTS = {
    "playlist": "playlist_id",
    "track": "track_id",
    "position": "pos",
    "tracks": {"file": "tracks.csv.gz", "track": "track_id", "artist_id": "artist_id", "album_id": "album_id"},
    "source": "million-playlist-dataset",
}


def run(given: argparse.Namespace) -> None:
    if not given.work:
        raise SystemExit("--quality needs --work DIR: the checkpoints of both sides are kept there")
    work = Path(given.work)
    split = _split(given.quality, work)
    rows = [_seed(split, seed, work / f"seed-{seed}", given) for seed in given.seeds]
    ours, peer = ([row[side]["seconds"] for row in rows] for side in ("ours", "recbole"))
    reached = [row["ours"]["reached"] for row in rows]
    common.report(
        f"quality-{Path(given.quality).name}",
        given,
        ours=ours,
        peer=peer,
        check=f"RecBole's best NDCG@10 on validation reached for {sum(reached)} of {len(rows)} seeds",
        unit="seconds of training and validation until RecBole's best NDCG@10",
        bar=8,
        seeds=given.seeds,
        rows=rows,
    )


def _split(name: str, work: Path) -> Split:
    """ml-100k out of RecBole's own package, or playlists.csv.gz in a folder."""
    if name == "ml-100k":
        folder = Path(bridge.recbole().__file__ or "").parent / "dataset_example" / "ml-100k"
        data = Data.model_validate({"reader": "recbole", "path": folder})
    else:
        data = Data.model_validate({"reader": "csv", "path": Path(name) / "playlists.csv.gz", "options": PLAYLISTS})
    return leave_last_out(ingest(data, work / "data", reporter=lambda *_: None).corpus)


def _seed(split: Split, seed: int, work: Path, given: argparse.Namespace) -> dict[str, Any]:
    done = work / "result.json"
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text())
        return found
    peer = StockSASRec(max_seconds=given.budget).fit(_data(split, seed, work / "recbole", given.device))
    best = max(peer.curve, key=lambda row: row.get("valid", -1.0))
    wanted = _ndcg(peer, split.valid, split)
    print(f"seed {seed}: RecBole's best epoch is {best['epoch']}, NDCG@10 {wanted:.4f} after {best['seconds']:.0f} s", flush=True)
    ours = SequentialRanker(ModelSpec.model_validate(OURS), Fusion()).fit(_data(split, seed, work / "ours", given.device))
    # the curve's seconds are training alone, RecBole's hold its validations
    validation = common.timed(lambda: ours._validate(split.valid), device=given.device)
    seconds = np.cumsum([row["seconds"] + validation for row in ours.curve])
    there = [place for place, row in enumerate(ours.curve) if row["ndcg@10"] >= wanted]
    row = {
        "recbole": {"seconds": best["seconds"], "valid": wanted, "test": _ndcg(peer, split.test, split), "underfit": peer.underfit},
        "ours": {
            "seconds": float(seconds[there[0]] if there else seconds[-1]),
            "reached": bool(there),
            "best": max(row["ndcg@10"] for row in ours.curve),
            "test": _ndcg(ours, split.test, split),
            "underfit": ours.underfit,
        },
    }
    print(f"seed {seed}: {row}", flush=True)
    write_json(done, row)
    return row


def _data(split: Split, seed: int, work: Path, device: str) -> TrainingData:
    work.mkdir(parents=True, exist_ok=True)
    return TrainingData(split.train, split.valid, workdir=work, seed=seed, device=device)


def _ndcg(ranker: Ranker, held: HeldOut, split: Split) -> float:
    scores = evaluate(ranker, held, ks=[10], metrics=["ndcg"], train_counts=split.train.counts())
    return float(np.nanmean(scores.values["all", "ndcg", 10]))

"""Seconds until our model has RecBole's best NDCG@10, and how good each side is in the end.

    python benchmarks/time_to_quality.py ml-100k --work work/ml-100k
    python benchmarks/time_to_quality.py FOLDER --work DIR [--base bert4rec] [--set loss=chunked --name exact] [--seeds
    0]

FOLDER holds playlists.csv.gz; the catalogue is the tracks in it. Both sides train on the same leave-last-out split.
RecBole runs with
its defaults: its own validation (MRR@10) stops it and chooses its epoch; or `--budget` ends it, which marks it
underfit. One evaluator judges both, on the validation and the test track of every playlist, on playlists by their
number of seeds, and with the last seed alone shown; differences are paired by playlist, seeds averaged. Everything lies
under `--work`: a killed run resumes from the last finished epoch of either side, and a finished side is not trained
again. Bar: an eighth of RecBole's time to its best epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np
from pydantic import ValidationError

from toolkit.baselines.stock.stock_models import StockBERT4Rec, StockRanker, StockSASRec
from toolkit.corpus.splits import HeldOut, Split, leave_last_out
from toolkit.errors import RecipeError
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.significance import paired_differences
from toolkit.ingest.read_data import ingest
from toolkit.ranker import Ranker, TrainingData
from toolkit.recipe import Data, Fusion, ModelSpec
from toolkit.recipe.yaml_file import pairs
from toolkit.sequential.recbole import bridge
from toolkit.sequential.sequential_ranker import SequentialRanker

PEERS: dict[str, type[StockRanker]] = {"sasrec": StockSASRec, "bert4rec": StockBERT4Rec}
EITHER = {"modalities": [], "batch_tokens": 1024, "select": "ndcg@10", "bf16": "off"}
"""Of both models; what `--set` changes on a catalogue was chosen on its validation, and every result holds its
settings."""
OURS: dict[str, dict[str, Any]] = {
    "sasrec": {
        **EITHER,
        "type": "sasrec",
        "dropout": 0.5,
        "patience": 5,
        "loss": {"type": "sampled", "negatives": 1024},
    },
    # RecBole's own dropout and patience; averaged, for a fifth of the tracks is masked at random and validation wavers
    # with them
    "bert4rec": {
        **EITHER,
        "type": "bert4rec",
        "dropout": 0.2,
        "attention_dropout": 0.2,
        "average": True,
        "patience": 10,
        "loss": "chunked",
    },
}
METRICS = ("ndcg", "recall")
SLICES = {"all": (0, None), "at most 5 seeds": (0, 5), "6 to 50 seeds": (6, 50), "more than 50 seeds": (51, None)}
PLAYLISTS = {"playlist": "playlist_id", "track": "track_id", "position": "pos", "source": "million-playlist-dataset"}
Values = dict[str, np.ndarray]
"""By question: float64 [n, m], a row for every playlist that hides a track, a column for each of METRICS."""


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("data", help="ml-100k, which comes with RecBole, or a folder with playlists.csv.gz")
    options.add_argument(
        "--work", metavar="DIR", type=Path, required=True, help="both sides' checkpoints, to resume a killed run"
    )
    options.add_argument("--base", default="sasrec", choices=PEERS)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--budget", type=float, default=3600.0, help="seconds that RecBole may train, per seed")
    options.add_argument(
        "--epochs", type=int, default=300, help="of ours, at most; still improving then, it is marked underfit"
    )
    options.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="of ours, as in a recipe's model: dropout=0.2",
    )
    options.add_argument(
        "--name", default="", help="of ours with what --set changes: in the result's name, and a folder of its own"
    )
    given = options.parse_args()
    given.settings = _settings(given)
    if given.quick:
        given.seeds, given.budget, given.epochs = given.seeds[:1], min(given.budget, 20.0), 5
    common.start(given)
    run(given)


def run(given: argparse.Namespace) -> None:
    split = split_of(given.data, given.work)
    rows, values = zip(*(_seed(split, seed, given) for seed in given.seeds), strict=True)
    reached = [row["ours"]["reached"] for row in rows]
    ours, peer = ([row[side]["seconds"] for row in rows] for side in ("ours", "recbole"))
    common.report(
        f"quality-{_system(given)}-{Path(given.data).name}",
        given,
        ours=ours,
        peer=peer if all(reached) else None,
        check=f"RecBole's best NDCG@10 on validation reached for {sum(reached)} of {len(rows)} seeds",
        unit="seconds of training and validation until RecBole's best NDCG@10",
        bar=8,
        settings=given.settings,
        budget=given.budget,
        rows=rows,
        quality=list(_compared(split, [each["ours"] for each in values], [each["recbole"] for each in values])),
    )


def split_of(name: str, work: Path) -> Split:
    """ml-100k out of RecBole's own package, or playlists.csv.gz in a folder."""
    if name == "ml-100k":
        folder = Path(bridge.recbole().__file__ or "").parent / "dataset_example" / "ml-100k"
        data = Data.model_validate({"reader": "recbole", "path": folder})
    else:
        data = Data.model_validate({"reader": "csv", "path": Path(name) / "playlists.csv.gz", "options": PLAYLISTS})
    return leave_last_out(ingest(data, work / "data", reporter=lambda *_: None).corpus)


def _seed(split: Split, seed: int, given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Values]]:
    """Both sides of one seed: seconds and quality of the row, values by playlist."""
    # seconds of one clock do not go on as seconds of another
    work = given.work / f"seed-{seed}" / given.clock
    peer = _peer(split, seed, work / f"recbole-{given.base}", given)
    best = max(peer.curve, key=lambda row: row.get("valid", -1.0), default={"epoch": 0, "seconds": given.budget})
    values = {"recbole": _values(peer, split)}
    wanted = float(values["recbole"]["valid"][:, 0].mean())
    print(
        f"seed {seed}: RecBole's best epoch is {best['epoch']}, NDCG@10 {wanted:.4f} after {best['seconds']:.0f} s",
        flush=True,
    )
    ours = _ours(split, seed, work / f"ours-{_system(given)}", given)
    values["ours"] = _values(ours, split)
    # the curve's seconds are training alone, RecBole's hold its validations
    validation = common.timed(lambda: ours._validate(split.valid), device=given.device, clock=given.clock)
    seconds = np.cumsum([row["seconds"] + validation for row in ours.curve])
    there = next((place for place, row in enumerate(ours.curve) if row["ndcg@10"] >= wanted), None)
    row = {
        "seed": seed,
        "recbole": {
            "seconds": best["seconds"],
            "epoch": best["epoch"],
            "epochs": len(peer.curve),
            "underfit": peer.underfit,
        },
        "ours": {
            "seconds": float(seconds[-1] if there is None else seconds[there]),
            "reached": there is not None,
            "epoch": None if there is None else there + 1,
            "epochs": len(ours.curve),
            "seconds_in_all": float(seconds[-1]),
            "underfit": ours.underfit,
        },
    }
    print(f"seed {seed}: {row}", flush=True)
    return row, values


def _peer(split: Split, seed: int, work: Path, given: argparse.Namespace) -> StockRanker:
    kind, done = PEERS[given.base], work / "ranker"
    if done.exists():
        return kind.load(done)
    peer = kind(max_seconds=given.budget).fit(_data(split, seed, work, given))
    peer.save(done)
    return peer


def _ours(split: Split, seed: int, work: Path, given: argparse.Namespace) -> SequentialRanker:
    spec = ModelSpec.of(given.settings | {"epochs": given.epochs})
    return SequentialRanker(spec, Fusion()).fit(_data(split, seed, work, given))


def _system(given: argparse.Namespace) -> str:
    return "-".join(filter(None, (given.base, given.name)))


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    """Of ours; what is wrong with them is said before RecBole's side takes its hour."""
    try:
        changed = pairs(given.set, "--set")
        ModelSpec.of(OURS[given.base] | changed)
    except (RecipeError, ValidationError) as error:
        raise SystemExit(f"--set: {error}") from None
    if taken := changed.keys() & {"type", "select", "epochs", "modalities"}:
        raise SystemExit(f"--set {min(taken)} is the race's own (--base, --epochs, NDCG@10 of ids alone): take it out")
    if bool(changed) != bool(given.name):
        raise SystemExit("--set and --name go together: results of other settings get a name of their own")
    return OURS[given.base] | changed


def _data(split: Split, seed: int, work: Path, given: argparse.Namespace) -> TrainingData:
    work.mkdir(parents=True, exist_ok=True)
    return TrainingData(
        split.train, split.valid, workdir=work, seed=seed, device=given.device, clock=common.CLOCKS[given.clock]
    )


def _questions(split: Split) -> dict[str, HeldOut]:
    test = split.test
    last = HeldOut(test.corpus, test.rows, test.cuts - 1, test.cuts, test.ends)
    return {"valid": split.valid, "test": test, "test, last seed alone": last}


def _values(ranker: Ranker, split: Split) -> Values:
    found: Values = {}
    for name, held in _questions(split).items():
        scores = evaluate(ranker, held, ks=[10], metrics=METRICS, train_counts=split.train.counts())
        columns = np.stack([scores.values["all", metric, 10] for metric in METRICS], axis=1)
        found[name] = columns[scores.n_hidden["all"] > 0]
    return found


def _compared(split: Split, ours: list[Values], peer: list[Values]) -> Iterator[dict[str, Any]]:
    """Rows of the quality table: means of both sides over playlists and seeds, their difference with its 95 %
    interval."""
    for name, held in _questions(split).items():
        asked = np.diff(held.hidden()[1]) > 0
        seeds, groups = (held.cuts - held.starts)[asked], held.groups()[asked]
        mine, theirs = (np.mean([each[name] for each in side], axis=0) for side in (ours, peer))
        for part, (least, most) in SLICES.items():
            chosen = (seeds >= least) & (seeds <= (most or seeds.max()))
            if not chosen.any() or (part != "all" and chosen.all()):
                continue
            differences = paired_differences(mine[chosen], theirs[chosen], groups[chosen], seed=0)
            for column, (metric, found) in enumerate(zip(METRICS, differences, strict=True)):
                reached = {"ours": mine[chosen, column].mean(), "recbole": theirs[chosen, column].mean()}
                interval = {"difference": found.value, "low": found.low, "high": found.high}
                numbers = {key: round(float(value), 5) for key, value in (reached | interval).items()}
                yield {"asked": name, "slice": part, "metric": f"{metric}@10", "n": found.n, **numbers}


if __name__ == "__main__":
    main()

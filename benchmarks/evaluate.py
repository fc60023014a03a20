"""Evaluating one hidden track a playlist among two million: our evaluator against RecBole's scoring and collector.

    python benchmarks/evaluate.py [--quick] [--tracks N] [--queries N]

Both sides use the same SASRec weights, encoding of the playlists included. RecBole scores every track in float32 and
sorts out the best 100 (its own batch of 4,096 rows would need 74 GB, so it gets batches of --rows). Ours counts what
stands before the hidden
track: a bfloat16 product where hardware has it, scores within its error bound of the target's again in float32, and no
further than place 100, which is all that the metrics ask. Hidden tracks are put at places spread evenly over the
logarithm from 1 to V. Check: the same Recall and NDCG at 10 and 100, playlist by playlist. Bars: 5x, and 1 GB of memory
beside the model. One JSON line last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np
import pyarrow as pa
import torch

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import evaluate
from toolkit.recipe import Fusion, ModelSpec
from toolkit.sequential.item_space import Parts
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec
from toolkit.sequential.sequential_ranker import SequentialRanker

KS = (10, 100)
SHOWN = 20


class Recbole:
    """RecBole's own evaluation of full-sort batches."""

    def __init__(self, n_items: int, *, device: str) -> None:
        settings = {"metrics": ["Recall", "NDCG"], "topk": list(KS), "valid_metric": "NDCG@10"}
        self.config = bridge.config("SASRec", settings=settings, device=device)
        with bridge.seeded(0):
            self.model = bridge.SASRec(self.config, bridge.CatalogueSize(n_items)).to(device).eval()
        self.trainer = bridge.Trainer(self.config, self.model)
        self.trainer.tot_item_num = n_items + 1
        self.hits = np.zeros((0, KS[-1] + 1))

    def batch(self, items: np.ndarray) -> bridge.Interaction:
        lists = torch.zeros(len(items), self.config["MAX_ITEM_LIST_LENGTH"], dtype=torch.int64)
        lists[:, :SHOWN] = torch.from_numpy(items)
        return bridge.Interaction(
            {self.model.ITEM_SEQ: lists, self.model.ITEM_SEQ_LEN: torch.full((len(items),), SHOWN)}
        )

    @torch.no_grad()
    def run(self, shown: np.ndarray, hidden: np.ndarray, rows: int) -> None:
        collector = self.trainer.eval_collector
        for start in range(0, len(shown), rows):
            part = slice(start, start + rows)
            target = torch.from_numpy(hidden[part])
            asked = (self.batch(shown[part]), None, torch.arange(len(target)), target)
            interaction, scores, rows_of, positive = self.trainer._full_sort_batch_eval(asked)
            collector.eval_batch_collect(scores, interaction, rows_of, positive)
        self.hits = collector.data_struct["rec.topk"].cpu().numpy()
        collector.data_struct._data_dict.clear()

    def values(self) -> dict[tuple[str, int], np.ndarray]:
        """Recall and NDCG of each playlist from what the collector kept: hits by place, and 1 for the one hidden
        track."""
        found, discount = self.hits[:, :-1].astype(np.float64), 1 / np.log2(np.arange(2, KS[-1] + 2))
        pairs = [(("recall", k), found[:, :k].sum(1)) for k in KS] + [
            (("ndcg", k), found[:, :k] @ discount[:k]) for k in KS
        ]
        return dict(pairs)


@torch.no_grad()
def targets(peer: Recbole, shown: np.ndarray, rows: int) -> np.ndarray:
    """A track for each playlist at a place drawn evenly on the logarithm of the places."""
    places = np.exp(np.random.default_rng(1).random(len(shown)) * np.log(peer.trainer.tot_item_num - SHOWN - 2)).astype(
        np.int64
    )
    found = np.zeros(len(shown), np.int64)
    for start in range(0, len(shown), rows):
        scores = (
            peer.model.full_sort_predict(peer.batch(shown[start : start + rows]).to(peer.config["device"]))
            .cpu()
            .numpy()
        )
        scores[:, 0] = -np.inf
        np.put_along_axis(scores, shown[start : start + rows], -np.inf, 1)
        for row, place in enumerate(places[start : start + rows]):
            found[start + row] = np.argpartition(-scores[row], place)[place]
    return found


def ranker(peer: Recbole, *, device: str) -> SequentialRanker:
    """Ours over the same parameters, which are shared and not copied."""
    made = SequentialRanker(ModelSpec.of({"type": "sasrec", "modalities": []}), Fusion())
    config, size = bridge.model_config("SASRec", n_items=peer.trainer.tot_item_num - 1, device="cpu")
    made.model = MultimodalSASRec(config, size, Parts()).to(device)
    made.model.load_state_dict(peer.model.state_dict(), assign=True)
    made.model.eval()
    made.played = np.arange(peer.trainer.tot_item_num) > 0
    return made


def peak_mb(work: Any) -> float | None:
    """Growth of the process's resident memory at its peak while `work` runs; None where the system does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")
    except OSError:
        return None
    before = _status(status, "VmRSS")
    work()
    return (_status(status, "VmHWM") - before) / 1024


def _status(path: Path, field: str) -> int:
    return int(next(line for line in path.read_text().splitlines() if line.startswith(field)).split()[1])


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--tracks", type=int, default=2_000_000)
    options.add_argument("--queries", type=int, help="default: 64 with --quick, 256 without")
    options.add_argument("--repetitions", type=int, help="default: 1 with --quick, 3 without")
    options.add_argument(
        "--rows", type=int, default=64, help="RecBole's eval batch: 3 matrices of rows x tracks x 4 bytes"
    )
    given = options.parse_args()
    common.start(given)
    count = given.queries or (64 if given.quick else 256)
    peer = Recbole(given.tracks, device=given.device)
    shown = np.random.default_rng(0).integers(1, given.tracks + 1, (count, SHOWN))
    hidden = targets(peer, shown, given.rows)
    items = np.concatenate([shown, hidden[:, None]], 1).astype(np.int32).ravel()
    offsets = np.arange(count + 1) * (SHOWN + 1)
    names, nothing = pa.array(np.arange(given.tracks).astype(str)), pa.nulls(count, pa.string())
    about = pa.table({"id": np.arange(count).astype(str), "title": nothing, "group": nothing, "split": nothing})
    corpus = Corpus(items, offsets, pa.table({"id": names}), about)
    held = HeldOut(corpus, np.arange(count), offsets[:-1], offsets[1:] - 1, offsets[1:])
    system, counts = ranker(peer, device=given.device), np.ones(given.tracks + 1, np.int64)
    results: dict[str, Any] = {}

    def ours() -> None:
        # RecBole leaves seeds in its ranking
        results["ours"] = evaluate(
            system, held, ks=KS, metrics=["recall", "ndcg"], train_counts=counts, allow_repeats=True
        )

    def whole() -> None:
        system.places(held.queries(), hidden, allow_repeats=True)

    def best() -> None:
        system.rank(held.queries(), KS[-1], allow_repeats=True)

    memory = {"ours": peak_mb(ours), "recbole": peak_mb(lambda: peer.run(shown, hidden, given.rows))}
    for key, wanted in peer.values().items():
        found = results["ours"].values["all", *key]
        assert np.abs(found - wanted).max() <= 1e-12, (
            f"{key}: {int((found != wanted).sum())} of {count} playlists differ"
        )
    sides = {"ours": ours, "recbole": lambda: peer.run(shown, hidden, given.rows)}
    if not given.quick:
        sides |= {"whole": whole, "top-100": best}
    repetitions = given.repetitions or (1 if given.quick else 3)
    seconds = common.alternate(
        sides, repetitions=repetitions, device=given.device, warm=not given.quick, clock=given.clock
    )
    mean = {f"{metric}@{k}": round(float(values.mean()), 4) for (metric, k), values in peer.values().items()}
    common.report(
        "evaluate",
        given,
        ours=seconds["ours"],
        peer=seconds["recbole"],
        check=f"the same Recall and NDCG at 10 and 100 for each of {count} playlists: {mean}",
        unit=f"seconds for {count} playlists",
        bar=5,
        peak_mb={name: None if peak is None else round(peak) for name, peak in memory.items()},
        every_place_counted=common.spread(seconds["whole"]) if "whole" in seconds else None,
        blocked_top_100=common.spread(seconds["top-100"]) if "top-100" in seconds else None,
        data={"tracks": given.tracks, "playlists": count, "recbole_rows": given.rows},
    )


if __name__ == "__main__":
    main()

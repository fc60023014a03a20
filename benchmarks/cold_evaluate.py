"""Evaluating cold tracks: MAP@500 and AUC of every user over the whole cold catalogue, within a bound of memory.

    python benchmarks/cold_evaluate.py [--quick] [--users N] [--cold N] [--sample N]

Users' factors are folded in from their training tracks, 200 numbers each, and multiplied with those of all cold tracks,
block by block; of each hidden track it is counted how many others score below it, and the best 500 are kept. There is
no peer. Checks: the first users' AUC is scikit-learn's, and their average precision that of a plain sort. Bar: 4 GB of
memory in all. With --sample all users' lists are in memory and some of the users are evaluated; the hours for all are
projected from them. One JSON line last.
"""

from __future__ import annotations

import resource
import time

import common
import numpy as np
import pyarrow as pa
from sklearn.metrics import roc_auc_score

from toolkit.coldstart.factorisation import Factors
from toolkit.coldstart.reference_factors import RandomFactors
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import evaluate
from toolkit.recipe import FactorSpec

WARM, SEEDS, HIDDEN, K = 100_000, 10, 4, 200


def held_out(users: int, cold: int) -> HeldOut:
    """Users with seeds among the warm tracks, of skewed popularity, and hidden ones among the cold, the last of the
    catalogue."""
    rng = np.random.default_rng(0)
    items = np.empty((users, SEEDS + HIDDEN), np.int32)
    items[:, :SEEDS] = (rng.random((users, SEEDS), np.float32) ** 2 * WARM).astype(np.int32) + 1
    items[:, SEEDS:] = rng.integers(WARM + 1, WARM + cold + 1, (users, HIDDEN), np.int32)
    offsets = np.arange(users + 1, dtype=np.int64) * (SEEDS + HIDDEN)
    nothing = pa.nulls(users, pa.string())
    playlists = pa.table(
        {"id": pa.array(np.arange(users).astype(str)), "title": nothing, "group": nothing, "split": nothing}
    )
    corpus = Corpus(
        items.reshape(-1), offsets, pa.table({"id": pa.array(np.arange(WARM + cold).astype(str))}), playlists
    )
    candidates = np.arange(WARM + 1, WARM + cold + 1, dtype=np.int32)
    return HeldOut(corpus, np.arange(users), offsets[:-1], offsets[:-1] + SEEDS, offsets[1:], candidates=candidates)


def system(n_items: int) -> RandomFactors:
    """A ranker by factors as a fit leaves it; what the numbers are does not matter to how long they take."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((n_items + 1, K), np.float32) * np.float32(0.1)
    known = (np.arange(n_items + 1) <= WARM) & (np.arange(n_items + 1) > 0)
    made = RandomFactors()
    factors = Factors(np.zeros((0, K), np.float32), vectors, known, FactorSpec(k=K))
    made._state, made._n_items = made.assembled(factors, vectors, np.ones(n_items + 1, bool)), n_items
    return made


def check(ranker: RandomFactors, some: HeldOut, auc: np.ndarray, average_precision: np.ndarray) -> None:
    scores, (tracks, offsets) = ranker.score(some.queries(), some.candidates), some.hidden()
    for row, each in enumerate(scores):
        wanted = np.isin(some.candidates, tracks[offsets[row] : offsets[row + 1]])
        assert abs(roc_auc_score(wanted, each) - auc[row]) < 1e-6, f"AUC of user {row} is not scikit-learn's"
        hits = wanted[np.argsort(-each, kind="stable")][:500]
        expected = (hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)).sum() / min(500, wanted.sum())
        assert abs(expected - average_precision[row]) < 1e-9, (
            f"average precision of user {row} is not that of a plain sort"
        )


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--users", type=int, help="default: 2,000 with --quick, 1,000,000 without")
    options.add_argument("--cold", type=int, help="default: 10,000 with --quick, 50,000 without")
    options.add_argument("--sample", type=int, help="users that are evaluated, spread evenly over all; default: all")
    options.add_argument("--memory-mb", type=int, default=256, help="bound on the scores held at once")
    given = options.parse_args()
    common.start(given)
    users, cold = (
        given.users or (2_000 if given.quick else 1_000_000),
        given.cold or (10_000 if given.quick else 50_000),
    )
    asked, ranker = held_out(users, cold), system(WARM + cold)
    if given.sample:
        asked = asked.take(np.linspace(0, users - 1, given.sample).astype(int))
    n = len(asked)
    began = common.CLOCKS[given.clock]()
    counts = np.where(np.arange(WARM + cold + 1) <= WARM, 1, 0)
    scores = evaluate(
        ranker,
        asked,
        ks=[500],
        metrics=["map", "auc"],
        train_counts=counts,
        memory_mb=given.memory_mb,
        progress=_told(n, time.monotonic()),
    )
    seconds = common.CLOCKS[given.clock]() - began
    check(ranker, asked.part(0, 50), scores.values["all", "auc", 0], scores.values["all", "map", 500])
    common.report(
        "cold_evaluate",
        given,
        ours=[seconds],
        peer=None,
        check="AUC of 50 users as scikit-learn's, average precision as of a plain sort",
        unit=f"seconds for {'' if n == users else f'{n:,} of '}{users:,} users and {cold:,} cold tracks",
        bar=None,
        memory_gb={"peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)},
        bar_memory_gb=4,
        users_a_second=round(n / seconds, 1),
        projected_hours=None if n == users else round(seconds / n * users / 3600, 2),
        data={"users": users, "evaluated": n, "cold": cold, "factors": K, "seeds": SEEDS, "hidden": HIDDEN},
    )


def _told(users: int, began: float) -> object:
    def tell(done: int, _: int, __: str) -> None:
        if done % (users // 20 or 1) < 300:
            print(f"{done:,} of {users:,} users, {time.monotonic() - began:.0f} s", flush=True)

    return tell


if __name__ == "__main__":
    main()

"""The 100 nearest of two million vectors of 64 numbers by inner product, against faiss's flat index, batched on both
sides.

    pip install faiss-cpu
    python benchmarks/retrieve.py [--quick] [--items N] [--approximate]

Ours is exact: a bfloat16 product where hardware has it leaves out what cannot be among the 100, the rest is worked
again in float32. Check: the same 100 ids in the same order as faiss's (scores nearer than 1e-5 may change places). Bar:
1.5x.

The peer is faiss with its matrix product (`distance_compute_blas_threshold` 20, as older releases have it). As shipped,
1.15 takes up to 128,000 queries pair by pair, which is several times as long (`as_shipped`).

`--approximate` also builds the product's optional index (2,048 cells, 8-bit codes) over these clustered vectors, one
query at a
time against faiss flat: bar 50x at recall@100 ≥ .95. One JSON line last.
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
import torch

from toolkit.devices import has_bf16
from toolkit.errors import require
from toolkit.sequential.scoring.approximate_index import ApproximateIndex
from toolkit.sequential.scoring.exact_top_k import exact_top_k

K, DIM, CELLS = 100, 64, 2048


def vectors(count: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors round `CELLS` centres, as tracks lie round artists, and queries drawn in the same way."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(CELLS, DIM))
    items, asked = (centres[draw.integers(CELLS, size=n)] + 0.7 * draw.normal(size=(n, DIM)) for n in (count, queries))
    return items.astype(np.float32), asked.astype(np.float32)


def same(ids: np.ndarray, scores: np.ndarray, wanted: np.ndarray, wanted_scores: np.ndarray) -> str:
    """Raise unless both sides found the same; ids may differ only where scores are that close."""
    assert np.allclose(scores, wanted_scores, rtol=1e-5, atol=1e-4), (
        f"scores differ by {np.abs(scores - wanted_scores).max()}"
    )
    differ = ids != wanted
    shared = np.mean([len(set(a) & set(b)) / K for a, b in zip(ids.tolist(), wanted.tolist(), strict=True)])
    assert shared > 0.999, f"only {shared:.4f} of the ids are the same"
    same = f"{1 - differ.mean():.5f} of the places hold the same id, the others scores within 1e-5"
    return f"same top {K} of {len(ids)} queries: {same}"


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--items", type=int, default=2_000_000)
    options.add_argument("--queries", type=int, default=256)
    options.add_argument("--repetitions", type=int, help="default: 3 with --quick, 5 without")
    options.add_argument(
        "--approximate", action="store_true", help="also the inverted index: minutes to build on two cores"
    )
    given = options.parse_args()
    common.start(given)
    faiss: Any = require("faiss", install="pip install faiss-cpu")
    faiss.omp_set_num_threads(given.threads)
    items, asked = vectors(given.items, given.queries)
    table, query = torch.from_numpy(items).to(given.device), torch.from_numpy(asked).to(given.device)
    low = torch.bfloat16 if has_bf16(given.device) else torch.float32
    every, nobody = (
        torch.arange(len(table), device=given.device),
        torch.zeros(0, dtype=torch.int64, device=given.device),
    )
    flat = faiss.IndexFlatIP(DIM)
    flat.add(items)
    results: dict[str, Any] = {}

    def ours() -> None:
        best, ids = exact_top_k(query, table.__getitem__, every, (nobody, nobody), K, compute=low)
        results["ours"] = ids.cpu().numpy(), best.cpu().numpy()

    def plain() -> None:
        exact_top_k(query, table.__getitem__, every, (nobody, nobody), K)

    shipped = faiss.cvar.distance_compute_blas_threshold

    def peer(threshold: int = 20) -> None:
        faiss.cvar.distance_compute_blas_threshold = threshold
        scores, ids = flat.search(asked, K)
        faiss.cvar.distance_compute_blas_threshold = shipped
        results["faiss"] = ids, scores

    sides = {"ours": ours, "faiss": peer, "as shipped": lambda: peer(shipped), "float32": plain}
    repetitions = given.repetitions or (3 if given.quick else 5)
    seconds = common.alternate(sides, repetitions=repetitions, device=given.device, clock=given.clock)
    check = same(*results["ours"], *results["faiss"])
    more: dict[str, Any] = {}
    if given.approximate:
        more["approximate"] = approximate(given, items, asked, flat, results["faiss"][0])
    common.report(
        "retrieve",
        given,
        ours=seconds["ours"],
        peer=seconds["faiss"],
        check=check,
        unit=f"seconds for {given.queries} queries",
        bar=1.5,
        compute=str(low).removeprefix("torch."),
        faiss=faiss.__version__,
        as_shipped=common.spread(seconds["as shipped"]),
        ours_float32=common.spread(seconds["float32"]),
        data={"items": given.items, "columns": DIM, "queries": given.queries, "k": K},
        **more,
    )


def approximate(given: Any, items: np.ndarray, asked: np.ndarray, flat: Any, wanted: np.ndarray) -> dict[str, Any]:
    """One query at a time: cells probed are doubled until recall@100 is at least .95."""
    table, query, nobody = torch.from_numpy(items), torch.from_numpy(asked), torch.zeros(0, dtype=torch.int64)
    made: list[ApproximateIndex] = []
    building = common.timed(
        lambda: made.append(ApproximateIndex(table.__getitem__, torch.arange(len(table)), probes=1)), clock=given.clock
    )
    index, probes, recall = made[0], 1, 0.0
    while True:
        index.index.nprobe = probes
        ids = index.top_k(query, table.__getitem__, (nobody, nobody), K)[1].numpy()
        recall = float(np.mean([len(set(a) & set(b)) / K for a, b in zip(ids.tolist(), wanted.tolist(), strict=True)]))
        if recall >= 0.95 or probes >= index.cells:
            break
        probes *= 2
    sides = {
        "cells": lambda: [index.top_k(row[None], table.__getitem__, (nobody, nobody), K) for row in query[:100]],
        "flat": lambda: [flat.search(row[None], K) for row in asked[:20]],
    }
    seconds = common.alternate(sides, repetitions=3, clock=given.clock)
    spread = {
        name: common.spread([1000 * taken / {"cells": 100, "flat": 20}[name] for taken in each])
        for name, each in seconds.items()
    }
    ratio = round(spread["flat"]["median"] / spread["cells"]["median"], 1)
    return {
        "ms_a_query": spread,
        "ratio": ratio,
        "bar": 50,
        "recall@100": recall,
        "probes": probes,
        "build_seconds": round(building, 1),
    }


if __name__ == "__main__":
    main()

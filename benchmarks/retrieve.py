"""The 100 nearest of two million vectors of 64 numbers by inner product, against faiss's flat index, batched on both sides.

    pip install faiss-cpu
    python benchmarks/retrieve.py [--quick] [--items N] [--approximate]

Ours is exact: a bfloat16 product where hardware has it leaves out what cannot be among the 100, the rest is worked again in float32.
Check: the same 100 ids in the same order as faiss's (scores nearer than 1e-5 may change places). `--approximate` also builds an
inverted index with 8-bit codes (2,048 cells) over clustered vectors, one query at a time against faiss flat: bar 50x at recall@100 ≥ .95.
Bar for the exact row: 1.5x. One JSON line last.
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
import torch

from toolkit.compute import has_bf16
from toolkit.errors import require
from toolkit.sequential.ranks import exact_top_k

K, DIM, CELLS = 100, 64, 2048


def vectors(count: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors round `CELLS` centres, as tracks lie round artists, and queries drawn in the same way."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(CELLS, DIM))
    items, asked = (centres[draw.integers(CELLS, size=n)] + 0.7 * draw.normal(size=(n, DIM)) for n in (count, queries))
    return items.astype(np.float32), asked.astype(np.float32)


def same(ids: np.ndarray, scores: np.ndarray, wanted: np.ndarray, wanted_scores: np.ndarray) -> str:
    """Raise unless both sides found the same; ids may differ only where scores are that close."""
    assert np.allclose(scores, wanted_scores, rtol=1e-5, atol=1e-4), f"scores differ by {np.abs(scores - wanted_scores).max()}"
    differ = ids != wanted
    shared = np.mean([len(set(a) & set(b)) / K for a, b in zip(ids.tolist(), wanted.tolist(), strict=True)])
    assert shared > 0.999, f"only {shared:.4f} of the ids are the same"
    return f"same top {K} of {len(ids)} queries: {1 - differ.mean():.5f} of the places hold the same id, the others scores within 1e-5"


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--items", type=int, default=2_000_000)
    options.add_argument("--queries", type=int, default=256)
    options.add_argument("--approximate", action="store_true", help="also the inverted index: minutes to build on two cores")
    given = options.parse_args()
    common.start(given)
    faiss: Any = require("faiss", install="pip install faiss-cpu")
    faiss.omp_set_num_threads(given.threads)
    items, asked = vectors(given.items, given.queries)
    table, query = torch.from_numpy(items).to(given.device), torch.from_numpy(asked).to(given.device)
    low = torch.bfloat16 if has_bf16(given.device) else torch.float32
    flat = faiss.IndexFlatIP(DIM)
    flat.add(items)
    results: dict[str, Any] = {}

    def ours() -> None:
        best, ids = exact_top_k(query, table, K, compute=low)
        results["ours"] = ids.cpu().numpy(), best.cpu().numpy()

    def peer() -> None:
        scores, ids = flat.search(asked, K)
        results["faiss"] = ids, scores

    seconds = common.alternate({"ours": ours, "faiss": peer}, repetitions=3 if given.quick else 7, device=given.device, clock=given.clock)
    check = same(*results["ours"], *results["faiss"])
    more: dict[str, Any] = {}
    if given.approximate:
        more["approximate"] = approximate(faiss, items, asked, flat, results["faiss"][0])
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
        data={"items": given.items, "columns": DIM, "queries": given.queries, "k": K},
        **more,
    )


def approximate(faiss: Any, items: np.ndarray, asked: np.ndarray, flat: Any, wanted: np.ndarray) -> dict[str, Any]:
    """One query at a time: cells probed are doubled until recall@100 is at least .95."""
    made = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(DIM), DIM, CELLS, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    sample = items[np.random.default_rng(1).choice(len(items), min(len(items), 100_000), replace=False)]
    building = common.timed(lambda: (made.train(sample), made.add(items)))
    probes, recall = 1, 0.0
    while True:
        made.nprobe = probes
        ids = made.search(asked, K)[1]
        recall = float(np.mean([len(set(a) & set(b)) / K for a, b in zip(ids.tolist(), wanted.tolist(), strict=True)]))
        if recall >= 0.95 or probes >= CELLS:
            break
        probes *= 2
    some = asked[:20]
    sides = {name: (lambda index=index: [index.search(row[None], K) for row in some]) for name, index in (("cells", made), ("flat", flat))}
    seconds = common.alternate(sides, repetitions=3)
    spread = {name: common.spread([1000 * taken / len(some) for taken in each]) for name, each in seconds.items()}
    ratio = round(spread["flat"]["median"] / spread["cells"]["median"], 1)
    return {"ms_a_query": spread, "ratio": ratio, "bar": 50, "recall@100": recall, "probes": probes, "build_seconds": round(building, 1)}


if __name__ == "__main__":
    main()

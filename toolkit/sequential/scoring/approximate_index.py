"""Approximate index over item rows, for services that continue a playlist at a time. Requires faiss.

The index is an inverted file with k-means cells of the rows and 8 bits per number. The nearest cells are searched for
each query (Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011, section 4; faiss's
IndexIVFScalarQuantizer). The results are scored again in float32, so scores are exact, but some of the best tracks can
be missing.
"""

from __future__ import annotations

import numpy as np
import torch

from toolkit.errors import InputError, require
from toolkit.packages import FAISS
from toolkit.sequential.scoring.exact_ranks import Rows, contained, span

CELLS, ROWS_PER_CELL = 2048, 39
"""Most cells, and least rows per cell: faiss's recommendation."""

BLOCK = 65_536


class ApproximateIndex:
    """Inverted file over item rows [n, D].

    - probes: number of cells searched for each query. With all cells nearly every best track is returned, but slowly.

    Building takes seconds for 100,000 items and about a minute for two million, and D bytes of memory per item. Raises
    `InputError` without items or probes, and `MissingPackage` without faiss.
    """

    def __init__(self, rows: Rows, items: torch.Tensor, *, probes: int = 16, seed: int = 0) -> None:
        faiss = require("faiss", install=FAISS.install)
        if probes < 1 or not len(items):
            raise InputError(
                f"probes={probes} and the number of items {len(items)} must be at least 1: raise probes or add items"
            )
        self.cells = max(1, min(CELLS, len(items) // ROWS_PER_CELL))
        size = min(len(items), 2 * ROWS_PER_CELL * self.cells)
        drawn = np.random.default_rng(seed).choice(len(items), size, replace=False)
        sample = _array(rows(items[torch.from_numpy(drawn).to(items.device)]))
        flat = faiss.IndexFlatIP(sample.shape[1])
        self.index = faiss.IndexIVFScalarQuantizer(
            flat, sample.shape[1], self.cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        self.index.cp.seed = seed
        self.index.train(sample)
        for part in items.split(BLOCK):
            self.index.add_with_ids(_array(rows(span(part))), part.cpu().numpy())
        self.index.nprobe = min(probes, self.cells)

    def top_k(
        self, query: torch.Tensor, rows: Rows, seeds: tuple[torch.Tensor, torch.Tensor], k: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores and ids [B, k] like `exact_top_k`, limited to items in the cells searched."""
        # a few more than k: codes of 8 bits change the order near the end, and seeds are removed
        most = int(torch.bincount(seeds[0], minlength=1).max())
        count = max(k, min(k + k // 4 + most, self.index.ntotal))
        # equal scores go to the smaller id
        ids = torch.from_numpy(np.sort(self.index.search(_array(query), count)[1])).to(query.device)
        left_out = ids < 0
        if len(seeds[0]):
            width = 1 + int(torch.maximum(ids.max(), seeds[1].max()))
            owners = torch.arange(len(query), device=query.device)[:, None]
            left_out |= contained((seeds[0] * width + seeds[1]).sort().values, owners * width + ids)
        found = rows(ids.clamp(min=0).flatten()).view(*ids.shape, -1)
        scores = (query[:, None] * found).sum(2).masked_fill_(left_out, -torch.inf)
        best, order = scores.sort(dim=1, descending=True, stable=True)
        return best[:, :k], ids.masked_fill_(left_out, 0).gather(1, order[:, :k])


def _array(rows: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(rows.cpu().numpy(), np.float32)

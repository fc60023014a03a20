"""Scores of a training step as matrix factors.

The logits of a row are ⟨query, table⟩ + ⟨match query, match table⟩ + bias. The match table is fixed and has no
gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Scores:
    """Two factors of a score matrix that is never computed whole.

    - query [n, H], table [C, H].
    - match_query [n, D], match_table [C, D] (no gradient) and bias [C], if used.
    - gold [n]: score of each row's target if targets are scored separately, as column C of the matrix.
    - hit: int64 [n], the candidate that is also the row's target and must not count twice; C for no such candidate.
    """

    query: torch.Tensor
    table: torch.Tensor
    match_query: torch.Tensor | None = None
    match_table: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    gold: torch.Tensor | None = None
    hit: torch.Tensor | None = None

    def logits(self) -> torch.Tensor:
        """Return the whole score matrix [n, C], or [n, C + 1] with separately scored targets."""
        # under autocast queries are bfloat16, and the table is not
        wide = torch.promote_types(self.query.dtype, self.table.dtype)
        scores = self.query.to(wide) @ self.table.to(wide).T
        if self.match_query is not None and self.match_table is not None:
            scores = scores + self.match_query @ self.match_table.T
        if self.bias is not None:
            scores = scores + self.bias
        if self.gold is None or self.hit is None:
            return scores
        rows = torch.arange(len(scores), device=scores.device)
        wider = F.pad(scores, (0, 1)).scatter(1, self.hit[:, None], -torch.inf)
        return wider.index_put((rows, torch.full_like(rows, len(self.table))), self.gold.to(wider.dtype))

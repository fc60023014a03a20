"""Generalised binary cross-entropy: what few negatives teach, without the overconfidence of plain BCE.

Petrov and Macdonald, "gSASRec: Reducing overconfidence in sequential recommendation
trained with negative sampling", RecSys 2023, section 5. There k negatives are drawn for
each position; here one uniform set is shared by the positions of a step, so that their
scores are one matrix product.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from toolkit.sequential.losses.loss_scores import Scores


def gbce(
    scores: Scores, *, t: float, n_candidates: int, memory_mb: float = 32, compute: torch.dtype | None = None
) -> torch.Tensor:
    """Mean over rows of −β log σ(s⁺) − Σ log(1 − σ(s⁻)) over the k shared negatives that are not the row's target.

    β = 1 − t (1 − α) for the sampling rate α = k / (n_candidates − 1): t = 0 is plain BCE, t = 1 gives each
    score the chance it would have with every wrong answer present. The paper divides a row by k + 1; here it is not
    divided (a constant factor), because gradients some thousand times smaller are near Adam's epsilon.
    scores: with `gold` and `hit`, without log-Q correction. At most `memory_mb` of float32 scores are held at once:
    the backward pass works them again. compute: dtype of the products.
    """
    assert scores.gold is not None and scores.hit is not None, "gbce scores a target beside a shared sample"
    n, width = len(scores.query), len(scores.table)
    negatives = width - (scores.hit < width).to(scores.gold.dtype)
    beta = 1 - t * (1 - negatives / max(1, n_candidates - 1))
    total = (beta * F.softplus(-scores.gold)).sum()
    rows = max(1, int(memory_mb * 2**20) // (4 * width))
    with torch.autocast(scores.query.device.type, enabled=False):
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            match = None if scores.match_query is None else scores.match_query[part]
            given = (
                scores.query[part],
                scores.table,
                match,
                scores.match_table,
                scores.bias,
                scores.hit[part],
                compute,
            )
            total = total + checkpoint(_pushed, *given, use_reentrant=False)
    return total / n


def _pushed(
    query: torch.Tensor,
    table: torch.Tensor,
    match_query: torch.Tensor | None,
    match_table: torch.Tensor | None,
    bias: torch.Tensor | None,
    hit: torch.Tensor,
    compute: torch.dtype | None,
) -> torch.Tensor:
    """Σ −log(1 − σ(s)) over all rows and columns but each row's `hit`."""
    low = [
        None if each is None else each.to(compute or each.dtype) for each in (query, table, match_query, match_table)
    ]
    products = Scores(*low).logits()  # type: ignore[arg-type]
    exact = products.to(torch.promote_types(products.dtype, torch.float32))
    pushed = F.softplus(exact if bias is None else exact + bias)
    counted = torch.arange(len(table), device=hit.device) != hit[:, None]
    return (pushed * counted).sum()

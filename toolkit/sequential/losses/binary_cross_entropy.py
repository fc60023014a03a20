"""Generalised binary cross-entropy, which learns from few negatives without the overconfidence of plain BCE.

Petrov and Macdonald, "gSASRec: Reducing overconfidence in sequential recommendation trained with negative sampling",
RecSys 2023, section 5. The paper draws k negatives for each position. Here all positions of a step share a uniform
sample, and the scores of its negatives are a single matrix product.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from toolkit.sequential.losses.loss_scores import Scores


def gbce(
    scores: Scores, *, t: float, n_candidates: int, memory_mb: float = 32, compute: torch.dtype | None = None
) -> torch.Tensor:
    """Return the mean over rows of −β log σ(s⁺) − Σ log(1 − σ(s⁻)).

    The sum is over the k shared negatives that are not the row's target. β = 1 − t (1 − α) for the sampling rate α = k
    / (n_candidates − 1). With t = 0 the loss is plain BCE. With t = 1 each score has the probability that it would have
    with every negative present. The paper divides a row by k + 1. Here a row is not divided, because gradients some
    thousand times smaller are near Adam's epsilon.

    - scores: with `gold` and `hit`, without log-Q correction.
    - memory_mb: maximum size of the float32 scores held at once. The backward pass recomputes them.
    - compute: dtype of the products.
    """
    assert scores.gold is not None and scores.hit is not None, "gbce scores a target next to a shared sample"
    n, width = len(scores.query), len(scores.table)
    negatives = width - (scores.hit < width).to(scores.gold.dtype)
    beta = 1 - t * (1 - negatives / max(1, n_candidates - 1))
    total = (beta * F.softplus(-scores.gold)).sum()
    rows = max(1, int(memory_mb * 2**20) // (4 * width))
    with torch.autocast(scores.query.device.type, enabled=False):
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            match = None if scores.match_query is None else scores.match_query[part]
            query, hit = scores.query[part], scores.hit[part]
            factors = (query, scores.table, match, scores.match_table, scores.bias, hit, compute)
            total = total + checkpoint(_negative_loss, *factors, use_reentrant=False)
    return total / n


def _negative_loss(
    query: torch.Tensor,
    table: torch.Tensor,
    match_query: torch.Tensor | None,
    match_table: torch.Tensor | None,
    bias: torch.Tensor | None,
    hit: torch.Tensor,
    compute: torch.dtype | None,
) -> torch.Tensor:
    """Return Σ −log(1 − σ(s)) over all rows and columns except each row's `hit`."""
    factors = (query, table, match_query, match_table)
    low = [None if factor is None else factor.to(compute or factor.dtype) for factor in factors]
    products = Scores(*low).logits()  # type: ignore[arg-type]
    exact = products.to(torch.promote_types(products.dtype, torch.float32))
    losses = F.softplus(exact if bias is None else exact + bias)
    counted = torch.arange(len(table), device=hit.device) != hit[:, None]
    return (losses * counted).sum()

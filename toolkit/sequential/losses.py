"""Softmax cross-entropy over a candidate set, without and with the full logits in memory.

Logits of a row are ⟨query, table⟩ + ⟨match query, match table⟩ + bias. The match
part's table is fixed, so no gradient is computed for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Scores:
    """The two factors of a score matrix that is never formed whole.

    query [n, H], table [C, H]; match_query [n, D], match_table [C, D] (no gradient) and bias [C] where there are any.
    """

    query: torch.Tensor
    table: torch.Tensor
    match_query: torch.Tensor | None = None
    match_table: torch.Tensor | None = None
    bias: torch.Tensor | None = None

    def logits(self) -> torch.Tensor:
        """The whole score matrix [n, C]."""
        scores = self.query @ self.table.T
        if self.match_query is not None and self.match_table is not None:
            scores = scores + self.match_query @ self.match_table.T
        return scores if self.bias is None else scores + self.bias


def full(scores: Scores, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of `targets` int64 [n] by the full logits [n, C]."""
    logits = scores.logits()
    return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets)


def chunked(scores: Scores, targets: torch.Tensor, *, memory_mb: float = 16, compute: torch.dtype | None = None) -> torch.Tensor:
    """The same value and gradients as `full`, holding at most `memory_mb` of logits at once.

    compute: dtype of the products (bfloat16 where hardware has it); softmax and sums stay float32.
    """
    rows = max(1, int(memory_mb * 2**20) // (4 * len(scores.table)))
    inputs = (scores.query, scores.table, scores.match_query, scores.match_table, scores.bias)
    loss: torch.Tensor = _Chunked.apply(*inputs, targets, rows, compute)
    return loss


class _Chunked(torch.autograd.Function):
    """Gradients are made in the forward pass, chunk by chunk, while the logits are there."""

    @staticmethod
    def forward(ctx, query, table, match_query, match_table, bias, targets, rows, compute):  # type: ignore[no-untyped-def]
        grad_query, grad_table = torch.empty_like(query), torch.zeros_like(table, dtype=torch.promote_types(table.dtype, torch.float32))
        grad_match = None if match_query is None else torch.empty_like(match_query)
        grad_bias = None if bias is None else torch.zeros_like(bias)
        dtype = compute or query.dtype
        low_table = table.to(dtype)
        low_match = None if match_table is None else match_table.to(dtype)
        total = torch.zeros((), dtype=torch.float64 if query.dtype == torch.float64 else torch.float32, device=query.device)
        with torch.autocast(query.device.type, enabled=False):
            for start in range(0, len(query), rows):
                part = slice(start, min(start + rows, len(query)))
                low_query = query[part].to(dtype)
                logits = low_query @ low_table.T
                if low_match is not None:
                    logits = torch.addmm(logits, match_query[part].to(dtype), low_match.T)
                if bias is not None:
                    logits = logits.to(total.dtype) + bias
                wanted = targets[part, None]
                # one fused kernel over rows that stay in cache; separate passes cost four times as much
                slope = torch.softmax(logits, 1, dtype=total.dtype)
                total += _surprise(logits, slope, wanted)
                slope.scatter_add_(1, wanted, slope.new_full((len(wanted), 1), -1.0))
                if grad_bias is not None:
                    grad_bias += slope.sum(0)
                slope = slope.to(dtype)
                grad_query[part] = slope @ low_table
                grad_table += slope.T @ low_query
                if grad_match is not None and low_match is not None:
                    grad_match[part] = slope @ low_match
        n = len(query)
        ctx.saved = [None if g is None else g / n for g in (grad_query, grad_table.to(table.dtype), grad_match, grad_bias)]
        return total / n

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        query, table, match, bias = (None if g is None else g * grad for g in ctx.saved)
        return query, table, match, None, bias, None, None, None


def _surprise(logits: torch.Tensor, chances: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Sum of −log p of the wanted columns; rows whose p underflows are worked again in the log domain."""
    gold = chances.gather(1, wanted)[:, 0]
    lost = gold < torch.finfo(torch.float32).tiny
    value = -gold[~lost].to(torch.promote_types(gold.dtype, torch.float32)).log().sum()
    if bool(lost.any()):
        value = value - torch.log_softmax(logits[lost].to(value.dtype), 1).gather(1, wanted[lost]).sum()
    return value

"""Softmax cross-entropy over a candidate set, without and with the full logits in memory.

Logits of a row are ⟨query, table⟩ + ⟨match query, match table⟩ + bias. The match
part's table is fixed, so no gradient is computed for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

ROWS_AT_ONCE = 256
"""Rows of a chunk on a CPU: with a small sample they stay in cache; more rows only leave it."""


@dataclass(frozen=True)
class Scores:
    """The two factors of a score matrix that is never formed whole.

    query [n, H], table [C, H]; match_query [n, D], match_table [C, D] (no gradient) and bias [C] where there are any.
    gold [n]: score of each row's target where targets are no candidates. It is column C of the matrix, and
    `hit` int64 [n] names the column that is the target all the same, not to be counted twice (C for none).
    """

    query: torch.Tensor
    table: torch.Tensor
    match_query: torch.Tensor | None = None
    match_table: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    gold: torch.Tensor | None = None
    hit: torch.Tensor | None = None

    def logits(self) -> torch.Tensor:
        """The whole score matrix [n, C], or [n, C + 1] with targets beside the candidates."""
        scores = self.query @ self.table.T
        if self.match_query is not None and self.match_table is not None:
            scores = scores + self.match_query @ self.match_table.T
        if self.bias is not None:
            scores = scores + self.bias
        if self.gold is None or self.hit is None:
            return scores
        rows = torch.arange(len(scores), device=scores.device)
        wider = F.pad(scores, (0, 1)).scatter(1, self.hit[:, None], -torch.inf)
        return wider.index_put((rows, torch.full_like(rows, len(self.table))), self.gold.to(wider.dtype))


def full(scores: Scores, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of `targets` int64 [n] by the full logits [n, C]."""
    logits = scores.logits()
    return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets)


def chunked(scores: Scores, targets: torch.Tensor, *, memory_mb: float = 32, compute: torch.dtype | None = None) -> torch.Tensor:
    """The same value and gradients as `full`, holding at most `memory_mb` of float32 logits at once.

    compute: dtype of the products (bfloat16 where hardware has it); softmax and sums stay float32.
    """
    rows = max(1, int(memory_mb * 2**20) // (4 * (len(scores.table) + (scores.gold is not None))))
    if scores.query.device.type == "cpu":
        rows = min(rows, ROWS_AT_ONCE)
    inputs = (scores.query, scores.table, scores.match_query, scores.match_table, scores.bias, scores.gold, scores.hit)
    loss: torch.Tensor = _Chunked.apply(*inputs, targets, rows, compute)
    return loss


class _Chunked(torch.autograd.Function):
    """Gradients are made in the forward pass, chunk by chunk, while the logits are there."""

    @staticmethod
    def forward(ctx, query, table, match_query, match_table, bias, gold, hit, targets, rows, compute):  # type: ignore[no-untyped-def]
        exact = torch.promote_types(table.dtype, torch.float32)
        # held match weights need no gradient, and it would be a third of the products
        asked = (match_query if ctx.needs_input_grad[2] else None, bias, gold)
        beside = [None if part is None else torch.zeros_like(part) for part in asked]
        grads = [torch.empty_like(query), torch.zeros_like(table, dtype=exact), *beside]
        match = [None if part is None else part.to(compute or query.dtype) for part in (match_query, match_table)]
        low = Scores(query.to(compute or query.dtype), table.to(compute or query.dtype), *match)
        chunk = _Chunk(low, bias, gold, hit, min(rows, len(query)), exact)
        total = torch.zeros((), dtype=exact, device=query.device)
        with torch.autocast(query.device.type, enabled=False):
            for start in range(0, len(query), rows):
                part, wanted = slice(start, min(start + rows, len(query))), targets[start : start + rows, None]
                slope = chunk.chances(part)
                gained = slope.gather(1, wanted)[:, 0]
                lost = gained < torch.finfo(torch.float32).tiny
                total -= gained[~lost].log().sum()
                if bool(lost.any()):
                    # so unlikely that the chance underflows: these rows again, in the log domain
                    again = _rows(Scores(query, table, match_query, match_table, bias, gold, hit), part, lost).logits().to(exact)
                    total -= torch.log_softmax(again, 1).gather(1, wanted[lost]).sum()
                slope.scatter_add_(1, wanted, slope.new_full((len(wanted), 1), -1.0))
                chunk.add(slope, part, grads)
        ctx.saved = [None if grad is None else grad.div_(len(query)) for grad in grads]
        ctx.saved[1] = ctx.saved[1].to(table.dtype)
        return total / len(query)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        query, table, match, bias, gold = (None if g is None else g * grad for g in ctx.saved)
        return query, table, match, None, bias, gold, None, None, None, None


class _Chunk:
    """Logits and chances of a few rows, in buffers that every chunk uses again: fresh ones cost a page fault every 4 KB."""

    def __init__(self, low: Scores, bias, gold, hit, rows: int, exact: torch.dtype) -> None:  # type: ignore[no-untyped-def]
        self.low, self.bias, self.gold, self.hit = low, bias, gold, hit
        self.width = len(low.table)
        size, device = (rows, self.width + (gold is not None)), low.table.device
        self.slopes = torch.empty(size, dtype=exact, device=device)
        same = low.table.dtype == exact
        self.logits = self.slopes if same else torch.empty(size, dtype=low.table.dtype, device=device)
        self.table_slopes = None if same else torch.empty_like(low.table)

    def chances(self, part: slice) -> torch.Tensor:
        """Softmax of the rows `part`, [r, C] or [r, C + 1]."""
        low, rows = self.low, part.stop - part.start
        logits, chances = self.logits[:rows], self.slopes[:rows]
        columns = logits[:, : self.width]
        if self.bias is not None and logits.dtype == chances.dtype:
            torch.addmm(self.bias, low.query[part], low.table.T, out=columns)
        else:
            torch.mm(low.query[part], low.table.T, out=columns)
        if low.match_query is not None and low.match_table is not None:
            columns.addmm_(low.match_query[part], low.match_table.T)
        if logits.dtype != chances.dtype and (self.bias is not None or self.gold is not None):
            torch.add(columns, 0.0 if self.bias is None else self.bias, out=chances[:, : self.width])
            logits = chances
        if self.gold is not None:
            logits.scatter_(1, self.hit[part, None], -torch.inf)
            logits[:, self.width] = self.gold[part]
        return torch.softmax(logits, 1, dtype=chances.dtype, out=chances)

    def add(self, slope: torch.Tensor, part: slice, grads) -> None:  # type: ignore[no-untyped-def]
        """Add to the gradients of query, table, match query, bias and gold what the rows `part` give."""
        query, table, match_query, bias, gold = grads
        if gold is not None:
            gold[part] = slope[:, self.width]
        slope = slope[:, : self.width]
        if bias is not None:
            bias += slope.sum(0)
        if self.table_slopes is None:
            table.addmm_(slope.T, self.low.query[part])
        else:
            slope = self.logits[: len(slope), : self.width].copy_(slope)
            table += torch.mm(slope.T, self.low.query[part], out=self.table_slopes)
        query[part] = slope @ self.low.table
        if match_query is not None and self.low.match_table is not None:
            match_query[part] = slope @ self.low.match_table


def _rows(scores: Scores, part: slice, chosen: torch.Tensor) -> Scores:
    """Scores of the rows of `part` that `chosen` bool [r] names."""
    query, match, gold, hit = (
        None if each is None else each[part][chosen] for each in (scores.query, scores.match_query, scores.gold, scores.hit)
    )
    assert query is not None
    return Scores(query, scores.table, match, scores.match_table, scores.bias, gold, hit)

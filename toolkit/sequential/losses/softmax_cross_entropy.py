"""Softmax cross-entropy over a candidate set, with the full logits in memory or in chunks.

In chunks, the target's score is subtracted from the scores of its row, so the row's loss is the logarithm of the sum of
exponentials. No pass for the maximum is required, and none to divide by the sum, which is moved to the other factor of
each gradient's product. The sum is at least 1 and overflows only for losses near 88. Rows that overflow are recomputed
with their maximum subtracted.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from toolkit.sequential.losses.loss_scores import Scores

ROWS_AT_ONCE, TILE_BYTES = 384, 2**20
"""On a CPU, rows of a chunk and bytes of scores at once: they stay in a core's cache from one pass to the next."""
OVERFLOWN = 1e30
"""Sums from which a row is recomputed around its maximum."""


def full(scores: Scores, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of `targets` int64 [n], computed with the full logits [n, C]."""
    logits = scores.logits()
    return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets)


def chunked(
    scores: Scores, targets: torch.Tensor, *, memory_mb: float = 128, compute: torch.dtype | None = None
) -> torch.Tensor:
    """Return the same value and gradients as `full`, with at most `memory_mb` of scores in memory.

    - compute: dtype of products and scores (bfloat16 if the hardware supports it). Sums remain float32.
    """
    low = compute or torch.promote_types(scores.query.dtype, scores.table.dtype)
    rows, tile = max(1, int(memory_mb * 2**20) // (low.itemsize * len(scores.table))), len(scores.table)
    if scores.query.device.type == "cpu":
        rows = min(rows, ROWS_AT_ONCE, len(scores.query))
        tile = max(1, TILE_BYTES // (low.itemsize * rows))
    inputs = (scores.query, scores.table, scores.match_query, scores.match_table, scores.bias, scores.gold, scores.hit)
    return _Chunked.apply(*inputs, targets, rows, tile, low)


class _Chunked(torch.autograd.Function):
    """Autograd function that computes gradients in the forward pass, while the scores of a chunk are in memory."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, query, table, match_query, match_table, bias, gold, hit, targets, rows, tile, low
    ):
        # match weights that are held need no gradient, which would be a third of the products
        matched = match_query if ctx.needs_input_grad[2] else None
        with torch.autocast(query.device.type, enabled=False):
            chunks = _Chunks(Scores(query, table, match_query, match_table, bias, gold, hit), targets, rows, tile, low)
            grads = [None if part is None else chunks.zeros_like(part) for part in (query, table, matched, bias, gold)]
            total = sum(
                chunks.add(slice(start, min(start + rows, len(query))), grads) for start in range(0, len(query), rows)
            )
        ctx.saved = [None if grad is None else grad.to(table.dtype) for grad in grads]
        return total / len(query)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        # mostly 1, and the product would copy a gradient as large as the table
        same = grad.device.type == "cpu" and float(grad) == 1
        query, table, match, bias, gold = (g if g is None or same else g * grad for g in ctx.saved)
        return query, table, match, None, bias, gold, None, None, None, None, None


class _Chunks:
    """Exponentials of the scores of a few rows, [C, r].

    All chunks use the same buffer, because new memory costs a page fault per 4 KB. Candidates are the first axis of the
    buffer, so a tile of candidates is contiguous.
    """

    def __init__(self, scores: Scores, targets: torch.Tensor, rows: int, tile: int, low: torch.dtype) -> None:
        self.scores, self.targets, self.low = scores, targets, low
        self.exact = torch.promote_types(scores.table.dtype, torch.float32)
        size, device = len(scores.table), scores.table.device
        self.tiles = [slice(start, min(start + tile, size)) for start in range(0, size, tile)]
        self.table, self.match_table = (
            scores.table.to(low),
            None if scores.match_table is None else scores.match_table.to(low),
        )
        ones = torch.ones(size, 1, dtype=low, device=device)
        bias = [] if scores.bias is None else _split(scores.bias.to(self.exact), low)
        match = [] if self.match_table is None else [self.match_table]
        self.candidates = torch.cat(
            [self.table, *match, *bias, *[ones] * len(_split(scores.table[:0, 0].to(self.exact), low))], 1
        )
        self.ones = len(bias)
        self.buffer = torch.empty(size * min(rows, len(scores.query)), dtype=low, device=device)

    def zeros_like(self, part: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(part, dtype=self.exact)

    def add(self, part: slice, grads) -> torch.Tensor:  # type: ignore[no-untyped-def]
        """Return the summed loss of the rows `part`, and add their gradients to `grads`.

        `grads` are the gradients of query, table, match query, bias and gold.
        """
        # With scores s, target t and x_j = exp(s_j − s_t), a row's loss is log Σ_j x_j and its softmax p_j = x_j / Σ x.
        # The gradient of the mean loss at s_j is (p_j − [j = t]) / n. `chances` holds x, not p: dividing every x by its
        # sum would be one more pass over [C, r]. The factor 1 / (n Σ x), `share`, is one number per row. It multiplies
        # the query rows in the table's gradient, Σ_r x_rj · (share_r q_r), and `pull` = x @ table in the query's.
        # The terms −[j = t] / n follow, each in one row of the table. A target in a column of its own has the gradient
        # (x_t / Σ x − 1) / n, where x_t = exp(s_t − shift) is 1 unless the row was shifted to its maximum.
        scores, n = self.scores, len(self.scores.query)
        query, table, match_query, bias, gold = grads
        rows, targets = part.stop - part.start, self.targets[part]
        chances = self.buffer[: len(self.table) * rows].view(-1, rows)
        # in the precision of the products: else a target would not score as much here as among the candidates
        low = scores.query[part].to(self.low)
        target = self._target_scores(part, low) if scores.gold is None else scores.gold[part].to(self.exact)
        pull = torch.zeros(rows, low.shape[1], dtype=self.exact, device=low.device)
        total = self._exponentials(part, low, target, chances, pull)
        shift = target
        lost = ~(total < OVERFLOWN)
        if bool(lost.any()):
            total, shift = self._again(part, lost, target, total, chances, pull)
        share = (1 / (total * n))[:, None]
        right = (low.to(self.exact) * share).to(self.low)
        for tile in self.tiles:
            _add_product(table[tile], chances[tile], right)
        query[part] = pull * share
        if bias is not None:
            bias += (chances @ share.to(self.low))[:, 0]
        if match_query is not None and self.match_table is not None:
            match_query[part] = (chances.T @ self.match_table) * share
        if gold is not None:
            gold[part] = (target - shift).exp() * share[:, 0] - 1 / n
        else:
            query[part] -= scores.table[targets] / n
            table.index_add_(0, targets, scores.query[part].to(self.exact), alpha=-1 / n)
            if bias is not None:
                bias.index_add_(0, targets, torch.full_like(target, -1 / n))
            if match_query is not None and scores.match_table is not None:
                match_query[part] -= scores.match_table[targets] / n
        return (total.log() + shift - target).sum()

    def _target_scores(self, part: slice, low: torch.Tensor) -> torch.Tensor:
        scores, targets = self.scores, self.targets[part]
        own = (low.to(self.exact) * self.table[targets].to(self.exact)).sum(1)
        if scores.match_query is not None and self.match_table is not None:
            match = scores.match_query[part].to(self.low).to(self.exact)
            own += (match * self.match_table[targets].to(self.exact)).sum(1)
        return own if scores.bias is None else own + scores.bias[targets]

    def _exponentials(
        self, part: slice, low: torch.Tensor, target: torch.Tensor, chances: torch.Tensor, pull: torch.Tensor
    ) -> torch.Tensor:
        """Fill `chances` with exp(score − target's score), and `pull` with the product of `chances` and the table.

        Returns the sums [r] of exponentials, with the target included.
        """
        scores = self.scores
        match = [] if scores.match_query is None else [scores.match_query[part].to(self.low)]
        ones = [torch.ones_like(low[:, :1])] * self.ones
        rows = torch.cat([low, *match, *ones, *_split(-target, self.low)], 1)
        total = torch.full_like(target, 0.0 if scores.gold is None else 1.0)
        hit = None if scores.hit is None else scores.hit[part]
        for tile in self.tiles:
            here = torch.mm(self.candidates[tile], rows.T, out=chances[tile]).exp_()
            if hit is not None:
                inside = ((hit >= tile.start) & (hit < tile.stop)).nonzero()[:, 0]
                here[hit[inside] - tile.start, inside] = 0
            total += here.sum(0, dtype=self.exact)
            _add_product(pull, here.T, self.table[tile])
        return total

    def _again(
        self,
        part: slice,
        lost: torch.Tensor,
        target: torch.Tensor,
        total: torch.Tensor,
        chances: torch.Tensor,
        pull: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Recompute the rows `lost` bool [r] with their maxima subtracted.

        Returns the sums [r] and the subtracted scores [r].
        """
        scores = _rows(self.scores, part, lost).logits().to(self.exact)
        highest = scores.amax(1)
        exponentials = (scores - highest[:, None]).exp()
        total, shift = total.clone(), target.clone()
        total[lost], shift[lost] = exponentials.sum(1), highest
        exponentials = exponentials[:, : len(self.table)]
        chances[:, lost] = exponentials.T.to(self.low)
        pull[lost] = exponentials @ self.scores.table.to(self.exact)
        return total, shift


def _split(values: torch.Tensor, low: torch.dtype) -> list[torch.Tensor]:
    """Return columns [n, 1] with dtype `low` that sum to `values` [n], two if bfloat16 is too coarse for one."""
    high = values.to(low)
    return [high[:, None]] if high.dtype == values.dtype else [high[:, None], (values - high).to(low)[:, None]]


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add `left` @ `right` to `total`, which may have a wider dtype."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _rows(scores: Scores, part: slice, chosen: torch.Tensor) -> Scores:
    """Return the scores of the rows in `part` with True in `chosen`, bool [r]."""
    by_row = (scores.match_query, scores.gold, scores.hit)
    match, gold, hit = (None if factor is None else factor[part][chosen] for factor in by_row)
    return Scores(scores.query[part][chosen], scores.table, match, scores.match_table, scores.bias, gold, hit)

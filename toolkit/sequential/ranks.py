"""The place of one item among all by a matrix product in bfloat16 that is exact all the same.

Most scores are far from the target's, and a rough product says on which side of
it they are. Only those within the product's error bound are worked again in
float32: |error| ≤ u · ‖query‖ · ‖item‖ by Cauchy and Schwarz, where u holds the
rounding of both factors and of the result (Higham, "Accuracy and Stability of
Numerical Algorithms", 2002, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from toolkit.topk import row_counts

Rows = Callable[[torch.Tensor], torch.Tensor]
"""Rows of the item table by id: int64 [n] -> float32 [n, D]."""

PAIRS = 2**18
"""Pairs of a query and an item that are worked again at once: 64 MB of float32 a factor at 64 columns."""


def exact_ranks(
    query: torch.Tensor,
    rows: Rows,
    items: torch.Tensor,
    targets: torch.Tensor,
    seeds: tuple[torch.Tensor, torch.Tensor],
    *,
    limit: int | None = None,
    block: int = 16_384,
    compute: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Place of each query's target among `items`, from 1: int64 [B]; ties go to the smaller id.

    query: float32 [B, D]; a score is ⟨query, row⟩. items: int64 [n], ascending, everything that is ranked.
    targets: int64 [B]. seeds: rows int64 [s] and items int64 [s] that are left out, each pair once.
    limit: a place beyond it is given as 0, and counting stops there. 0 too for a target that is a seed or not among `items`.
    compute: dtype of the rough product; bfloat16 pays where `limit` keeps targets among the best, for few scores are near theirs.
    """
    everyone = torch.arange(len(query), device=query.device)
    own = _scores(query, rows(targets), everyone)
    ranked = _held(items, targets)
    ranked[seeds[0][seeds[1] == targets[seeds[0]]]] = False
    ranks = 1 - _seeds_before(query, rows, items, targets, own, seeds)
    norms, active, low = query.norm(dim=1), everyone[ranked], query.to(compute)
    last = limit or len(items)
    held = torch.empty(len(query) * min(block, len(items)), dtype=compute, device=query.device)
    for ids in items.split(block):
        if not len(active):
            break
        table = rows(ids)
        rough = torch.mm(low[active], table.to(compute).T, out=held[: len(active) * len(ids)].view(len(active), -1))
        margin = norms[active] * table.norm(dim=1).max() * _relative_error(compute, query.shape[1])
        lower, upper = _outwards(own[active] - margin, compute, -torch.inf), _outwards(own[active] + margin, compute, torch.inf)
        above = rough > upper
        ranks[active] += _row_counts(above)
        alive = ranks[active] <= last
        if not bool(alive.all()):
            active, rough, lower, above = active[alive], rough[alive], lower[alive], above[alive]
        near, columns = _where((rough >= lower) ^ above)
        for pair_rows, pair_columns in zip(active[near].split(PAIRS), columns.split(PAIRS), strict=True):
            again = _scores(query, table[pair_columns], pair_rows)
            better = _before(again, ids[pair_columns], own[pair_rows], targets[pair_rows])
            ranks += torch.bincount(pair_rows[better], minlength=len(ranks))
        active = active[ranks[active] <= last]
    return torch.where(ranked & (ranks <= last), ranks, 0)


def _seeds_before(
    query: torch.Tensor, rows: Rows, items: torch.Tensor, targets: torch.Tensor, own: torch.Tensor, seeds: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Seeds that stand before each target, int64 [B]: counted with all other items, and taken off again."""
    held = _held(items, seeds[1])
    owners, left_out = seeds[0][held], seeds[1][held]
    before = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    for who, what in zip(owners.split(PAIRS), left_out.split(PAIRS), strict=True):
        better = _before(_scores(query, rows(what), who), what, own[who], targets[who])
        before += torch.bincount(who[better], minlength=len(query))
    return before


def _scores(query: torch.Tensor, table: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
    """Scores of pairs, float32 [n]: row i of `table` for query owners[i]. Equal rows have equal scores."""
    return (query[owners] * table).sum(1)


def _before(scores: torch.Tensor, ids: torch.Tensor, own: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (scores > own) | ((scores == own) & (ids < targets))


def _held(items: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    place = torch.searchsorted(items, wanted.contiguous()).clamp(max=len(items) - 1)
    return items[place] == wanted


def _relative_error(compute: torch.dtype, columns: int) -> float:
    """Bound on |rough − exact| / (‖query‖ · ‖item‖): both factors, the sums on either side and the result are rounded."""
    unit = torch.finfo(compute).eps / 2
    inputs = 3 * unit * (1 + unit) if compute != torch.float32 else 0.0
    return 1.01 * (inputs + 2 * columns * torch.finfo(torch.float32).eps)


def _outwards(bound: torch.Tensor, dtype: torch.dtype, towards: float) -> torch.Tensor:
    """The bound as a column in the product's dtype, rounded away from what it bounds."""
    return torch.nextafter(bound.to(dtype), torch.tensor(towards, dtype=dtype, device=bound.device))[:, None]


def _row_counts(mask: torch.Tensor) -> torch.Tensor:
    """True values of each row, int64 [B]."""
    if mask.device.type != "cpu":
        return mask.sum(1)
    return torch.from_numpy(row_counts(mask.numpy()))


def _where(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of true values; NumPy finds few of them in many ten times as fast as torch does on a CPU."""
    if mask.device.type != "cpu":
        rows, columns = mask.nonzero(as_tuple=True)
        return rows, columns
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    return flat // mask.shape[1], flat % mask.shape[1]


def exact_top_k(
    query: torch.Tensor, table: torch.Tensor, k: int, *, block: int = 16_384, compute: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k rows of `table` float32 [n, D] with the largest ⟨query, row⟩: scores float32 and places int64 [B, k], best first.

    A rough product in `compute` leaves out what cannot be among them, by the same bound; the rest is worked again in
    float32. Ties go to the smaller place. 1 ≤ k ≤ n.
    """
    norms, low = query.norm(dim=1), query.to(compute)
    first = max(k, min(block, len(table)))
    everyone = torch.arange(len(query), device=query.device)
    best = query.new_full((len(query), 0), -torch.inf)
    ids = everyone.new_zeros((len(query), 0))
    held = torch.empty(len(query) * first, dtype=compute, device=query.device)
    for start in range(0, len(table), first):
        rows = table[start : start + first]
        rough = torch.mm(low, rows.to(compute).T, out=held[: len(query) * len(rows)].view(len(query), -1))
        margin = norms * rows.norm(dim=1).max() * _relative_error(compute, query.shape[1])
        # both sides of the first cut are rough
        floor = rough.topk(k, 1).values[:, -1].float() - margin if not start else best[:, -1]
        owners, columns = _where(rough >= _outwards(floor - margin, compute, -torch.inf))
        if len(owners):
            again = torch.cat(
                [_scores(query, rows[some], who) for who, some in zip(owners.split(PAIRS), columns.split(PAIRS), strict=True)]
            )
            best, ids = _merged(best, ids, owners, columns + start, again, k)
    return best, ids


def _merged(
    best: torch.Tensor, ids: torch.Tensor, owners: torch.Tensor, new: torch.Tensor, scores: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k best of what is kept [B, ≤k] and of pairs in the order of their rows, whose places are larger."""
    counts = torch.bincount(owners, minlength=len(best))
    nth = best.shape[1] + torch.arange(len(owners), device=owners.device) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    size = (0, int(counts.max()))
    both, all_ids = torch.nn.functional.pad(best, size, value=-torch.inf), torch.nn.functional.pad(ids, size)
    both[owners, nth], all_ids[owners, nth] = scores, new
    order = both.sort(stable=True, dim=1, descending=True).indices[:, :k]
    return both.gather(1, order), all_ids.gather(1, order)

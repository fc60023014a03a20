"""Exact rank of an item among all items, by a matrix product in bfloat16.

Most scores are so far from the target's score that a rough product determines which is higher. Only scores within the
product's error bound are recomputed in float32. The bound is |error| ≤ u · ‖query‖ · ‖item‖ by the Cauchy-Schwarz
inequality, where u covers the rounding of both factors and of the result (Higham, "Accuracy and Stability of Numerical
Algorithms", 2002, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from toolkit.topk import row_counts

Rows = Callable[[torch.Tensor | slice], torch.Tensor]
"""Rows of the item table by id: int64 [n] or a slice -> float32 [n, D]."""

PAIRS = 2**18
"""Most pairs of a query and an item in memory at once."""

CACHED = 2**12
"""Pairs whose factors are copied at once: 1 MB each at 64 columns, which stays in a cache."""


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
    """Return the rank, from 1, of each query's target among `items`: int64 [B]. Ties are broken by the smaller id.

    - query: float32 [B, D]. A score is ⟨query, row⟩.
    - items: int64 [n], ascending, all ranked items.
    - targets: int64 [B].
    - seeds: rows int64 [s] and items int64 [s] to leave out, without repeated pairs.
    - limit: highest rank that is counted. Beyond it the result is 0, as for a target that is a seed or not in `items`.
    - compute: dtype of the rough product. bfloat16 is faster if `limit` keeps only targets with high scores, because
      few scores are close to theirs.
    """
    everyone = torch.arange(len(query), device=query.device)
    own = pair_scores(query, rows(targets), everyone, everyone)
    ranked = contained(items, targets)
    ranked[seeds[0][seeds[1] == targets[seeds[0]]]] = False
    ranks = 1 - _seeds_before(query, rows, items, targets, own, seeds)
    norms, active, low = query.norm(dim=1), everyone[ranked], query.to(compute)
    last = limit or len(items)
    store = torch.empty(len(query) * min(block, len(items)), dtype=compute, device=query.device)
    for ids in items.split(block):
        if not len(active):
            break
        table = rows(span(ids))
        rough = torch.mm(low[active], table.to(compute).T, out=store[: len(active) * len(ids)].view(len(active), -1))
        margin = norms[active] * table.norm(dim=1).max() * relative_error(compute, query.shape[1])
        lower, upper = (
            outwards(own[active] - margin, compute, -torch.inf),
            outwards(own[active] + margin, compute, torch.inf),
        )
        above = rough > upper[:, None]
        ranks[active] += _row_counts(above)
        alive = ranks[active] <= last
        if not bool(alive.all()):
            active, rough, lower, above = active[alive], rough[alive], lower[alive], above[alive]
        near, columns = where((rough >= lower[:, None]) ^ above)
        for pair_rows, pair_columns in zip(active[near].split(PAIRS), columns.split(PAIRS), strict=True):
            exact = pair_scores(query, table, pair_rows, pair_columns)
            better = precedes(exact, ids[pair_columns], own[pair_rows], targets[pair_rows])
            ranks += torch.bincount(pair_rows[better], minlength=len(ranks))
        active = active[ranks[active] <= last]
    return torch.where(ranked & (ranks <= last), ranks, 0)


def _seeds_before(
    query: torch.Tensor,
    rows: Rows,
    items: torch.Tensor,
    targets: torch.Tensor,
    own: torch.Tensor,
    seeds: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Return the number of seeds ranked before each target, int64 [B]."""
    ranked = contained(items, seeds[1])
    owners, left_out = seeds[0][ranked], seeds[1][ranked]
    before = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    for who, what in zip(owners.split(PAIRS), left_out.split(PAIRS), strict=True):
        scores = pair_scores(query, rows(what), who, torch.arange(len(what), device=what.device))
        better = precedes(scores, what, own[who], targets[who])
        before += torch.bincount(who[better], minlength=len(query))
    return before


def pair_scores(query: torch.Tensor, table: torch.Tensor, owners: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return scores float32 [n] of the queries `owners` for the rows `columns` of `table`, int64 [n] each.

    Identical rows have identical scores.
    """
    size = CACHED if query.device.type == "cpu" else PAIRS
    parts = zip(owners.split(size), columns.split(size), strict=True)
    return torch.cat([(query[who] * table[what]).sum(1) for who, what in parts])


def precedes(scores: torch.Tensor, ids: torch.Tensor, own: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return whether items `ids` are ranked before the targets with scores `own`: bool [n]."""
    return (scores > own) | ((scores == own) & (ids < targets))


def contained(ordered: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return whether each of `values` is in `ordered`, which is sorted in ascending order."""
    if not len(ordered):
        return torch.zeros_like(values, dtype=torch.bool)
    return ordered[torch.searchsorted(ordered, values.contiguous()).clamp(max=len(ordered) - 1)] == values


def relative_error(compute: torch.dtype, columns: int) -> float:
    """Return a bound on |rough − exact| / (‖query‖ · ‖item‖) for the rounding of factors, sums and result."""
    unit = torch.finfo(compute).eps / 2
    inputs = 3 * unit * (1 + unit) if compute != torch.float32 else 0.0
    return 1.01 * (inputs + 2 * columns * torch.finfo(torch.float32).eps)


def outwards(bound: torch.Tensor, dtype: torch.dtype, towards: float) -> torch.Tensor:
    """Return the bound in the product's dtype, rounded in the direction `towards`."""
    return torch.nextafter(bound.to(dtype), torch.tensor(towards, dtype=dtype, device=bound.device))


def _row_counts(mask: torch.Tensor) -> torch.Tensor:
    """Return the number of True values in each row, int64 [B]."""
    if mask.device.type != "cpu":
        return mask.sum(1)
    return torch.from_numpy(row_counts(mask.numpy()))


def where(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows and columns of True values.

    On a CPU NumPy finds a few values among many ten times as fast as torch.
    """
    if mask.device.type != "cpu":
        rows, columns = mask.nonzero(as_tuple=True)
        return rows, columns
    first, second = np.divmod(np.flatnonzero(mask.numpy()), mask.shape[1])
    return torch.from_numpy(first), torch.from_numpy(second)


def span(ids: torch.Tensor) -> torch.Tensor | slice:
    """Return ascending ids as a slice if they are contiguous, so rows are read without a copy."""
    first, last = ids[[0, -1]].tolist()
    return slice(first, last + 1) if last - first == len(ids) - 1 else ids

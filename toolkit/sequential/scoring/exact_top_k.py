"""Exact top k items of each query, and ranks within the top k, by a matrix product in bfloat16.

A lower bound on each query's k-th best score is available before most items are scored. It is computed from a sample
first, and from the best items so far later. The rough product is compared with that bound minus its own error
(`exact_ranks`), by the maxima of small groups, so scores are read only once. The few scores that pass are recomputed in
float32, and only these are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from toolkit.sequential.scoring.exact_ranks import (
    Rows,
    contained,
    outwards,
    pair_scores,
    precedes,
    relative_error,
    span,
    where,
)

GROUP = 32
"""Scores compared by their maximum."""

SCORES = {"cpu": 2**22, "cuda": 2**28}
"""Bytes of rough scores at once: a core's share of the caches, and enough to keep a card busy."""


class Pairs(NamedTuple):
    """Pairs of a query and an item, as scores float32 [p], ids int64 [p] and owners int64 [p]."""

    scores: torch.Tensor
    ids: torch.Tensor
    owners: torch.Tensor


def exact_top_k(
    query: torch.Tensor,
    rows: Rows,
    items: torch.Tensor,
    seeds: tuple[torch.Tensor, torch.Tensor],
    k: int,
    *,
    block: int = 65_536,
    compute: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k items with the largest ⟨query, row⟩: scores float32 and ids int64 [B, k], best first.

    Ties are broken by the smaller id.

    - query: float32 [B, D].
    - items: int64 [n], ascending, all ranked items.
    - seeds: rows int64 [s] and items int64 [s] to leave out, without repeated pairs.
    - block: maximum number of items scored at once.
    - compute: dtype of the rough product.

    A row with fewer than k items is padded with id 0 and score -inf. Memory holds about 2k pairs per query, and the
    pairs that pass in a block.
    """
    if not len(query) or not len(items):
        return _filled(_no_pairs(query), len(query), k)
    product = _Product(query, compute)
    sure, likely = _floors(product, rows, items, k + torch.bincount(seeds[0], minlength=len(query)), block)
    scores, found = _top_k_above(likely, query, product, rows, items, seeds, k, block)
    short = torch.nonzero((scores[:, -1] == -torch.inf) & (likely > sure))[:, 0]
    if len(short):
        # the likely bound was too high for these: search again from the one that always holds
        theirs = torch.isin(seeds[0], short)
        left_out = torch.searchsorted(short, seeds[0][theirs]), seeds[1][theirs]
        part = _Product(query[short], compute)
        scores[short], found[short] = _top_k_above(sure[short], query[short], part, rows, items, left_out, k, block)
    return scores, found


def _top_k_above(
    floor: torch.Tensor,
    query: torch.Tensor,
    product: _Product,
    rows: Rows,
    items: torch.Tensor,
    seeds: tuple[torch.Tensor, torch.Tensor],
    k: int,
    block: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k best items like `exact_top_k`, among items with scores of at least `floor` [B]."""
    width = 1 + int(torch.cat([items[-1:], seeds[1]]).max())
    left_out = (seeds[0] * width + seeds[1]).sort().values
    best = _no_pairs(query)
    fresh: list[Pairs] = []
    waiting = 0
    for ids in items.split(block):
        table = rows(span(ids))
        columns, owners = product.at_least(table, floor)
        ranked = ~contained(left_out, owners * width + ids[columns])
        columns, owners = columns[ranked], owners[ranked]
        scores = pair_scores(query, table, owners, columns)
        better = scores >= floor[owners]
        fresh.append(Pairs(scores[better], ids[columns[better]], owners[better]))
        waiting += len(fresh[-1].ids)
        # a sort at each block would cost more than the few extra pairs that an old bound lets pass
        if waiting >= k * len(query):
            best, fresh, waiting = _best([best, *fresh], k), [], 0
            floor = torch.maximum(floor, _filled(best, len(query), k)[0][:, -1])
    return _filled(_best([best, *fresh], k), len(query), k)


def exact_top_ranks(
    query: torch.Tensor,
    rows: Rows,
    items: torch.Tensor,
    targets: torch.Tensor,
    seeds: tuple[torch.Tensor, torch.Tensor],
    limit: int,
    *,
    block: int = 16_384,
    compute: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Return the rank, from 1, of each query's target like `exact_ranks`: int64 [B], 0 beyond rank `limit`.

    For limits far below the number of items. A target below the bound on the `limit`-th score is discarded at once. For
    the other targets only items that may be ranked before them are recomputed.
    """
    everyone = torch.arange(len(query), device=query.device)
    ranks = torch.zeros_like(everyone)
    if not len(query) or not len(items):
        return ranks
    width = 1 + int(torch.cat([items[-1:], seeds[1], targets]).max())
    left_out = (seeds[0] * width + seeds[1]).sort().values
    own = pair_scores(query, rows(targets), everyone, everyone)
    floor, _ = _floors(
        _Product(query, compute), rows, items, limit + torch.bincount(seeds[0], minlength=len(query)), block
    )
    active = everyone[contained(items, targets) & ~contained(left_out, everyone * width + targets) & (own >= floor)]
    ranks[active] = 1
    product = None
    for ids in items.split(block):
        if not len(active):
            break
        product = product or _Product(query[active], compute)
        table = rows(span(ids))
        columns, near = product.at_least(table, own[active])
        owners, others = active[near], ids[columns]
        before = precedes(pair_scores(query, table, owners, columns), others, own[owners], targets[owners])
        owners, others = owners[before], others[before]
        ranks += torch.bincount(owners[~contained(left_out, owners * width + others)], minlength=len(query))
        beyond = ranks[active] > limit
        if bool(beyond.any()):
            ranks[active[beyond]] = 0
            active, product = active[~beyond], None
    return ranks


class _Product:
    """Rough scores of queries [B, D], computed for few items at a time so the scores remain in the cache."""

    def __init__(self, query: torch.Tensor, compute: torch.dtype) -> None:
        # items before queries: a tall product is faster than a wide one, and a group of items is adjacent rows
        self.low, self.compute = query.to(compute).T, compute
        self.errors = query.norm(dim=1) * relative_error(compute, query.shape[1])
        self.step = max(1, SCORES[query.device.type] // (compute.itemsize * GROUP * len(query))) * GROUP
        self.store = torch.empty(self.step, len(query), dtype=compute, device=query.device)

    def margin(self, table: torch.Tensor) -> torch.Tensor:
        """Return a bound [B] on the errors of scores for rows [n, D]."""
        return self.errors * table.norm(dim=1).max()

    def parts(self, table: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield scores [≤ step, B] for consecutive rows. Each block overwrites the previous block."""
        for part in table.to(self.compute).split(self.step):
            yield torch.mm(part, self.low, out=self.store[: len(part)])

    def at_least(self, table: torch.Tensor, floor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows and queries of all exact scores of at least `floor` [B], and of a few lower scores.

        The rows of a query are in ascending order.
        """
        bound = outwards(floor - self.margin(table), self.compute, -torch.inf)
        # read as integers, the bits of positive numbers keep their order, and are compared in a fraction of the time
        whole = self.compute == torch.bfloat16 and bool((bound > 0).all())
        bound = bound.view(torch.int16) if whole else bound
        found, start = [], 0
        group = GROUP if len(table) % GROUP == 0 else 1
        for rough in self.parts(table):
            grouped = (rough.view(torch.int16) if whole else rough).view(-1, group, len(bound))
            groups, owners = where(grouped.amax(1) >= bound)
            found.append((groups * group + start, owners, grouped[groups, :, owners]))
            start += len(rough)
        firsts, owners, near = (torch.cat(each) for each in zip(*found, strict=True))
        hits, members = where(near >= bound[owners, None])
        return firsts[hits] + members, owners[hits]


def _floors(
    product: _Product, rows: Rows, items: torch.Tensor, counts: torch.Tensor, block: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a certain lower bound on the `counts`-th best score of each query, and a higher, likely bound: [B] each.

    - counts: int64 [B].

    Both bounds are -inf if the sample is too small.
    """
    # The sample is every s-th item, in groups. The c-th largest of the groups' maxima, each less the product's error,
    # is reached by an item of each of c groups: at least c items of the catalogue score as much, so the c-th best score
    # of all is not below it. That bound always holds, but it is about as low as the c-th best of the sample.
    # Of the c best of all, the sample holds h = c · |sample| / |items| on average, spread like a Poisson number, with
    # deviation √h. So the r-th largest maximum, r = h + 4 √h + 3, is most likely below the c-th best score too, and it
    # is much higher. If it is not below, fewer than c items pass, which is noticed, and the first bound is used.
    most = int(counts.max())
    sample = items[:: max(1, len(items) // max(len(items) // 64, 64 * most))]
    # a power of two, as GROUP is, so that every part of a product holds whole groups
    group = 1 << (max(1, min(GROUP, block, len(sample) // (8 * most))).bit_length() - 1)
    sample = sample[: len(sample) - len(sample) % group]
    lowest = []
    for ids in sample.split(block - block % group):
        table = rows(ids)
        parts = [part.view(-1, group, len(counts)).amax(1) for part in product.parts(table)]
        lowest.append(torch.cat(parts).float() - product.margin(table))
    maxima = torch.cat(lowest)
    if len(maxima) < most:
        unknown = torch.full_like(maxima[0], -torch.inf)
        return unknown, unknown
    ordered = maxima.topk(most, dim=0).values
    sampled = counts * (len(sample) / len(items))
    likely = torch.minimum(counts, (sampled + 4 * sampled.sqrt() + 3).ceil().long())
    return ordered.gather(0, counts[None] - 1)[0], ordered.gather(0, likely[None] - 1)[0]


def _no_pairs(query: torch.Tensor) -> Pairs:
    none = torch.zeros(0, dtype=torch.int64, device=query.device)
    return Pairs(query.new_zeros(0), none, none)


def _best(parts: list[Pairs], k: int) -> Pairs:
    """Return the k best pairs of each query, sorted by query and score. Ties are broken by order."""
    scores, ids, owners = (torch.cat(each) for each in zip(*parts, strict=True))
    order = scores.sort(descending=True, stable=True).indices
    order = order[owners[order].sort(stable=True).indices]
    kept = order[_nth(owners[order]) < k]
    return Pairs(scores[kept], ids[kept], owners[kept])


def _nth(owners: torch.Tensor) -> torch.Tensor:
    """Return the number of equal owners before each entry of `owners`, which is sorted in ascending order."""
    counts = torch.bincount(owners)
    return torch.arange(len(owners), device=owners.device) - (counts.cumsum(0) - counts)[owners]


def _filled(pairs: Pairs, rows: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores and ids [B, k] of pairs that are sorted by query and score, at most k for each query."""
    scores, ids = pairs.scores.new_full((rows, k), -torch.inf), pairs.ids.new_zeros(rows, k)
    column = _nth(pairs.owners)
    scores[pairs.owners, column], ids[pairs.owners, column] = pairs.scores, pairs.ids
    return scores, ids

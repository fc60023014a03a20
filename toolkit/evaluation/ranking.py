"""Rankings of a block of held-out playlists in the three forms that metrics require, with validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.contracts.metric import AllScores
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import SegueError
from toolkit.evaluation.metrics.hits import hits
from toolkit.ranker import Ranker, Scorer
from toolkit.topk import blocked_ranks, blocked_top_k

BYTES_A_SCORE = 24
"""Peak bytes per score while ranking a block: the score, a copy, and buffers for top-k selection."""


@dataclass(frozen=True)
class How:
    """Options for ranking a block of playlists as in `Ranker.rank`. block: number of tracks scored at once."""

    k: int
    allow_repeats: bool
    block: int


@dataclass(frozen=True)
class Rankings:
    """Rankings of a block of playlists: ids int32 and scores float32 [B, k].

    all_scores: scores of all candidates; None if no metric reads them.
    """

    ids: np.ndarray
    scores: np.ndarray
    all_scores: AllScores | None = None


def block_sizes(n_items: int, k: int, memory_mb: int, *, whole: bool = False) -> tuple[int, int]:
    """Return block sizes of playlists and items that fit in `memory_mb`. k: ids kept per playlist.

    Blocks of items are as wide as possible for fast matrix products. whole: whether the scores of all items are in
    memory at once.
    """
    room = memory_mb * 2**20 // BYTES_A_SCORE
    block = max(1, min(n_items, 16_384, room // 4))
    held = n_items if whole else block
    return max(1, min(1024, room // (held + 3 * k))), block


def counts(ranker: Ranker) -> bool:
    """Return whether `target_ranks` is consistent with `rank`, because the same class defines both."""
    first = next(each for each in type(ranker).__mro__ if "rank" in vars(each) or "target_ranks" in vars(each))
    return "target_ranks" in vars(first)


def one_each(held_out: HeldOut) -> bool:
    """Return whether the whole catalogue is ranked for at most one hidden track per playlist."""
    return held_out.candidates is None and bool((held_out.ends - held_out.begins <= 1).all())


def placed(ranker: Ranker, part: HeldOut, queries: Queries, how: How) -> Rankings:
    """Return rankings that contain only the hidden track of each playlist at its rank, without scores."""
    tracks, offsets = part.hidden()
    hiding = np.flatnonzero(np.diff(offsets))
    ranked = np.zeros((len(part), how.k), np.int32)
    targets = np.ones(len(part), np.int64)
    targets[hiding] = tracks
    if type(ranker).target_ranks is Ranker.target_ranks:
        ranks = blocked_ranks(
            checked_scorer(ranker, queries),
            queries,
            targets,
            ranker.n_items,
            allow_repeats=how.allow_repeats,
            block=how.block,
        )
        ranks[ranks > how.k] = 0
    else:
        ranks = ranker.target_ranks(queries, targets, limit=how.k, allow_repeats=how.allow_repeats, block=how.block)
    rows = hiding[ranks[hiding] > 0]
    ranked[rows, ranks[rows] - 1] = targets[rows]
    return Rankings(ranked, np.zeros((len(part), 0), np.float32))


def ranked(ranker: Ranker, part: HeldOut, queries: Queries, how: How) -> Rankings:
    """Return the first k tracks of the catalogue or of the part's candidates."""
    if part.candidates is None and type(ranker).rank is not Ranker.rank:
        return Rankings(*ranker.rank(queries, how.k, allow_repeats=how.allow_repeats, block=how.block))
    return Rankings(*_top(checked_scorer(ranker, queries), ranker, part.candidates, queries, how))


def ranked_whole(ranker: Ranker, part: HeldOut, queries: Queries, how: How) -> Rankings:
    """Return the first k tracks and the scores of all candidates."""
    items = np.arange(1, ranker.n_items + 1, dtype=np.int32) if part.candidates is None else part.candidates
    scorer, scores = checked_scorer(ranker, queries), np.empty((len(part), len(items)), np.float32)
    for start in range(0, len(items), how.block):
        scores[:, start : start + how.block] = scorer(items[start : start + how.block])

    def held(block: np.ndarray) -> np.ndarray:
        first = int(np.searchsorted(items, block[0]))
        return scores[:, first : first + len(block)]

    top = _top(held, ranker, items, queries, how)
    if not how.allow_repeats:
        scores[queries.matrix(ranker.n_items)[:, items].nonzero()] = np.nan
    tracks, offsets = part.hidden()
    owners = np.repeat(np.arange(len(part)), np.diff(offsets))
    columns = np.searchsorted(items, tracks)
    return Rankings(*top, AllScores(scores, columns, offsets, np.ones(len(tracks), bool), owners))


def checked_scorer(ranker: Ranker, queries: Queries) -> Scorer:
    """Return the ranker's scorer. It raises `SegueError` for scores of a wrong shape, and for scores that are NaN."""
    scorer = ranker.scorer(queries)

    def score(items: np.ndarray) -> np.ndarray:
        scores = np.asarray(scorer(items), np.float32)
        if scores.shape != (shape := (len(queries), len(items))):
            raise SegueError(
                f"{ranker.name} returned scores of shape {scores.shape} and must return {shape}: return a row for each"
                " query and a column for each item"
            )
        if np.isnan(scores.max(initial=-np.inf)):  # NaN propagates, and this pass is faster than a mask
            raise SegueError(
                f"{ranker.name} returned {np.count_nonzero(np.isnan(scores)):,} scores that are NaN: return -inf for"
                " tracks that cannot be ranked"
            )
        return scores

    return score


def _top(
    scorer: Scorer, ranker: Ranker, candidates: np.ndarray | None, queries: Queries, how: How
) -> tuple[np.ndarray, np.ndarray]:
    return blocked_top_k(
        scorer,
        queries,
        ranker.n_items,
        how.k,
        allow_repeats=how.allow_repeats,
        block=how.block,
        candidates=candidates,
    )


def check(ranker: Ranker, ranked: np.ndarray, queries: Queries, k: int, *, allow_repeats: bool) -> None:
    """Raise `SegueError` for an invalid ranking."""
    if ranked.shape != (shape := (len(queries), k)):
        raise SegueError(f"{ranker.name} returned ids of shape {ranked.shape} and must return {shape}: pad rows with 0")
    if ranked.size and not 0 <= ranked.min() <= ranked.max() <= ranker.n_items:
        raise SegueError(
            f"{ranker.name} returned ids {int(ranked.min())}…{int(ranked.max())}, which must be in 1…{ranker.n_items}:"
            " rank tracks of the corpus, and pad with 0"
        )
    ordered = np.sort(ranked, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
    if twice.any():
        raise SegueError(
            f"{ranker.name} returned item {int(ordered[:, 1:][twice][0])} twice for a playlist: rank each item once"
        )
    if not allow_repeats:
        seeds = hits(ranked, queries.seeds, queries.offsets)
        if seeds.any():
            raise SegueError(
                f"{ranker.name} returned item {int(ranked[seeds][0])}, a seed of the same playlist:"
                " remove seeds from the ranking, or set allow_repeats"
            )

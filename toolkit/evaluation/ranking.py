"""Rankings of a block of held-out playlists, in the three ways that metrics need them, and what makes a ranking meaningless."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.contracts.metric import AllScores
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import SegueError
from toolkit.evaluation.metrics.hits import hits
from toolkit.ranker import Ranker
from toolkit.topk import blocked_top_k

BYTES_A_SCORE = 24
"""What one score of a block costs at the peak of ranking it: the score, its copy, and what the top-k cut holds beside them."""


@dataclass(frozen=True)
class How:
    """How a block of playlists is ranked, as `Ranker.rank` takes it. block: tracks that are scored at once."""

    k: int
    allow_repeats: bool
    block: int


@dataclass(frozen=True)
class Rankings:
    """Rankings of a block of playlists: ids int32 and scores float32 [B, k]; all_scores: of all candidates, where they are read."""

    ids: np.ndarray
    scores: np.ndarray
    all_scores: AllScores | None = None


def block_sizes(n_items: int, k: int, memory_mb: int, *, whole: bool = False) -> tuple[int, int]:
    """Playlists and items per block so that ranking them stays within `memory_mb`, given k ids kept per playlist.

    Wide item blocks first, for a matrix product likes them; at least one playlist. whole: all items' scores are held at once.
    """
    room = memory_mb * 2**20 // BYTES_A_SCORE
    block = max(1, min(n_items, 16_384, room // 4))
    if whole:
        return max(1, min(1024, room // (n_items + 3 * k))), block
    return max(1, min(1024, room // (block + 3 * k))), block


def counts(ranker: Ranker) -> bool:
    """Whether the class that says how to rank, the nearest one that does, also says how to count places in that ranking."""
    first = next(each for each in type(ranker).__mro__ if "rank" in vars(each) or "target_ranks" in vars(each))
    return "target_ranks" in vars(first)


def one_each(held_out: HeldOut) -> bool:
    """Whether the whole catalogue is ranked for one hidden track a playlist."""
    return held_out.candidates is None and bool((held_out.ends - held_out.begins <= 1).all())


def placed(ranker: Ranker, part: HeldOut, queries: Queries, how: How) -> Rankings:
    """Rankings that hold only the one hidden track of each playlist, at its place. Scores are zeros."""
    tracks, offsets = part.hidden()
    hiding = np.flatnonzero(np.diff(offsets))
    ranked = np.zeros((len(part), how.k), np.int32)
    targets = np.ones(len(part), np.int64)
    targets[hiding] = tracks
    places = ranker.target_ranks(queries, targets, limit=how.k, allow_repeats=how.allow_repeats, block=how.block)
    found = hiding[places[hiding] > 0]
    ranked[found, places[found] - 1] = targets[found]
    return Rankings(ranked, np.zeros((len(part), 0), np.float32))


def ranked(ranker: Ranker, part: HeldOut, queries: Queries, how: How) -> Rankings:
    """The first k of the catalogue, or of the part's candidates."""
    if part.candidates is None:
        return Rankings(*ranker.rank(queries, how.k, allow_repeats=how.allow_repeats, block=how.block))
    scorer, candidates = ranker.scorer(queries), part.candidates
    found = blocked_top_k(
        scorer, queries, ranker.n_items, how.k, allow_repeats=how.allow_repeats, block=how.block, candidates=candidates
    )
    return Rankings(*found)


def ranked_whole(ranker: Ranker, part: HeldOut, queries: Queries, how: How) -> Rankings:
    """The first k, with the scores of all candidates."""
    items = np.arange(1, ranker.n_items + 1, dtype=np.int32) if part.candidates is None else part.candidates
    scorer, scores = ranker.scorer(queries), np.empty((len(part), len(items)), np.float32)
    for start in range(0, len(items), how.block):
        scores[:, start : start + how.block] = scorer(items[start : start + how.block])

    def held(block: np.ndarray) -> np.ndarray:
        first = int(np.searchsorted(items, block[0]))
        return scores[:, first : first + len(block)]

    found = blocked_top_k(
        held, queries, ranker.n_items, how.k, allow_repeats=how.allow_repeats, block=how.block, candidates=items
    )
    if not how.allow_repeats:
        scores[queries.matrix(ranker.n_items)[:, items].nonzero()] = np.nan
    tracks, offsets = part.hidden()
    owners = np.repeat(np.arange(len(part)), np.diff(offsets))
    return Rankings(
        *found, AllScores(scores, np.searchsorted(items, tracks), offsets, np.ones(len(tracks), bool), owners)
    )


def check(ranker: Ranker, ranked: np.ndarray, queries: Queries, k: int, *, allow_repeats: bool) -> None:
    """Reject rankings that would make every metric meaningless."""
    if ranked.shape != (len(queries), k):
        asked = (len(queries), k)
        raise SegueError(
            f"{ranker.name} ranked {ranked.shape} ids where {asked} were asked for: give a row a query, filled up with 0"
        )
    if ranked.size and not 0 <= ranked.min() <= ranked.max() <= ranker.n_items:
        found = f"an id outside 1…{ranker.n_items}: {int(ranked.min())}…{int(ranked.max())}"
        raise SegueError(f"{ranker.name} ranked {found}: rank tracks of the corpus, and 0 after the last")
    ordered = np.sort(ranked, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
    if twice.any():
        raise SegueError(
            f"{ranker.name} ranked item {int(ordered[:, 1:][twice][0])} twice for one playlist: rank a track once"
        )
    if not allow_repeats:
        seeds = hits(ranked, queries.seeds, queries.offsets)
        if seeds.any():
            raise SegueError(
                f"{ranker.name} ranked item {int(ranked[seeds][0])}, a seed of the same playlist: leave seeds out, or set allow_repeats"
            )

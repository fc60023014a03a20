"""One evaluator for every system: blockwise ranking of the whole catalogue, then one value per playlist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import SegueError
from toolkit.evaluation import challenge
from toolkit.evaluation.auc import hidden_auc, mean_per_row
from toolkit.evaluation.metrics import METRICS, hits
from toolkit.evaluation.rmse import rmse_per_row, squared_errors
from toolkit.evaluation.variants import VARIANTS
from toolkit.plugins import suggest
from toolkit.ranker import Ranker
from toolkit.topk import blocked_top_k

Progress = Callable[[int, int, str], None]
"""progress(done, total, what)."""

BYTES_A_SCORE = 24
"""What one score of a block costs at the peak of ranking it: the score, its copy, and what the top-k cut holds beside them."""

Key = tuple[str, str, int]
"""slice, metric, k."""

OF_HITS = METRICS | VARIANTS
AUC, RMSE = "auc", "rmse"
NAMES = [*OF_HITS, AUC, RMSE, *challenge.AT_R, *challenge.AT_K, challenge.COVERAGE]
"""Metrics that can be asked for."""


@dataclass(frozen=True)
class Scores:
    """What one system reached on each held-out playlist.

    values: (slice, metric, k) -> float64 [n], NaN where the playlist has nothing hidden
    in the slice; k is 0 for metrics without a cutoff. Slices: `all`; `warm` and `cold`, the hidden tracks
    with and without a placement in training, and what `parts` named, ranked against the whole catalogue all the same.
    n_hidden: slice -> int64 [n]. top: int32 [n, t], the first t of each ranking, 0 for nothing.
    overall: (metric, k) -> a value of the system over all playlists.
    """

    values: dict[Key, np.ndarray]
    n_hidden: dict[str, np.ndarray]
    top: np.ndarray
    overall: dict[tuple[str, int], float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.top)


def evaluate(
    ranker: Ranker,
    held_out: HeldOut,
    *,
    ks: Sequence[int],
    metrics: Sequence[str],
    train_counts: np.ndarray,
    parts: Mapping[str, np.ndarray] | None = None,
    allow_repeats: bool = False,
    memory_mb: int = 256,
    top: int = 0,
    progress: Progress | None = None,
) -> Scores:
    """Rank the catalogue for every playlist and compare with what is hidden.

    train_counts: int64 [V + 1], placements of each item in training.
    parts: further slices of the hidden tracks by name: bool [V + 1], which tracks are in it.
    memory_mb: bound on the scores held at once; blocks of playlists and items are
    chosen from it. top: how much of each ranking to keep, for examples.
    Raises `SegueError` for a ranking that holds a seed, a track twice or an
    unknown id: its metrics would mean nothing.
    """
    for metric in metrics:
        if metric not in NAMES:
            raise SegueError(f"{metric!r} is no metric: {suggest(metric, NAMES)}")
    k = max(*ks, top, 1)
    if any(metric in challenge.AT_R for metric in metrics):
        k = max(k, int((held_out.ends - held_out.begins).max(initial=0)))  # the first R are ranked, whatever the cutoffs
    n_ranked = ranker.n_items if held_out.candidates is None else len(held_out.candidates)
    whole = AUC in metrics or RMSE in metrics
    rows, block = block_sizes(n_ranked, k, memory_mb, whole=whole)
    # of one hidden track only the place matters: nothing is sorted or kept, unless the ranker has a ranking of its own
    counted = not top and _counts(ranker) and _one_each(held_out) and all(m in OF_HITS for m in metrics)
    asked = _Asked(ks, metrics, train_counts, parts or {}, held_out.corpus.artists, top)
    seen = {each: np.zeros(ranker.n_items + 1, bool) for each in ks if challenge.COVERAGE in metrics}
    measured = []
    for start in range(0, len(held_out), rows):
        part = held_out.part(start, start + rows)
        queries, of_all = part.queries(), None
        if counted:
            ranked = _placed(ranker, part, queries, k, allow_repeats=allow_repeats, block=block)
        elif whole:
            ranked, of_all = _ranked_whole(ranker, part, queries, k, asked.metrics, allow_repeats=allow_repeats, block=block)
        elif part.candidates is not None:
            ranked = _ranked_among(part.candidates, ranker, queries, k, allow_repeats=allow_repeats, block=block)
        else:
            ranked, _ = ranker.rank(queries, k, allow_repeats=allow_repeats, block=block)
        if not counted:
            _check_ranking(ranker, ranked, queries, k, allow_repeats=allow_repeats)
        measured.append(_measure(ranked, part, asked, of_all))
        for each, tracks in seen.items():
            tracks[ranked[:, :each]] = True
        if progress is not None:
            progress(min(start + rows, len(held_out)), len(held_out), ranker.name)
    overall = {(challenge.COVERAGE, each): float(tracks[1:].sum() / n_ranked) for each, tracks in seen.items()}
    return replace(_joined(measured), overall=overall)


def _counts(ranker: Ranker) -> bool:
    """Whether the class that says how to rank, the nearest one that does, also says how to count places in that ranking."""
    first = next(each for each in type(ranker).__mro__ if "rank" in vars(each) or "places" in vars(each))
    return "places" in vars(first)


def _placed(ranker: Ranker, part: HeldOut, queries: Queries, k: int, *, allow_repeats: bool, block: int) -> np.ndarray:
    """Rankings int32 [B, k] that hold only the one hidden track of each playlist, at its place."""
    tracks, offsets = part.hidden()
    asked = np.flatnonzero(np.diff(offsets))
    ranked = np.zeros((len(part), k), np.int32)
    targets = np.ones(len(part), np.int64)
    targets[asked] = tracks
    places = ranker.places(queries, targets, limit=k, allow_repeats=allow_repeats, block=block)
    found = asked[places[asked] > 0]
    ranked[found, places[found] - 1] = targets[found]
    return ranked


def _one_each(held_out: HeldOut) -> bool:
    """Whether the whole catalogue is ranked for one hidden track a playlist."""
    return held_out.candidates is None and bool((held_out.ends - held_out.begins <= 1).all())


def _ranked_among(candidates: np.ndarray, ranker: Ranker, queries: Queries, k: int, *, allow_repeats: bool, block: int) -> np.ndarray:
    scorer = ranker.scorer(queries)
    return blocked_top_k(scorer, queries, ranker.n_items, k, allow_repeats=allow_repeats, block=block, candidates=candidates)[0]


@dataclass(frozen=True)
class _OfAll:
    """What takes all candidates' scores. auc, errors: float64 [h], of each hidden track; others: float64 [B]. Zeros where not asked for."""

    auc: np.ndarray
    errors: np.ndarray
    others: np.ndarray


def _ranked_whole(
    ranker: Ranker, part: HeldOut, queries: Queries, k: int, metrics: Sequence[str], *, allow_repeats: bool, block: int
) -> tuple[np.ndarray, _OfAll]:
    """Rankings int32 [B, k], and what the scores of all candidates say of the hidden tracks."""
    items = np.arange(1, ranker.n_items + 1, dtype=np.int32) if part.candidates is None else part.candidates
    scorer, scores = ranker.scorer(queries), np.empty((len(part), len(items)), np.float32)
    for start in range(0, len(items), block):
        scores[:, start : start + block] = scorer(items[start : start + block])

    def held(asked: np.ndarray) -> np.ndarray:
        first = int(np.searchsorted(items, asked[0]))
        return scores[:, first : first + len(asked)]

    ranked, _ = blocked_top_k(held, queries, ranker.n_items, k, allow_repeats=allow_repeats, block=block, candidates=items)
    if not allow_repeats:
        scores[queries.matrix(ranker.n_items)[:, items].nonzero()] = np.nan
    tracks, offsets = part.hidden()
    places = np.searchsorted(items, tracks)
    auc = hidden_auc(scores, places, offsets) if AUC in metrics else np.zeros(len(tracks))
    errors = squared_errors(scores, places, offsets) if RMSE in metrics else (np.zeros(len(tracks)), np.zeros(len(part)))
    return ranked, _OfAll(auc, *errors)


def block_sizes(n_items: int, k: int, memory_mb: int, *, whole: bool = False) -> tuple[int, int]:
    """Playlists and items per block so that ranking them stays within `memory_mb`, given k ids kept per playlist.

    Wide item blocks first, for a matrix product likes them; at least one playlist. whole: all items' scores are held at once.
    """
    room = memory_mb * 2**20 // BYTES_A_SCORE
    block = max(1, min(n_items, 16_384, room // 4))
    if whole:
        return max(1, min(1024, room // (n_items + 3 * k))), block
    return max(1, min(1024, room // (block + 3 * k))), block


def hidden_slices(
    held_out: HeldOut, train_counts: np.ndarray, parts: Mapping[str, np.ndarray] | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Slice -> hidden tracks and offsets, as `HeldOut.hidden` gives them, restricted to the slice."""
    tracks, offsets = held_out.hidden()
    owners = np.repeat(np.arange(len(held_out)), np.diff(offsets))
    slices = {"all": (tracks, offsets)}
    members = {"warm": train_counts[tracks] > 0, "cold": train_counts[tracks] == 0}
    members |= {name: inside[tracks] for name, inside in (parts or {}).items()}
    for name, member in members.items():
        sizes = np.bincount(owners[member], minlength=len(held_out))
        slices[name] = (tracks[member], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
    return slices


@dataclass(frozen=True)
class _Asked:
    """What of each block of playlists is to be measured, as in `evaluate`."""

    ks: Sequence[int]
    metrics: Sequence[str]
    train_counts: np.ndarray
    parts: Mapping[str, np.ndarray]
    artists: np.ndarray
    top: int


def _measure(ranked: np.ndarray, part: HeldOut, asked: _Asked, of_all: _OfAll | None) -> Scores:
    values: dict[Key, np.ndarray] = {}
    n_hidden: dict[str, np.ndarray] = {}
    information = challenge.information(asked.train_counts) if "novelty" in asked.metrics else np.zeros(0)
    for name, (tracks, offsets) in hidden_slices(part, asked.train_counts, asked.parts).items():
        block = challenge.Block(ranked, hits(ranked, tracks, offsets), tracks, offsets, asked.artists, information)
        n_hidden[name] = block.n_hidden
        if of_all is not None:
            chosen, owners = _among_hidden(part, tracks, offsets)
            found = {
                AUC: mean_per_row(of_all.auc[chosen], owners, len(part)),
                RMSE: rmse_per_row(of_all.errors[chosen], owners, of_all.others),
            }
            values |= {(name, metric, 0): found[metric] for metric in (AUC, RMSE) if metric in asked.metrics}
        for metric in asked.metrics:
            if metric in challenge.AT_R:
                values[name, metric, 0] = challenge.AT_R[metric](block, 0)
            elif metric in OF_HITS:
                values |= {(name, metric, k): OF_HITS[metric](block.hits, block.n_hidden, k) for k in asked.ks}
            elif metric in challenge.AT_K and (name == "all" or metric not in challenge.WHOLE_LIST):
                values |= {(name, metric, k): challenge.AT_K[metric](block, k) for k in asked.ks}
    return Scores(values, n_hidden, ranked[:, : asked.top].astype(np.int32))


def _among_hidden(part: HeldOut, tracks: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of all hidden tracks are in a slice, bool [h], and the rows of those."""
    every, bounds = part.hidden()
    width = part.corpus.n_items + 1
    owners, inside = (np.repeat(np.arange(len(part)), np.diff(each)) for each in (bounds, offsets))
    chosen = np.isin(owners * width + every, inside * width + tracks)
    return chosen, owners[chosen]


def _joined(parts: list[Scores]) -> Scores:
    if not parts:
        raise SegueError("there is no playlist to evaluate on, the held-out part is empty: lower evaluation.min_tracks, or read more lists")
    values = {key: np.concatenate([part.values[key] for part in parts]) for key in parts[0].values}
    n_hidden = {name: np.concatenate([part.n_hidden[name] for part in parts]) for name in parts[0].n_hidden}
    return Scores(values, n_hidden, np.concatenate([part.top for part in parts]))


def mean(scores: Sequence[Scores]) -> Scores:
    """What several fits of one system reached on the same playlists, on average; the first's rankings."""
    first = scores[0]
    if len(scores) == 1:
        return first
    values = {key: np.mean([each.values[key] for each in scores], axis=0) for key in first.values}
    overall = {key: float(np.mean([each.overall[key] for each in scores])) for key in first.overall}
    return replace(first, values=values, overall=overall)


def _check_ranking(ranker: Ranker, ranked: np.ndarray, queries: Queries, k: int, *, allow_repeats: bool) -> None:
    """Reject rankings that would make every metric meaningless."""
    if ranked.shape != (len(queries), k):
        asked = (len(queries), k)
        raise SegueError(f"{ranker.name} ranked {ranked.shape} ids where {asked} were asked for: give a row a query, filled up with 0")
    if ranked.size and not 0 <= ranked.min() <= ranked.max() <= ranker.n_items:
        found = f"an id outside 1…{ranker.n_items}: {int(ranked.min())}…{int(ranked.max())}"
        raise SegueError(f"{ranker.name} ranked {found}: rank tracks of the corpus, and 0 after the last")
    ordered = np.sort(ranked, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
    if twice.any():
        raise SegueError(f"{ranker.name} ranked item {int(ordered[:, 1:][twice][0])} twice for one playlist: rank a track once")
    if not allow_repeats:
        seeds = hits(ranked, queries.seeds, queries.offsets)
        if seeds.any():
            raise SegueError(
                f"{ranker.name} ranked item {int(ranked[seeds][0])}, a seed of the same playlist: leave seeds out, or set allow_repeats"
            )

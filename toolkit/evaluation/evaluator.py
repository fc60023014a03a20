"""Evaluator for all systems: blockwise ranking of the whole catalogue with one value per playlist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from toolkit.contracts import metric as contract
from toolkit.contracts.metric import Block, Metric, SystemMetric
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import SegueError
from toolkit.evaluation import ranking
from toolkit.evaluation.metrics.hits import hits
from toolkit.evaluation.metrics.novelty import information
from toolkit.evaluation.ranking import How, Rankings, block_sizes
from toolkit.ranker import Ranker

Progress = Callable[[int, int, str], None]
"""progress(done, total, what)."""

Keep = Callable[[int, np.ndarray, np.ndarray], None]
"""keep(first playlist of the block, ids int32 [B, top], scores float32 [B, top]). Id 0 is an empty rank."""

Watch = Callable[[HeldOut, Queries, np.ndarray], None]
"""watch(playlists of the block, their queries, ids int32 [B, k] of their rankings)."""

ROUNDING = 1e-9
"""Distance by which rounding may take a value out of the range of its metric."""

Key = tuple[str, str, int]
"""slice, metric, k."""


@dataclass(frozen=True)
class Scores:
    """Values of a system for each held-out playlist.

    - values: by slice, metric and k, float64 [n]; NaN if the playlist has no hidden tracks in the slice. k is 0 for
      metrics without a cutoff. Slices are `all`, `warm` and `cold` (hidden tracks that are and are not in training),
      and the slices in `parts`. All are ranked against the whole catalogue.
    - n_hidden: by slice, int64 [n].
    - top: int32 [n, t], first t tracks of each ranking, padded with 0.
    - overall: by metric and k, value of the system over all playlists.
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
    metrics: Sequence[str | type[Metric]],
    train_counts: np.ndarray,
    parts: Mapping[str, np.ndarray] | None = None,
    allow_repeats: bool = False,
    memory_mb: int = 256,
    top: int = 0,
    keep: Keep | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Rank the catalogue for every playlist and compare the rankings with the hidden tracks.

    - metrics: names of the entry-point group `segue.metrics`, `module:Class`, or classes.
    - train_counts: int64 [V + 1], number of training entries of each item.
    - parts: further slices of the hidden tracks by name, bool [V + 1].
    - memory_mb: memory limit for scores, which determines the block sizes of playlists and items.
    - top: number of first tracks of each ranking to keep. They are passed to `keep` block by block, or stored in
      `Scores.top` without `keep`.
    - watch: called for each block after it is ranked.

    Raises `InputError` for an unknown metric, and `SegueError` for an invalid ranking, which contains a seed, a
    duplicate track or an unknown id.
    """
    plan = _Plan.of(ks, metrics, train_counts, parts or {}, held_out)
    n_ranked = ranker.n_items if held_out.candidates is None else len(held_out.candidates)
    # blocks depend on what is measured alone: what is kept besides must not change the last digit of a score
    rows, block = block_sizes(n_ranked, plan.k, memory_mb, whole=plan.whole)
    top = min(top, n_ranked)
    # of one hidden track only its place matters: nothing is sorted or kept, unless the ranker has a ranking of its own
    counted = not top and ranking.counts(ranker) and ranking.one_each(held_out) and plan.hits_alone
    rank = ranking.placed if counted else ranking.ranked_whole if plan.whole else ranking.ranked
    how, measured = How(max(plan.k, top), allow_repeats, block), _Measured(plan, n_ranked)
    for start in range(0, len(held_out), rows):
        part = held_out.part(start, start + rows)
        queries = part.queries()
        rankings = rank(ranker, part, queries, how)
        if not counted:
            ranking.check(ranker, rankings.ids, queries, how.k, allow_repeats=allow_repeats)
        measured.add(rankings, part, 0 if keep else top)
        if keep is not None:
            keep(start, rankings.ids[:, :top], rankings.scores[:, :top])
        if watch is not None:
            watch(part, queries, rankings.ids)
        del rankings  # the scores of all candidates, before those of the next block are there
        if progress is not None:
            progress(min(start + rows, len(held_out)), len(held_out), ranker.name)
    return measured.scores()


def hidden_slices(
    held_out: HeldOut, train_counts: np.ndarray, parts: Mapping[str, np.ndarray] | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return hidden tracks and offsets by slice, in the form of `HeldOut.hidden`."""
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
class _Plan:
    """Metrics and options of `evaluate`. k: length of the rankings that the metrics require."""

    ks: Sequence[int]
    metrics: Mapping[str, Metric]
    train_counts: np.ndarray
    parts: Mapping[str, np.ndarray]
    artists: np.ndarray
    information: np.ndarray
    k: int

    @classmethod
    def of(
        cls,
        ks: Sequence[int],
        names: Sequence[str | type[Metric]],
        counts: np.ndarray,
        parts: Mapping[str, np.ndarray],
        held: HeldOut,
    ) -> Self:
        metrics = contract.chosen(names)
        # those that read all scores come first, by name, as in every `metrics.json` so far
        whole = sorted(name for name, metric in metrics.items() if metric.reads == "scores")
        metrics = {name: metrics[name] for name in [*whole, *(name for name in metrics if name not in whole)]}
        bits = (
            information(counts)
            if any(metric.reads in ("tracks", "list") for metric in metrics.values())
            else np.zeros(0)
        )
        k = max(*ks, 1)
        if any(metric.cutoff == "r" for metric in metrics.values()):
            k = max(k, int((held.ends - held.begins).max(initial=0)))  # the first R are ranked, whatever the cutoffs
        return cls(ks, metrics, counts, parts, held.corpus.artists, bits, k)

    @property
    def whole(self) -> bool:
        """Whether a metric reads the scores of all candidates."""
        return any(metric.reads == "scores" for metric in self.metrics.values())

    @property
    def hits_alone(self) -> bool:
        """Whether metrics only read which ranks contain hidden tracks."""
        return all(metric.reads == "hits" for metric in self.metrics.values())

    def cutoffs(self, metric: Metric) -> Sequence[int]:
        return self.ks if metric.cutoff == "k" else (0,)


@dataclass
class _Measured:
    """Accumulated values of blocks of playlists."""

    plan: _Plan
    n_ranked: int
    blocks: list[Scores] = field(default_factory=list)
    tallies: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def add(self, rankings: Rankings, part: HeldOut, top: int) -> None:
        """Measure another block and keep the first `top` tracks of its rankings."""
        values: dict[Key, np.ndarray] = {}
        n_hidden: dict[str, np.ndarray] = {}
        for name, (tracks, offsets) in hidden_slices(part, self.plan.train_counts, self.plan.parts).items():
            block = self._block(rankings, part, tracks, offsets)
            n_hidden[name] = block.n_hidden
            for key, metric in self.plan.metrics.items():
                if name == "all" and isinstance(metric, SystemMetric):
                    for k in self.plan.cutoffs(metric):
                        self.tallies[key, k] = self.tallies.get((key, k), 0) + metric.tally(block, k)
                elif name == "all" or metric.reads != "list":
                    values |= {
                        (name, key, k): _per_playlist(key, metric, metric.values(block, k), block)
                        for k in self.plan.cutoffs(metric)
                    }
        self.blocks.append(Scores(values, n_hidden, rankings.ids[:, :top].astype(np.int32)))

    def scores(self) -> Scores:
        """Return the values of all blocks and the values of the system over all blocks."""
        if not self.blocks:
            raise SegueError(
                "the held-out part must contain at least one playlist: "
                "reduce evaluation.split.min_tracks, or read more playlists"
            )
        first = self.blocks[0]
        values = {key: np.concatenate([block.values[key] for block in self.blocks]) for key in first.values}
        n_hidden = {name: np.concatenate([block.n_hidden[name] for block in self.blocks]) for name in first.n_hidden}
        systems = {key: metric for key, metric in self.plan.metrics.items() if isinstance(metric, SystemMetric)}
        overall = {(key, k): systems[key].total(tally, self.n_ranked) for (key, k), tally in self.tallies.items()}
        return Scores(values, n_hidden, np.concatenate([block.top for block in self.blocks]), overall)

    def _block(self, rankings: Rankings, part: HeldOut, tracks: np.ndarray, offsets: np.ndarray) -> Block:
        # metrics see what they take alone: a ranking that is longer because it is kept must not change them
        scores, ids = rankings.all_scores, rankings.ids[:, : self.plan.k]
        if scores is not None:
            chosen, owners = _among_hidden(part, tracks, offsets)
            scores = replace(scores, chosen=chosen, owners=owners)
        plan = self.plan
        return Block(
            ids, hits(ids, tracks, offsets), tracks, offsets, plan.artists, plan.information, self.n_ranked, scores
        )


def _per_playlist(name: str, metric: Metric, values: np.ndarray, block: Block) -> np.ndarray:
    if np.shape(values) != block.n_hidden.shape:
        raise SegueError(
            f"metric {name} returned shape {np.shape(values)} and must return one value per playlist,"
            f" {block.n_hidden.shape}: correct the method `values`"
        )
    low, high = metric.value_range
    odd = ~np.isnan(values) & ~((values >= low - ROUNDING) & (values <= high + ROUNDING) & np.isfinite(values))
    if odd.any():
        raise SegueError(
            f"metric {name} returned {values[odd][0]:g} and must return finite values from {low:g} to {high:g}: correct"
            " the method `values`, or the attribute `value_range`"
        )
    return values


def _among_hidden(part: HeldOut, tracks: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which hidden tracks are in a slice, bool [h], and their rows."""
    every, bounds = part.hidden()
    width = part.corpus.n_items + 1
    owners, inside = (np.repeat(np.arange(len(part)), np.diff(each)) for each in (bounds, offsets))
    chosen = np.isin(owners * width + every, inside * width + tracks)
    return chosen, owners[chosen]


def mean(scores: Sequence[Scores]) -> Scores:
    """Return the mean values of several fits of a system on the same playlists, with the rankings of the first fit."""
    first = scores[0]
    if len(scores) == 1:
        return first
    values = {key: np.mean([each.values[key] for each in scores], axis=0) for key in first.values}
    overall = {key: float(np.mean([each.overall[key] for each in scores])) for key in first.overall}
    return replace(first, values=values, overall=overall)

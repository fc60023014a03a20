"""The contract of a metric: what it measures of a ranking, and what tables and choices must know about it.

A metric is a class without parameters, found by the entry-point group `segue.metrics` or given as `module:Class`:

    class HitRate(Metric):
        '''Whether the first k tracks hold any hidden one.'''

        name = "hit_rate"
        label = "Hit rate"
        value_range = (0.0, 1.0)

        def values(self, block: Block, k: int) -> np.ndarray:
            return np.where(block.n_hidden > 0, block.hits[:, :k].any(axis=1), np.nan)

`segue.plugin.check_metric` holds it to this contract.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from toolkit import plugins
from toolkit.errors import InputError
from toolkit.packages import Package

GROUP = "segue.metrics"

Cutoff = Literal["k", "r", "none"]
"""What ends the part of a ranking that is measured: each cutoff of the recipe, the number R of hidden tracks, or nothing."""

Reads = Literal["hits", "tracks", "list", "scores"]
"""What a metric reads of a block.

hits: `hits` and `n_hidden` alone. A place that holds no hidden track may then be empty, and nothing need be sorted.
tracks: which tracks are ranked and which are hidden too, with their artists.
list: what is ranked, whatever is hidden. It has no value of a slice of the hidden tracks.
scores: the scores of all candidates, `all_scores`.
"""

T = TypeVar("T")


@dataclass(frozen=True)
class AllScores:
    """Scores of all candidates of some playlists.

    scores: float32 [B, C], -inf for what cannot be ranked, NaN for what is not a candidate of the row, a seed.
    columns: int [h], where the hidden tracks are in it; those of row b are columns[offsets[b]:offsets[b + 1]].
    chosen: bool [h], which of them are in the slice that is measured. owners: int [m], the rows of those.
    """

    scores: np.ndarray
    columns: np.ndarray
    offsets: np.ndarray
    chosen: np.ndarray
    owners: np.ndarray
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, compute: Callable[[np.ndarray, np.ndarray, np.ndarray], T]) -> T:
        """`compute(scores, columns, offsets)`, computed once for all slices of the same playlists."""
        if compute not in self.kept:
            self.kept[compute] = compute(self.scores, self.columns, self.offsets)
        found: T = self.kept[compute]
        return found


@dataclass(frozen=True)
class Block:
    """Rankings of some playlists next to what is hidden of them, in one slice of the hidden tracks.

    ranked: int [B, K], best first, 0 for nothing. hits: bool [B, K], which ranks hold a hidden track.
    tracks, offsets: the hidden tracks of playlist b are tracks[offsets[b]:offsets[b + 1]].
    artists: int64 [V + 1], -1 where unknown. information: float64 [V + 1], bits: -log2 of a track's share of the training placements.
    n_candidates: how many tracks are ranked. all_scores: their scores, for metrics that read them.
    """

    ranked: np.ndarray
    hits: np.ndarray
    tracks: np.ndarray
    offsets: np.ndarray
    artists: np.ndarray
    information: np.ndarray
    n_candidates: int = 0
    all_scores: AllScores | None = None

    @classmethod
    def of_hits(cls, hits: np.ndarray, n_hidden: np.ndarray) -> Block:
        """A block for metrics that read hits alone. hits: bool [B, K]; n_hidden: int [B]."""
        offsets = np.concatenate([[0], np.cumsum(n_hidden)]).astype(np.int64)
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(hits.shape, np.int32), hits, nothing, offsets, nothing, np.zeros(0))

    @property
    def n_hidden(self) -> np.ndarray:
        """How many tracks are hidden of each playlist: int64 [B]."""
        return np.diff(self.offsets)

    @property
    def first_r(self) -> np.ndarray:
        """Which ranks are among the first R = |I|: bool [B, K]. Raises `ValueError` where the ranking is shorter."""
        if self.n_hidden.max(initial=0) > self.ranked.shape[1]:
            raise ValueError(f"R-precision of {int(self.n_hidden.max())} hidden tracks needs as long a ranking, not {self.ranked.shape[1]}")
        return np.asarray(np.arange(self.ranked.shape[1]) < self.n_hidden[:, None])


@dataclass(frozen=True)
class MetricInfo:
    """What a table must know about a metric. higher_is_better: None for one that does not say which ranking is better."""

    label: str
    higher_is_better: bool | None = True
    decimals: int = 4


class Metric(ABC):
    """One number a playlist.

    name: of its entry point, and in files. label: as tables print it. value_range: the lowest and the highest value.
    higher_is_better: None for one that says nothing of hits, such as novelty; systems are never chosen by it.
    decimals: as tables print its values. cutoff, reads: see `Cutoff` and `Reads`.
    requires: packages beyond the toolkit's own that it needs.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    value_range: ClassVar[tuple[float, float]]
    higher_is_better: ClassVar[bool | None] = True
    decimals: ClassVar[int] = 4
    cutoff: ClassVar[Cutoff] = "k"
    reads: ClassVar[Reads] = "hits"
    requires: ClassVar[tuple[Package, ...]] = ()

    @abstractmethod
    def values(self, block: Block, k: int) -> np.ndarray:
        """The value of each playlist: float64 [B], NaN where nothing is hidden. k: the cutoff, 0 for a metric without one."""

    @property
    def info(self) -> MetricInfo:
        return MetricInfo(self.label, self.higher_is_better, self.decimals)


class SystemMetric(Metric):
    """One number a system over all its playlists, without an interval: added up block by block, and read off at the end."""

    reads: ClassVar[Reads] = "list"

    @abstractmethod
    def tally(self, block: Block, k: int) -> np.ndarray:
        """What a block adds to the sum over blocks, of the same shape for every block."""

    @abstractmethod
    def total(self, tally: np.ndarray, n_candidates: int) -> float:
        """The value, from the sum over all blocks and the number of tracks that are ranked."""

    def values(self, block: Block, k: int) -> np.ndarray:
        """The value of these playlists alone: float64 [1]."""
        return np.array([self.total(self.tally(block, k), block.n_candidates)])


def named(name: str) -> Metric:
    """The metric called `name`, or of the class `module:Class`. Raises `InputError` for an unknown one, with the nearest name."""
    cls: type[Metric] = plugins.load(GROUP, name)
    return cls()


def chosen(metrics: Iterable[str | type[Metric]]) -> dict[str, Metric]:
    """Metrics under the names that values have, in their order; a class is under its own name. Raises `InputError` as `named`."""
    return dict((metric, named(metric)) if isinstance(metric, str) else (metric.name, metric()) for metric in metrics)


def selecting(metrics: Iterable[str]) -> list[str]:
    """Those of `metrics` that settings can be tuned for: one value a playlist, higher for better rankings."""
    return [name for name, metric in chosen(metrics).items() if metric.higher_is_better and not isinstance(metric, SystemMetric)]


@lru_cache
def described(name: str) -> MetricInfo:
    """What tables must know about the metric `name`; of one that is not installed, no more than its name."""
    try:
        return named(name).info
    except InputError:
        return MetricInfo(name)


def stored(found: Mapping[str, Mapping[str, Any]], name: str) -> MetricInfo | None:
    """What a run stored about a metric that may not be installed any more; None for an installed one and for one it does not know."""
    if name in plugins.names(GROUP) or name not in found:
        return None
    known = found[name]
    return MetricInfo(str(known.get("label", name)), known.get("higher_is_better", True), int(known.get("decimals", 4)))

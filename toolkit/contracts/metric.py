"""Base class of metrics, with the properties that tables and model selection need.

A metric is a class without parameters. It has a name in the entry-point group `segue.metrics` or is passed as
`module:Class`:

    class HitRate(Metric):
        '''Share of playlists with a hidden track among the first k.'''

        name = "hit_rate"
        label = "Hit rate"
        value_range = (0.0, 1.0)

        def values(self, block: Block, k: int) -> np.ndarray:
            return np.where(block.n_hidden > 0, block.hits[:, :k].any(axis=1), np.nan)

`segue.plugin.check_metric` tests a metric against this contract.
"""

from __future__ import annotations

import math
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
"""Length of the measured ranking: each cutoff of the recipe, the number R of hidden tracks, or no limit."""

Reads = Literal["hits", "tracks", "list", "scores"]
"""Parts of a block that a metric reads.

hits: only `hits` and `n_hidden`. Ranks without a hidden track may then be empty, and nothing needs to be sorted.
tracks: also which tracks are ranked and which are hidden, with their artists.
list: the ranked tracks, whatever is hidden. Such a metric has no value for a slice of the hidden tracks.
scores: the scores of all candidates, `all_scores`.
"""

T = TypeVar("T")


@dataclass(frozen=True)
class AllScores:
    """Scores of all candidates of some playlists.

    - scores: float32 [B, C]; -inf for tracks that cannot be ranked, NaN for tracks that are not candidates in the row
      (seeds).
    - columns: int [h], columns of the hidden tracks; row b has columns[offsets[b]:offsets[b + 1]].
    - chosen: bool [h], which hidden tracks are in the measured slice.
    - owners: int [m], rows of the chosen tracks.
    """

    scores: np.ndarray
    columns: np.ndarray
    offsets: np.ndarray
    chosen: np.ndarray
    owners: np.ndarray
    kept: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, compute: Callable[[np.ndarray, np.ndarray, np.ndarray], T]) -> T:
        """Return `compute(scores, columns, offsets)`, which is computed once for all slices of the same playlists."""
        if compute not in self.kept:
            self.kept[compute] = compute(self.scores, self.columns, self.offsets)
        result: T = self.kept[compute]
        return result


@dataclass(frozen=True)
class Block:
    """Rankings of some playlists with their hidden tracks in one slice.

    - ranked: int [B, K], item ids, best first; 0 for an empty rank.
    - hits: bool [B, K], which ranks contain a hidden track.
    - tracks, offsets: the hidden tracks of playlist b are tracks[offsets[b]:offsets[b + 1]].
    - artists: int64 [V + 1], -1 if unknown.
    - information: float64 [V + 1], in bits: -log2 of a track's share of the training entries.
    - n_candidates: number of ranked tracks.
    - all_scores: scores of all candidates, for metrics that read scores.
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
        """Return a block for metrics that only read hits. hits: bool [B, K]; n_hidden: int [B]."""
        offsets = np.concatenate([[0], np.cumsum(n_hidden)]).astype(np.int64)
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(hits.shape, np.int32), hits, nothing, offsets, nothing, np.zeros(0))

    @property
    def n_hidden(self) -> np.ndarray:
        """Number of hidden tracks of each playlist, int64 [B]."""
        return np.diff(self.offsets)

    @property
    def first_r(self) -> np.ndarray:
        """Mask of the first R ranks, where R is the number of hidden tracks: bool [B, K].

        Raises `ValueError` if the ranking is shorter.
        """
        if self.n_hidden.max(initial=0) > self.ranked.shape[1]:
            rule = f"must be at least the number of hidden tracks, {int(self.n_hidden.max())}: rank more tracks"
            raise ValueError(f"ranking length {self.ranked.shape[1]} {rule}")
        return np.asarray(np.arange(self.ranked.shape[1]) < self.n_hidden[:, None])


@dataclass(frozen=True)
class MetricInfo:
    """Properties of a metric for tables.

    - higher_is_better: None for a metric that does not measure quality.
    - value_range: lowest and highest possible value; None without a bound.
    """

    label: str
    higher_is_better: bool | None = True
    decimals: int = 4
    value_range: tuple[float | None, float | None] = (None, None)


class Metric(ABC):
    """Base class of metrics with one value per playlist.

    - name: name of the entry point, also used in files.
    - label: name in tables.
    - value_range: the lowest and the highest value.
    - higher_is_better: None for a metric that does not measure quality, such as novelty, and is not used for selection.
    - decimals: number of decimals in tables.
    - cutoff, reads: see `Cutoff` and `Reads`.
    - requires: additional packages that the metric requires.
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
        """Return the value of each playlist, float64 [B], NaN if nothing is hidden.

        k: cutoff, 0 for a metric without a cutoff.
        """

    @property
    def info(self) -> MetricInfo:
        low, high = (end if math.isfinite(end) else None for end in map(float, self.value_range))
        return MetricInfo(self.label, self.higher_is_better, self.decimals, (low, high))


class SystemMetric(Metric):
    """Base class of metrics with one value per system, over all playlists and without an interval.

    `tally` is summed over blocks, and `total` computes the value from this sum.
    """

    reads: ClassVar[Reads] = "list"

    @abstractmethod
    def tally(self, block: Block, k: int) -> np.ndarray:
        """Return the contribution of a block to the sum, with the same shape for every block."""

    @abstractmethod
    def total(self, tally: np.ndarray, n_candidates: int) -> float:
        """Return the value from the sum over all blocks and the number of ranked tracks."""

    def values(self, block: Block, k: int) -> np.ndarray:
        """Return the value for the playlists of this block only, float64 [1]."""
        return np.array([self.total(self.tally(block, k), block.n_candidates)])


def named(name: str) -> Metric:
    """Return the metric with this name or of the class `module:Class`.

    Raises `InputError` for an unknown name and suggests the nearest name.
    """
    cls: type[Metric] = plugins.load(GROUP, name)
    return cls()


def chosen(metrics: Iterable[str | type[Metric]]) -> dict[str, Metric]:
    """Return metrics by name in the same order, with classes under their own names. Raises `InputError`."""
    return dict((metric, named(metric)) if isinstance(metric, str) else (metric.name, metric()) for metric in metrics)


def selecting(metrics: Iterable[str]) -> list[str]:
    """Return the metrics suited for model selection, which have one value per playlist and where higher is better."""
    return [
        name
        for name, metric in chosen(metrics).items()
        if metric.higher_is_better and not isinstance(metric, SystemMetric)
    ]


def value_range(name: str) -> tuple[float, float]:
    """Return the possible values of the metric `name`, infinite where they have no bound or are not known."""
    low, high = described(name).value_range
    return -math.inf if low is None else low, math.inf if high is None else high


@lru_cache
def described(name: str) -> MetricInfo:
    """Return the table properties of the metric `name`, or only its name if the metric is not installed.

    The name may come from a run directory, so a class that is not yet imported is not imported either.
    """
    try:
        with plugins.of_a_run():
            return named(name).info
    except InputError:
        return MetricInfo(name)


def stored(facts: Mapping[str, Mapping[str, object]], name: str) -> MetricInfo | None:
    """Return the stored properties of a metric that is no longer installed, or None.

    Returns None if the metric is installed or the run does not have the metric.
    """
    if name in plugins.names(GROUP) or name not in facts:
        return None
    label, higher, decimals = (facts[name].get(key) for key in ("label", "higher_is_better", "decimals"))
    higher_is_better = None if higher is None and "higher_is_better" in facts[name] else higher is not False
    return MetricInfo(str(label or name), higher_is_better, decimals if isinstance(decimals, int) else 4)

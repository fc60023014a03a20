"""The ranker contract: everything that recommends is fitted, asked and saved in the same way.

One evaluator therefore scores every system with the same hidden tracks, the
same exclusions and the same metric code.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.modality import Modality

if TYPE_CHECKING:
    from toolkit.coldstart.factors import FactorStore

Scorer = Callable[[np.ndarray], np.ndarray]
"""Scores the queries it was made for on a block of item ids: int [n] -> float32 [B, n]."""


@dataclass(frozen=True)
class TrainingData:
    """Everything a ranker may learn from; the test split is not in it.

    valid: for early stopping and choices; rankers that need none ignore it.
    labels: which of a kind's labels (`artist`, `album`, `genre`) each track has: float32 [V + 1, L] of zeros and ones.
    systems: rankers fitted to the same training playlists, by name, for one that ranks with the help of others.
    workdir: where a long fit keeps checkpoints, so that a killed one resumes.
    factors: gives the factors of the training split, made once for all systems of a run; None: who wants some makes them.
    clock: what a fit counts its seconds by; `time.process_time` where other work shares the machine.
    """

    train: PlaylistSet
    valid: HeldOut | None = None
    modalities: dict[str, Modality] = field(default_factory=dict)
    workdir: Path | None = None
    seed: int = 0
    device: str = "auto"
    clock: Callable[[], float] = time.perf_counter
    factors: FactorStore | None = None
    labels: dict[str, sp.csr_matrix] = field(default_factory=dict)
    systems: dict[str, Ranker] = field(default_factory=dict)

    @property
    def n_items(self) -> int:
        return self.train.corpus.n_items


class Ranker(ABC):
    """A system that ranks the catalogue as the next tracks of a playlist."""

    name: ClassVar[str]
    oracle: ClassVar[bool] = False
    """Whether it reads the hidden tracks (an upper bound); tables print it apart."""
    draws: ClassVar[bool] = True
    """Whether a fit depends on `TrainingData.seed`; one that does not is fitted once, however many seeds a recipe names."""

    @abstractmethod
    def fit(self, data: TrainingData) -> Self:
        """Learn from the training playlists; a second fit starts anew."""

    @abstractmethod
    def scorer(self, queries: Queries) -> Scorer:
        """What to call blockwise over the catalogue; the queries are encoded once, here."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write safetensors and JSON, enough for `load` without raw data or pickle."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path) -> Self: ...

    @property
    @abstractmethod
    def n_items(self) -> int:
        """V, the size of the catalogue it was fitted on."""

    def score(self, queries: Queries, items: np.ndarray) -> np.ndarray:
        """Scores float32 [B, n] of `items` (ids int [n]); -inf for what it cannot rank.

        An item that nothing speaks for or against is such: a score that it shared with
        all others of its kind would rank them by id, which says nothing about them.
        """
        return self.scorer(queries)(items)

    def rank(self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384) -> tuple[np.ndarray, np.ndarray]:
        """The k best items per query: ids int32 [B, k] and scores float32 [B, k], best first.

        Ties go to the smaller id. Seeds are left out unless `allow_repeats`.
        Rows with fewer than k rankable items end in id 0 with score -inf; a ranker
        that knows no seed ranks nothing.
        Memory is B x (block + k), whatever the catalogue's size.
        """
        from toolkit.topk import blocked_top_k

        return blocked_top_k(self.scorer(queries), queries, self.n_items, k, allow_repeats=allow_repeats, block=block)

    def places(
        self, queries: Queries, targets: np.ndarray, *, limit: int | None = None, allow_repeats: bool = False, block: int = 16_384
    ) -> np.ndarray:
        """Place of each query's target, an id int [B], in the ranking of all items, from 1: int64 [B].

        The same ranking as `rank`'s, but only counted. 0 for a target that is not ranked: a
        seed, one that scores -inf, or one beyond place `limit`.
        """
        from toolkit.topk import blocked_ranks

        ranks = blocked_ranks(self.scorer(queries), queries, targets, self.n_items, allow_repeats=allow_repeats, block=block)
        return ranks if limit is None else np.where(ranks > limit, 0, ranks)

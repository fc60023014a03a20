"""The ranker contract: everything that recommends is fitted, queried and saved in the same way.

One evaluator therefore scores every system with the same hidden tracks, the
same exclusions and the same metric code.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.errors import SegueError
from toolkit.modality import Modality
from toolkit.packages import Package
from toolkit.parameters import Parameters
from toolkit.progress import Progress

if TYPE_CHECKING:
    from toolkit.coldstart.factorisation import FactorStore

Scorer = Callable[[np.ndarray], np.ndarray]
"""Scores the queries it was made for on a block of item ids: int [n] -> float32 [B, n]."""

Use = Literal["none", "optional", "required"]
"""Whether a ranker reads something: never, where it is there, or always. A fit without what is required raises `InputError`."""

Kind = Literal["baseline", "neural", "cold-start"]


@dataclass(frozen=True)
class Capabilities:
    """What a ranker needs and what it can do, declared on its class.

    content: modalities, `TrainingData.modalities`.
    titles: of training playlists, and of queries.
    labels: kinds of `TrainingData.labels` that it reads. labels_required: whether it needs all of them.
    systems: whether it ranks with the help of other fitted rankers, `TrainingData.systems`; its parameter `systems` may name them.
    shares_training_of: name of a ranker whose fit it reuses where a run has it with the same parameters.
    training_playlists_only: whether it needs the queries' playlists in training. counterpart: name of a ranker for other playlists.
    cold_tracks: whether it can rank tracks without a training placement by more than chance or a constant.
    explains: whether it can name the seeds or content behind a score.
    folds_in: whether tracks added after `fit` can be ranked.
    oracle: whether it reads the hidden tracks (an upper bound). Tables print it apart, and no one can query it in a finished run.
    deterministic: whether a fit does not depend on `TrainingData.seed`. It is then fitted once, however many seeds a recipe names.
    attributable: whether `modality_weights`, `apart` and `shuffle` say what it owes to each modality.
    embeds: whether `item_vectors` gives the vectors by which it compares tracks.
    distributed: whether all processes of a `torchrun` fit it together.
    kind: neural ones are left out by `segue bench --baselines cheap`, cold-start ones by every bench that does not name them.
    """

    content: Use = "none"
    titles: Use = "none"
    labels: tuple[str, ...] = ()
    labels_required: bool = False
    systems: bool = False
    shares_training_of: str = ""
    training_playlists_only: bool = False
    counterpart: str = ""
    cold_tracks: bool = False
    explains: bool = False
    folds_in: bool = False
    oracle: bool = False
    deterministic: bool = False
    attributable: bool = False
    embeds: bool = False
    distributed: bool = False
    kind: Kind = "baseline"


@dataclass(frozen=True)
class TrainingData:
    """Everything a ranker may learn from; the test split is not in it.

    valid: for early stopping and choices; rankers that need none ignore it.
    labels: which of a kind's labels (`artist`, `album`, `genre`) each track has: float32 [V + 1, L] of zeros and ones.
    systems: rankers fitted to the same training playlists, by name, for one that ranks with the help of others.
    workdir: where a long fit keeps checkpoints, so that a killed one resumes.
    factors: gives the factors of the training split, made once for all systems of a run; None: who wants some makes them.
    clock: what a fit counts its seconds by; `time.process_time` where other work shares the machine.
    progress: called as progress(done, total, what) during a long fit, with the counts of the whole fit.
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
    progress: Progress | None = None

    @property
    def n_items(self) -> int:
        return self.train.corpus.n_items


class Ranker(ABC):
    """A system that ranks the catalogue as the next tracks of a playlist.

    name: its name in recipes and tables. capabilities: what it needs and can do.
    Params: its parameters; the constructor takes their fields as keywords. grid: values of them that tuning tries, combined.
    requires: packages beyond the toolkit's own that it needs; `segue validate` reports those that are missing.
    listed: whether recipes and tables name it as a baseline; a ranker that is built in another way is not listed.
    curve: one row an epoch of the last fit, for a fit with epochs. underfit: whether that fit was cut short or still improving.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    Params: ClassVar[type[Parameters]] = Parameters
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {}
    listed: ClassVar[bool] = True
    requires: ClassVar[tuple[Package, ...]] = ()
    curve: Sequence[Mapping[str, Any]] = ()
    underfit: bool = False

    @abstractmethod
    def fit(self, data: TrainingData) -> Self:
        """Learn from the training playlists. A second fit starts anew. Raises `InputError` where required data is missing."""

    @abstractmethod
    def scorer(self, queries: Queries) -> Scorer:
        """A function that scores blocks of the catalogue for `queries`, which are encoded once, here."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write safetensors and JSON, enough for `load` without raw data or pickle."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """The ranker that `save` wrote, ready on `device`. Raises `RunDirectoryError` where files are missing or damaged."""

    def memory_problem(self, train: PlaylistSet, device: str) -> str:
        """Why a fit to `train` does not fit into the memory of `device`, and the cure; empty where it may."""
        return ""

    @property
    def reads_titles(self) -> bool:
        """Whether a title alone, without a seed, can be ranked for."""
        return self.capabilities.titles != "none"

    def item_vectors(self, items: np.ndarray) -> np.ndarray | None:
        """Vectors float32 [n, d] of `items`, ids int [n], as scores compare them; rows of NaN for tracks that are not ranked.

        None where it has no such vectors (`capabilities.embeds`).
        """
        return None

    def modality_vectors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Vectors float32 [n, d] of `items`, ids int [n], in each modality that it uses, as it uses them: filled in where missing."""
        return {}

    def modality_weights(self) -> list[dict[str, Any]]:
        """What each modality weighs: rows of `modality`, `of` (what weighs it) and `value`; empty where nothing does.

        A row may have a `label`, which reports print instead of `of`.
        """
        return []

    def apart(self, modality: str) -> bool:
        """Whether it reads this modality apart from others, so that `shuffle` can change it alone."""
        return False

    def shuffle(self, modality: str, present: np.ndarray, *, seed: int) -> np.ndarray:
        """Permute one modality's vectors among the tracks that have it, bool [V + 1]; the row each track got, int64 [V + 1].

        Raises `SegueError` for a modality that is not `apart`.
        """
        raise SegueError(f"{self.name} does not read {modality!r} apart from other modalities: it cannot be shuffled")

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

    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best items per query: ids int32 [B, k] and scores float32 [B, k], best first.

        Ties go to the smaller id. Seeds are left out unless `allow_repeats`.
        Rows with fewer than k rankable items end in id 0 with score -inf; a ranker
        that knows no seed ranks nothing.
        Memory is B x (block + k), whatever the catalogue's size.
        """
        from toolkit.topk import blocked_top_k

        return blocked_top_k(self.scorer(queries), queries, self.n_items, k, allow_repeats=allow_repeats, block=block)

    def places(
        self,
        queries: Queries,
        targets: np.ndarray,
        *,
        limit: int | None = None,
        allow_repeats: bool = False,
        block: int = 16_384,
    ) -> np.ndarray:
        """Place of each query's target, an id int [B], in the ranking of all items, from 1: int64 [B].

        The same ranking as `rank`'s, but only counted. 0 for a target that is not ranked: a
        seed, one that scores -inf, or one beyond place `limit`.
        """
        from toolkit.topk import blocked_ranks

        ranks = blocked_ranks(
            self.scorer(queries), queries, targets, self.n_items, allow_repeats=allow_repeats, block=block
        )
        return ranks if limit is None else np.where(ranks > limit, 0, ranks)

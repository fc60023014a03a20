"""The ranker contract: everything that recommends is fitted, queried and saved in the same way.

One evaluator therefore scores every system with the same hidden tracks, the same exclusions and the same metric code.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NotRequired, Self, TypedDict

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
"""Scores a block of items, ids int [n], for the queries it was made for: float32 [B, n]."""

Use = Literal["none", "optional", "required"]
"""Whether a ranker reads something: never, if it is available, or always. `fit` raises `InputError` without it."""

Kind = Literal["baseline", "neural", "cold-start"]


@dataclass(frozen=True)
class Capabilities:
    """What a ranker needs and what it can do, declared on its class.

    - content: whether it reads `TrainingData.modalities`.
    - titles: whether it reads the titles of training playlists and of queries.
    - labels: kinds of `TrainingData.labels` that it reads. labels_required: whether it needs all of them.
    - systems: whether it uses other fitted rankers, `TrainingData.systems`; its parameter `systems` may name them.
    - shares_training_of: name of a ranker whose fit it reuses if a run has it with the same parameters.
    - training_playlists_only: whether it only ranks for playlists of the training split. counterpart: name of a ranker
      for other playlists.
    - cold_tracks: whether it ranks tracks without a training placement by more than chance or a constant.
    - explains: whether it can name the seeds or content behind a score.
    - folds_in: whether tracks added after `fit` can be ranked.
    - oracle: whether it reads the hidden tracks (an upper bound). Tables print it apart, and a finished run does not
      query it.
    - deterministic: whether a fit does not depend on `TrainingData.seed`. It is then fitted once for all seeds of a
      recipe.
    - attributable: whether it implements `modality_weights`, `apart` and `shuffle`.
    - embeds: whether `item_vectors` returns the vectors by which it compares tracks.
    - distributed: whether all processes of a `torchrun` fit it together.
    - kind: `segue bench --baselines cheap` leaves out neural rankers, and a bench only runs cold-start rankers by name.
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
    """Everything a ranker may learn from. The test split is not in it.

    - valid: validation playlists, for early stopping and for the choice of parameters.
    - labels: by kind (`artist`, `album`, `genre`), which labels each track has: float32 [V + 1, L] of zeros and ones.
    - systems: rankers fitted to the same training playlists, by name, for rankers that use others.
    - workdir: folder for the checkpoints of a long fit, from which a killed one resumes.
    - factors: store of the training split's factors, computed once for all systems of a run; None: a ranker computes
      its own.
    - clock: clock for the seconds of a fit; `time.process_time` if other work shares the machine.
    - progress: called as progress(done, total, what) during a long fit, with the counts of the whole fit.
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


class ModalityWeight(TypedDict):
    """A learned weight. of: what the weight is a share or factor of; label: what reports print instead of `of`."""

    modality: str
    of: str
    label: NotRequired[str]
    value: float


class Ranker(ABC):
    """A system that ranks the catalogue as the next tracks of a playlist.

    - name: its name in recipes and tables.
    - capabilities: what it needs and can do.
    - Params: its parameters. The constructor takes their fields as keywords.
    - grid: values of parameters that tuning tries, in all combinations.
    - requires: packages that it needs beyond those of the toolkit. `segue validate` reports those that are missing.
    - listed: whether recipes and tables name it as a baseline.
    - curve: one row per epoch of the last fit.
    - underfit: whether that fit was cut short or was still improving.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    Params: ClassVar[type[Parameters]] = Parameters
    grid: ClassVar[Mapping[str, Sequence[object]]] = {}
    listed: ClassVar[bool] = True
    requires: ClassVar[tuple[Package, ...]] = ()
    curve: Sequence[Mapping[str, float]] = ()
    underfit: bool = False

    @abstractmethod
    def fit(self, data: TrainingData) -> Self:
        """Learn from the training playlists, and forget any earlier fit.

        Raises `InputError` if required data is missing.
        """

    @abstractmethod
    def scorer(self, queries: Queries) -> Scorer:
        """Encode `queries` once, and return a function that scores blocks of the catalogue for them."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write safetensors and JSON. `load` needs nothing else, neither raw data nor pickle."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """Return the ranker that `save` wrote, on `device`.

        Raises `RunDirectoryError` if files are missing or damaged.
        """

    def memory_problem(self, train: PlaylistSet, device: str) -> str:
        """Why training on `train` needs more memory than `device` has, and the cure; empty if it may have enough."""
        return ""

    @property
    def reads_titles(self) -> bool:
        """Whether it ranks for a query that has a title and no seed."""
        return self.capabilities.titles != "none"

    def item_vectors(self, items: np.ndarray) -> np.ndarray | None:
        """Vectors float32 [n, d] of `items`, ids int [n], as scores compare them.

        Rows of tracks that it cannot rank are NaN. None if it has no such vectors (`capabilities.embeds`).
        """
        return None

    def modality_vectors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Vectors float32 [n, d] of `items`, ids int [n], in each modality that it uses. Missing ones are filled in."""
        return {}

    def modality_weights(self) -> list[ModalityWeight]:
        """The learned weight of each modality; empty if none is learned."""
        return []

    def apart(self, modality: str) -> bool:
        """Whether it reads this modality separately. `shuffle` can then change it alone."""
        return False

    def shuffle(self, modality: str, present: np.ndarray, *, seed: int) -> np.ndarray:
        """Permute one modality's vectors among the tracks that have it, `present` bool [V + 1].

        Returns the row that each track received, int64 [V + 1]. Raises `SegueError` for a modality that is not `apart`.
        """
        raise SegueError(f"{self.name} does not read {modality!r} apart from other modalities: it cannot be shuffled")

    @property
    @abstractmethod
    def n_items(self) -> int:
        """V, the size of the catalogue that it was fitted on."""

    def score(self, queries: Queries, items: np.ndarray) -> np.ndarray:
        """Scores float32 [B, n] of `items`, ids int [n]; -inf for items that it cannot rank.

        An item without any evidence must be -inf too: equal scores would rank such items by id, which means nothing.
        """
        return self.scorer(queries)(items)

    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best items per query: ids int32 [B, k] and scores float32 [B, k], best first.

        Of equal scores the smaller id comes first. Seeds are left out unless `allow_repeats`. Rows with fewer than k
        rankable items end in id 0 with score -inf. Memory is B x (block + k), whatever the catalogue's size.
        """
        from toolkit.topk import blocked_top_k

        return blocked_top_k(self.scorer(queries), queries, self.n_items, k, allow_repeats=allow_repeats, block=block)

    def target_ranks(
        self,
        queries: Queries,
        targets: np.ndarray,
        *,
        limit: int | None = None,
        allow_repeats: bool = False,
        block: int = 16_384,
    ) -> np.ndarray:
        """Rank of each query's target, an id int [B], among all items, from 1: int64 [B].

        The ranking is that of `rank`, but it is only counted. 0 for a target that is not ranked: a seed, an item that
        scores -inf, or one after rank `limit`.
        """
        from toolkit.topk import blocked_ranks

        ranks = blocked_ranks(
            self.scorer(queries), queries, targets, self.n_items, allow_repeats=allow_repeats, block=block
        )
        return ranks if limit is None else np.where(ranks > limit, 0, ranks)

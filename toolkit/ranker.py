"""Base class of rankers, which are all fitted, queried and saved in the same way.

A single evaluator therefore measures all systems with the same hidden tracks, exclusions and metric code.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NotRequired, Self, TypedDict

import numpy as np
import scipy.sparse as sp

from toolkit.contracts.learning import Learning
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.errors import InputError, SegueError
from toolkit.modality import Modality
from toolkit.packages import Package
from toolkit.parameters import Parameters
from toolkit.progress import Progress

if TYPE_CHECKING:
    from toolkit.coldstart.factorisation import FactorStore

Scorer = Callable[[np.ndarray], np.ndarray]
"""Function that scores a block of items, ids int [n], for fixed queries: float32 [B, n]."""

Use = Literal["none", "optional", "required"]
"""Whether a ranker reads an input: never, if available, or always. `fit` raises `InputError` if a required input is
missing.
"""

Kind = Literal["baseline", "neural", "cold-start"]


@dataclass(frozen=True)
class Capabilities:
    """Requirements and abilities of a ranker, declared on its class.

    - content: whether the ranker reads `TrainingData.modalities`.
    - titles: whether the ranker reads the titles of training playlists and queries.
    - labels: kinds of `TrainingData.labels` that the ranker reads.
    - labels_required: whether the ranker requires all of these kinds.
    - modalities: exact number of modalities that the ranker requires; 0 for any number.
    - predicted_factors: whether the modalities must be factors that encoders predicted, as many as the run's.
    - validation_groups: minimum number of different validation playlists, where all versions of a playlist count once.
    - playlist_tracks: number of tracks that at least one training playlist must have.
    - systems: whether the ranker uses other fitted rankers, `TrainingData.systems`.
    - shares_training_of: name of a ranker with the same parameters whose fit can be reused in a run.
    - training_playlists_only: whether the ranker only works for playlists of the training split.
    - counterpart: name of a ranker for other playlists.
    - cold_tracks: whether tracks without training playlists are ranked better than at random.
    - explains: whether the ranker can name the seeds or content behind a score.
    - folds_in: whether tracks added after `fit` can be ranked.
    - oracle: whether the ranker reads the hidden tracks (an upper bound). Tables list oracles separately, and finished
      runs do not query them.
    - deterministic: whether a fit is independent of `TrainingData.seed`. The ranker is then fitted once for all seeds
      of a recipe.
    - attributable: whether `modality_weights`, `apart` and `shuffle` are implemented.
    - embeds: whether `item_vectors` returns vectors.
    - distributed: whether all processes of a `torchrun` fit the ranker together.
    - kind: `segue bench --baselines cheap` omits neural rankers, and a bench runs cold-start rankers only by name.
    """

    content: Use = "none"
    titles: Use = "none"
    labels: tuple[str, ...] = ()
    labels_required: bool = False
    modalities: int = 0
    predicted_factors: bool = False
    validation_groups: int = 0
    playlist_tracks: int = 0
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
    """Data from which a ranker may learn, without the test split.

    - valid: validation playlists, for early stopping and parameter selection.
    - labels: labels of each track by kind (`artist`, `album`, `genre`), float32 [V + 1, L] of zeros and ones.
    - systems: rankers fitted to the same training playlists, by name, for rankers that use other rankers.
    - workdir: folder for checkpoints of a long fit, from which an interrupted fit resumes.
    - factors: store of the training split's factors, computed once for all systems of a run. If None, a ranker computes
      them itself.
    - clock: clock that measures the seconds of a fit; `time.process_time` if other work shares the machine.
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


@dataclass(frozen=True)
class FitInputs:
    """What is known about the data of a fit before content is encoded and other systems are fitted.

    - train, valid: playlists, as in `TrainingData`.
    - modalities, labels, systems: names.
    - device: device of the fit.
    """

    train: PlaylistSet
    valid: HeldOut | None = None
    modalities: Collection[str] = ()
    labels: Collection[str] = ()
    systems: Collection[str] = ()
    device: str = "cpu"

    @classmethod
    def of(cls, data: TrainingData) -> Self:
        """Return what `data` has."""
        return cls(data.train, data.valid, tuple(data.modalities), tuple(data.labels), tuple(data.systems), data.device)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of training entries of each track, int64 [V + 1]."""
        return self.train.counts()

    @property
    def validation_groups(self) -> int:
        """Number of different validation playlists."""
        return 0 if self.valid is None else len(np.unique(self.valid.groups()))


@dataclass(frozen=True)
class Unmet:
    """Requirement of a ranker that the inputs of a fit do not meet.

    - rule: the requirement and the actual value, as a text that follows the ranker's name.
    - cure: what to change; empty if it is part of `rule`.
    - by_valid: whether other validation playlists could meet the requirement.
    """

    rule: str
    cure: str = ""
    by_valid: bool = False

    @property
    def text(self) -> str:
        return f"{self.rule}: {self.cure}" if self.cure else self.rule


class ModalityWeight(TypedDict):
    """Learned weight of a modality. of: quantity that the weight refers to; label: text for reports."""

    modality: str
    of: str
    label: NotRequired[str]
    value: float


class Ranker(ABC):
    """Base class of rankers, which rank the catalogue as the next tracks of a playlist.

    - name: name in recipes and tables.
    - capabilities: requirements and abilities.
    - Params: model of the parameters, whose fields are the constructor's keywords.
    - grid: parameter values for tuning, which are tried in all combinations.
    - requires: additional packages that the ranker requires. `segue validate` reports missing packages.
    - listed: whether recipes and tables list the ranker as a baseline.
    - curve: one row per epoch of the last fit.
    - underfit: whether the last fit was cut short or was still improving.
    - learning: record of the training of a network in the last fit, with its vectors (`Learning.of_vectors`). None
      for a ranker that trains no network. `Baseline` saves it.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    Params: ClassVar[type[Parameters]] = Parameters
    grid: ClassVar[Mapping[str, Sequence[object]]] = {}
    listed: ClassVar[bool] = True
    requires: ClassVar[tuple[Package, ...]] = ()
    curve: Sequence[Mapping[str, float]] = ()
    underfit: bool = False
    learning: Learning | None = None

    @abstractmethod
    def fit(self, data: TrainingData) -> Self:
        """Learn from the training playlists and discard any earlier fit.

        Raises `InputError` if required data is missing.
        """

    @abstractmethod
    def scorer(self, queries: Queries) -> Scorer:
        """Encode `queries` once and return a function that scores blocks of the catalogue."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write safetensors and JSON, which are sufficient for `load`."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """Return the ranker written by `save`, on `device`.

        Raises `RunDirectoryError` if files are missing or damaged.
        """

    @property
    def collapsed(self) -> str:
        """Why the network of the last fit did not learn, in one line, or ""."""
        return "" if self.learning is None else self.learning.collapsed

    def memory_problem(self, train: PlaylistSet, device: str) -> str:
        """Return why training on `train` exceeds the memory of `device`, with the cure, or ""."""
        return ""

    def input_problem(self, inputs: FitInputs) -> str:
        """Return a requirement beyond `capabilities` that `inputs` do not meet, with the cure, or "".

        Runs, benches and `Model.fit` call the method before any work, so that an impossible fit is reported at once.
        """
        return ""

    @property
    def reads_titles(self) -> bool:
        """Whether the ranker ranks for a query that has a title and no seed."""
        return self.capabilities.titles != "none"

    def item_vectors(self, items: np.ndarray) -> np.ndarray | None:
        """Return the vectors of `items` (int [n]) by which scores compare tracks, float32 [n, d].

        Rows of tracks that cannot be ranked are NaN. Returns None unless `capabilities.embeds`.
        """
        return None

    def modality_vectors(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the vectors of `items` (int [n]) in each modality, float32 [n, d], with missing vectors filled in."""
        return {}

    def modality_weights(self) -> list[ModalityWeight]:
        """Return the learned weight of each modality, or an empty list."""
        return []

    def apart(self, modality: str) -> bool:
        """Return whether the modality is read separately, in which case `shuffle` can change it alone."""
        return False

    def shuffle(self, modality: str, present: np.ndarray, *, seed: int) -> np.ndarray:
        """Permute the vectors of a modality among the tracks that have it, `present` bool [V + 1].

        Returns the row assigned to each track, int64 [V + 1]. Raises `SegueError` for a modality that is not `apart`.
        """
        raise SegueError(f"{self.name} does not read {modality!r} separately: shuffle a different modality")

    @property
    @abstractmethod
    def n_items(self) -> int:
        """V, the size of the catalogue in the last fit."""

    def score(self, queries: Queries, items: np.ndarray) -> np.ndarray:
        """Return scores float32 [B, n] of `items` (int [n]), -inf for items that cannot be ranked.

        An item without any evidence must also be -inf, because equal scores would rank such items arbitrarily by id.
        """
        return self.scorer(queries)(items)

    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k best items per query, best first: ids int32 [B, k] and scores float32 [B, k].

        Ties are broken by the smaller id. Seeds are excluded unless `allow_repeats`. Rows with fewer than k rankable
        items are padded with id 0 and score -inf. Memory is B x (block + k), independent of the catalogue's size.
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
        """Return the rank of each query's target (int [B]) among all items, from 1: int64 [B].

        The ranks are those of `rank`, computed by counting. A target that is a seed, has the score -inf or is after
        rank `limit` has rank 0.
        """
        from toolkit.topk import blocked_ranks

        ranks = blocked_ranks(
            self.scorer(queries), queries, targets, self.n_items, allow_repeats=allow_repeats, block=block
        )
        return ranks if limit is None else np.where(ranks > limit, 0, ranks)


def unmet(ranker: Ranker, inputs: FitInputs) -> Unmet | None:
    """Return the first requirement of a ranker that the inputs of a fit do not meet, or None.

    The declared requirements are checked first, then `memory_problem` and `input_problem`.
    """
    if (found := next(_declared(ranker.capabilities, inputs), None)) is not None:
        return found
    if ranker.capabilities.shares_training_of and inputs.systems:
        return None  # it is not trained
    problem = ranker.memory_problem(inputs.train, inputs.device) or ranker.input_problem(inputs)
    return Unmet(f": {problem}") if problem else None


def checked(ranker: Ranker, data: TrainingData) -> TrainingData:
    """Return `data`. Raises `InputError` for the first requirement of a ranker that `data` does not meet."""
    if (found := unmet(ranker, FitInputs.of(data))) is not None:
        raise InputError(f"{ranker.name}{found.text}")
    return data


def _declared(able: Capabilities, inputs: FitInputs) -> Iterator[Unmet]:
    """Yield the requirements in `capabilities` that are not met."""
    remove = "remove the ranker"
    if able.content == "required" and not inputs.modalities:
        yield Unmet(" requires a modality, but there are 0", f"add encoders to the recipe, or {remove}")
    if able.modalities and len(inputs.modalities) != able.modalities:
        yield Unmet(
            f" requires exactly {able.modalities} {'modality' if able.modalities == 1 else 'modalities'}, but"
            f" {len(inputs.modalities)} are set",
            f"set `modalities: […]` to {able.modalities} of them",
        )
    if able.titles == "required" and not any(map(str.strip, filter(None, inputs.train.titles()))):
        yield Unmet(" requires titles, but 0 training playlists have one", remove)
    for kind in able.labels if able.labels_required else ():
        if kind not in inputs.labels:
            yield Unmet(
                f" requires tracks with {kind} labels that may be trained on, but there are 0",
                f"add {kind} labels, set `permission` in the section `data` of the recipe, or {remove}",
            )
    if able.playlist_tracks and not (inputs.train.lengths >= able.playlist_tracks).any():
        yield Unmet(
            f" requires training playlists of at least {able.playlist_tracks} tracks, but there are 0",
            "add longer playlists",
        )
    if inputs.validation_groups < able.validation_groups:
        yield Unmet(
            f" requires at least {able.validation_groups} different validation playlists (versions of a playlist count"
            f" once), but there {'is' if inputs.validation_groups == 1 else 'are'} {inputs.validation_groups}",
            f"hold out more validation playlists, or {remove}",
            by_valid=True,
        )
    if able.training_playlists_only and inputs.valid is not None:
        others = int((~np.isin(inputs.valid.rows, inputs.train.rows)).sum())
        if others:
            yield Unmet(
                f" requires validation playlists that are also training playlists, but {others:,} are not",
                f"{f'use {able.counterpart}, or ' if able.counterpart else ''}set protocol leave_last_out",
            )

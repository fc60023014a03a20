"""Two-stage ranker that re-ranks candidates of other systems with trees trained on the validation playlists.

Volkovs et al. 2018, "Two-stage model for automatic playlist continuation at scale" (winners of the RecSys Challenge
2018), section 3.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.boosted_folds import assign_folds, boost_folds, training_examples
from toolkit.baselines.candidates import Candidates, Content, candidate_blocks, feature_names
from toolkit.baselines.content_centroid import unit_vectors
from toolkit.baselines.sparse_products import column_scorer, packed, unpacked
from toolkit.baselines.tree_text import checked_text
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, floats, integers, text
from toolkit.corpus.queries import Queries
from toolkit.files import parsed_json, write_json
from toolkit.packages import LIGHTGBM
from toolkit.plugins import suggest
from toolkit.ranker import Capabilities, FitInputs, Ranker, Scorer, TrainingData
from toolkit.ranker_registry import entry_name, load_ranker

if TYPE_CHECKING:
    import lightgbm

SYSTEMS = "systems.json"
UNUSED = ("random",)
"""Systems whose candidates are used only if they are named."""


class TwoStageParams(BaselineParams):
    systems: list[str] | None = Field(
        None, min_length=1, description="systems that supply candidates; default: every other system of the run"
    )
    candidates: int = Field(400, ge=1, description="number of candidates from each system for a playlist")
    objective: Literal["lambdarank", "binary"] = "lambdarank"
    rounds: int = Field(400, ge=1, description="maximum number of trees; the number is chosen by cross-fitting")
    patience: int = Field(40, ge=1, description="trees without improvement before training stops")
    learning_rate: float = Field(0.05, gt=0)
    leaves: int = Field(15, ge=2)
    min_leaf: int = Field(100, ge=1, description="minimum number of candidates in a leaf")
    folds: int = Field(4, ge=2, description="folds of validation playlists; versions of a playlist share a fold")
    max_rows: int = Field(400_000, ge=1000, description="maximum number of training candidates; wrong ones are sampled")


class TwoStage(Baseline):
    """Re-ranks the candidates of other systems with gradient-boosted trees trained on the validation playlists.

    Score: the mean over the trees of all folds, for a track that is a candidate of some system. Other tracks are not
    ranked (-inf).

    A validation playlist is scored by the trees that were not trained on it, so its validation results can be compared
    with those of systems that did not learn from it. Features: score and rank by every system, labels and modalities
    shared with the seeds, plays, number of seeds (`candidates.feature_names`).

    State: the text of the trees by fold, rows and folds of the validation playlists, int64, and the content of tracks.
    """

    name = "two-stage"
    Params = TwoStageParams
    requires = (LIGHTGBM,)
    capabilities = Capabilities(
        content="optional",
        titles="optional",
        labels=("artist", "album", "genre"),
        validation_groups=2,
        systems=True,
        cold_tracks=True,
    )

    def __init__(self, **params: object) -> None:
        super().__init__(**params)
        self.systems: dict[str, Ranker] = {}
        self._content: Content | None = None
        self._boosters: list[lightgbm.Booster] = []

    def learn(self, data: TrainingData) -> State:
        self.systems = {name: data.systems[name] for name in self._selected(data.systems)}
        valid = data.valid
        assert valid is not None, "checked by validation_groups"
        self._content, self._boosters = None, []
        plays = np.asarray(data.train.matrix().sum(axis=0, dtype=np.float64)).ravel().astype(np.float32)
        self._state = {"plays": plays}
        for kind in self.capabilities.labels:
            if kind in data.labels:
                self._state |= packed(data.labels[kind], f"labels.{kind}")
        for name, modality in sorted(data.modalities.items()):
            self._state[f"vectors.{name}"] = unit_vectors(modality)[0]
        fold_of, queries = assign_folds(valid.groups(), self.params.folds, data.seed), valid.queries()
        examples = training_examples(
            valid, lambda: self._candidates(queries), len(plays), max_rows=self.params.max_rows, seed=data.seed
        )
        trees = boost_folds(examples, fold_of, self.params, seed=data.seed)
        texts = {f"trees.{fold}": np.frombuffer(text.encode(), np.uint8) for fold, text in enumerate(trees)}
        return self._state | texts | {"valid": np.asarray(valid.rows, np.int64), "fold": fold_of}

    def _selected(self, systems: Iterable[str]) -> list[str]:
        return self.params.systems or [name for name in systems if name not in UNUSED]

    def input_problem(self, inputs: FitInputs) -> str:
        names, known = self._selected(inputs.systems), list(inputs.systems)
        if not names:
            return (
                "other systems are required, but there are 0: add baselines or models to the recipe, or call"
                " fit(…, systems=[…])"
            )
        unknown = next((name for name in names if name not in known), None)
        return "" if unknown is None else f"{unknown!r} is not a fitted system of this run: {suggest(unknown, known)}"

    def _candidates(self, queries: Queries) -> Iterator[Candidates]:
        return candidate_blocks(self.systems, self.content, queries, n=self.params.candidates)

    @property
    def reads_titles(self) -> bool:
        return any(ranker.reads_titles for ranker in self.systems.values())

    @property
    def content(self) -> Content:
        """Content of tracks from which the features are computed."""
        if self._content is None:
            kinds = [kind for kind in self.capabilities.labels if f"labels.{kind}.indptr" in self.state]
            labels = {kind: unpacked(self.state, f"labels.{kind}") for kind in kinds}
            prefix = "vectors."
            vectors = {
                key.removeprefix(prefix): self.state[key] for key in sorted(self.state) if key.startswith(prefix)
            }
            self._content = Content(self.state["plays"], labels, vectors)
        return self._content

    @property
    def boosters(self) -> list[lightgbm.Booster]:
        """Trees of each fold."""
        import lightgbm

        if not self._boosters:
            features = len(feature_names(self.systems, self.content))
            folds = range(sum(key.startswith("trees.") for key in self.state))
            self._boosters = [
                lightgbm.Booster(model_str=checked_text(self.state[f"trees.{fold}"].tobytes().decode(), features))
                for fold in folds
            ]
        return self._boosters

    def importance(self) -> dict[str, float]:
        """Return the share of each feature in the gain of all trees, in descending order."""
        gains = np.sum([booster.feature_importance("gain") for booster in self.boosters], axis=0)
        shares = gains / max(float(gains.sum()), 1e-12)
        named = dict(zip(feature_names(self.systems, self.content), shares.tolist(), strict=True))
        return dict(sorted(named.items(), key=lambda item: -item[1]))

    def layout(self, names: Collection[str]) -> Layout:
        kinds = [kind for kind in self.capabilities.labels if f"labels.{kind}.indptr" in names]
        vectors = [name for name in names if name.startswith("vectors.")]
        trees = [name for name in names if name.startswith("trees.")]
        return {
            "plays": floats(TRACKS),
            **{f"labels.{kind}": Sparse(TRACKS, f"{kind} labels") for kind in kinds},
            **{name: floats(TRACKS, name) for name in vectors},
            **{name: text(name) for name in trees},
            "valid": integers("playlists"),
            "fold": integers("playlists", least=0),
        }

    def scorer(self, queries: Queries) -> Scorer:
        scored = [self._scores(block, queries) for block in self._candidates(queries)]
        row, item, score = (np.concatenate([part[column] for part in scored] or [np.zeros(0)]) for column in range(3))
        shape = (len(queries), len(self.state["plays"]))
        return column_scorer(sp.csc_matrix((score.astype(np.float32), (row.astype(int), item.astype(int))), shape))

    def _scores(self, block: Candidates, queries: Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return row, item and score of each candidate. A score is never 0, because 0 represents a missing score."""
        fold = self._fold_of(queries)[block.row]
        scores = np.zeros(len(block.row))
        for number, booster in enumerate(self.boosters):
            rows = np.flatnonzero((fold == number) | (fold < 0))
            if len(rows):
                shares = np.where(fold[rows] < 0, len(self.boosters), 1)
                scores[rows] += np.asarray(booster.predict(block.features[rows])) / shares
        return block.row, block.item, np.where(scores == 0, 1e-12, scores)

    def _fold_of(self, queries: Queries) -> np.ndarray:
        """Return the fold of each query that is a validation playlist, -1 for other queries: int64 [B]."""
        if queries.rows is None or not len(queries):
            return np.full(len(queries), -1, np.int64)
        valid = self.state["valid"]
        order = np.argsort(valid)
        at = np.minimum(np.searchsorted(valid[order], queries.rows), len(valid) - 1)
        return np.where(valid[order][at] == queries.rows, self.state["fold"][order][at], -1)

    def save(self, directory: Path) -> None:
        """Write the ranker, and each system that supplies candidates in a separate folder."""
        super().save(directory)
        entries = [
            {"name": name, "ranker": entry_name(ranker), "folder": str(folder)}
            for folder, (name, ranker) in enumerate(self.systems.items())
        ]
        for entry in entries:
            self.systems[entry["name"]].save(directory / entry["folder"])
        write_json(directory / SYSTEMS, entries)

    def restore(self, directory: Path, *, device: str) -> None:
        import lightgbm

        self.systems = {
            str(entry["name"]): load_ranker(str(entry["ranker"]), directory / str(int(entry["folder"])), device=device)
            for entry in parsed_json(directory / SYSTEMS)
        }
        for name, ranker in self.systems.items():
            if ranker.n_items != self.n_items:
                raise ValueError(f"{name} ranks {ranker.n_items:,} tracks and must rank {self.n_items:,}")
        valid, folds = self.state["valid"], sum(key.startswith("trees.") for key in self.state)
        if not len(valid) or int(self.state["fold"].max()) >= folds:
            raise ValueError(f"fold must be < {folds} for each of {len(valid)} playlists")
        try:
            assert self.boosters
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"its trees cannot be read: {error}") from None

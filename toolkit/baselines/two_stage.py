"""Two stages: the candidates of all other systems, ranked again by gradient boosting that learned on the validation playlists.

Volkovs et al. 2018, "Two-stage model for automatic playlist continuation at scale" (winners of the RecSys Challenge 2018), section 3.2;
Burges 2010, "From RankNet to LambdaRank to LambdaMART: an overview"; trees by LightGBM (Ke et al. 2017, MIT).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines import candidates
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.candidates import Content
from toolkit.baselines.content_centroid import unit_vectors
from toolkit.baselines.sparse_products import packed, unpacked
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError, RunDirectoryError
from toolkit.packages import LIGHTGBM
from toolkit.plugins import suggest
from toolkit.ranker import Capabilities, Ranker, Scorer, TrainingData
from toolkit.ranker_registry import entry_name, load_ranker

if TYPE_CHECKING:
    import lightgbm

SYSTEMS = "systems.json"
USELESS = ("random",)
"""Systems whose candidates nobody asks for unless they are named."""


class TwoStageParams(BaselineParams):
    systems: list[str] | None = Field(
        None, min_length=1, description="whose candidates; default: every other system of the run"
    )
    candidates: int = Field(400, ge=1, description="taken from each system for a playlist")
    objective: Literal["lambdarank", "binary"] = "lambdarank"
    rounds: int = Field(400, ge=1, description="trees at most; how many is chosen by cross-fitting")
    patience: int = Field(40, ge=1, description="trees without improvement before it stops")
    learning_rate: float = Field(0.05, gt=0)
    leaves: int = Field(15, ge=2)
    min_leaf: int = Field(100, ge=1, description="candidates in a leaf")
    folds: int = Field(4, ge=2, description="of the validation playlists; versions of one stay together")
    max_rows: int = Field(400_000, ge=1000, description="candidates that it learns from; of more, wrong ones are drawn")


class TwoStage(Baseline):
    """Re-ranks the candidates of other systems with gradient-boosted trees trained on the validation playlists.

    Score: the mean over the trees of all folds, for a track that is a candidate of some system; other tracks are not ranked (-inf).

    A validation playlist is scored by the trees that have not seen it, so its validation results can be compared with those of systems that
    did not learn from it. Features: score and rank by every system, labels and modalities shared with the seeds, plays, number of seeds
    (`candidates.names`). State: the trees' text, the fold of each validation row, and the tracks' content.
    """

    name = "two-stage"
    Params = TwoStageParams
    requires = (LIGHTGBM,)
    capabilities = Capabilities(
        content="optional", titles="optional", labels=("artist", "album", "genre"), systems=True, cold_tracks=True
    )

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.systems: dict[str, Ranker] = {}
        self._content: Content | None = None
        self._boosters: list[lightgbm.Booster] = []

    def learn(self, data: TrainingData) -> State:
        self.systems = self._chosen(data)
        if data.valid is None or len(np.unique(data.valid.groups())) < 2:
            raise InputError(
                "two-stage learns on validation playlists and needs two different ones: hold out more of them"
            )
        self._content, self._boosters = None, []
        plays = np.asarray(data.train.matrix().sum(axis=0, dtype=np.float64)).ravel().astype(np.float32)
        self._state = {"plays": plays}
        for kind in self.capabilities.labels:
            if kind in data.labels:
                self._state |= packed(data.labels[kind], f"labels.{kind}")
        for name, modality in sorted(data.modalities.items()):
            self._state[f"vectors.{name}"] = unit_vectors(modality)[0]
        fold_of = _folds(data.valid.groups(), self.params.folds, data.seed)
        trees = self._boosted(data.valid, fold_of, data.seed)
        texts = {f"trees.{fold}": np.frombuffer(text.encode(), np.uint8) for fold, text in enumerate(trees)}
        return self._state | texts | {"valid": np.asarray(data.valid.rows, np.int64), "fold": fold_of}

    def _chosen(self, data: TrainingData) -> dict[str, Ranker]:
        wanted = self.params.systems or [name for name in data.systems if name not in USELESS]
        if not wanted:
            raise InputError(
                "two-stage ranks the candidates of other systems and there are none: name some baselines or models beside it"
            )
        for name in wanted:
            if name not in data.systems:
                raise InputError(
                    f"two-stage: {name!r} is not another system of this run: {suggest(name, list(data.systems))}"
                )
        return {name: data.systems[name] for name in wanted}

    @property
    def reads_titles(self) -> bool:
        return any(ranker.reads_titles for ranker in self.systems.values())

    @property
    def content(self) -> Content:
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
        """The trees of each fold."""
        import lightgbm

        if not self._boosters:
            folds = range(sum(key.startswith("trees.") for key in self.state))
            self._boosters = [
                lightgbm.Booster(model_str=self.state[f"trees.{fold}"].tobytes().decode()) for fold in folds
            ]
        return self._boosters

    def importance(self) -> dict[str, float]:
        """Share of all gain that the trees owe to each feature, the largest first."""
        gains = np.sum([booster.feature_importance("gain") for booster in self.boosters], axis=0)
        shares = gains / max(float(gains.sum()), 1e-12)
        named = dict(zip(candidates.names(self.systems, self.content), shares.tolist(), strict=True))
        return dict(sorted(named.items(), key=lambda item: -item[1]))

    def _boosted(self, valid: HeldOut, fold_of: np.ndarray, seed: int) -> list[str]:
        """The trees of each fold, learned on the others and cut at the number that is best for all together on what they had not seen."""
        import lightgbm

        features, hits, sizes = self._examples(valid, seed)
        rows = np.repeat(np.arange(len(valid)), sizes)
        data = lightgbm.Dataset(features, label=hits, group=sizes[sizes > 0], free_raw_data=True)
        parts = [
            (np.flatnonzero(fold_of[rows] != fold), np.flatnonzero(fold_of[rows] == fold))
            for fold in range(int(fold_of.max()) + 1)
        ]
        given = self.params
        settings = {
            "objective": given.objective,
            "metric": "ndcg",
            "eval_at": [50],
            "lambdarank_truncation_level": 100,
            "learning_rate": given.learning_rate,
            "num_leaves": given.leaves,
            "min_data_in_leaf": given.min_leaf,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "seed": seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        stop = lightgbm.early_stopping(given.patience, verbose=False)
        found = lightgbm.cv(settings, data, given.rounds, folds=parts, callbacks=[stop], return_cvbooster=True)
        whole: Any = found["cvbooster"]
        return [booster.model_to_string(num_iteration=whole.best_iteration) for booster in whole.boosters]

    def _examples(self, valid: HeldOut, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Candidates of the validation playlists: features float32 [n, f], hidden or not uint8 [n], and how many each playlist has."""
        tracks, offsets = valid.hidden()
        width = self._state_width
        hidden = np.repeat(np.arange(len(valid)), np.diff(offsets)) * width + tracks
        share, draw = self.params.max_rows / len(valid), np.random.default_rng(seed)
        kept: list[tuple[np.ndarray, np.ndarray]] = []
        sizes = np.zeros(len(valid), np.int64)
        for found in candidates.blocks(self.systems, self.content, valid.queries(), n=self.params.candidates):
            hit = np.isin(found.row * width + found.item, hidden)
            count = np.bincount(found.row, minlength=len(valid))[found.row]
            keep = hit | (draw.random(len(hit)) < share / count)
            sizes += np.bincount(found.row[keep], minlength=len(valid))
            kept.append((found.features[keep], hit[keep].astype(np.uint8)))
        return np.concatenate([part for part, _ in kept]), np.concatenate([hit for _, hit in kept]), sizes

    @property
    def _state_width(self) -> int:
        return len(self.state["plays"])

    def scorer(self, queries: Queries) -> Scorer:
        found = [
            self._scores(part, queries)
            for part in candidates.blocks(self.systems, self.content, queries, n=self.params.candidates)
        ]
        row, item, value = (np.concatenate([part[place] for part in found] or [np.zeros(0)]) for place in range(3))
        whole = sp.csc_matrix(
            (value.astype(np.float32), (row.astype(int), item.astype(int))), (len(queries), self._state_width)
        )

        def score(items: np.ndarray) -> np.ndarray:
            dense = np.asarray(whole[:, items].toarray(), np.float32)
            dense[dense == 0] = -np.inf
            return dense

        return score

    def _scores(self, found: candidates.Candidates, queries: Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, item and score of each candidate; a score is never 0, which stands for none."""
        fold = self._fold_of(queries)[found.row]
        scores = np.zeros(len(found.row))
        for number, booster in enumerate(self.boosters):
            asked = np.flatnonzero((fold == number) | (fold < 0))
            if len(asked):
                scores[asked] += np.asarray(booster.predict(found.features[asked])) / np.where(
                    fold[asked] < 0, len(self.boosters), 1
                )
        return found.row, found.item, np.where(scores == 0, 1e-12, scores)

    def _fold_of(self, queries: Queries) -> np.ndarray:
        """The fold of each query that is a validation playlist, -1 for the others: int64 [B]."""
        if queries.rows is None or not len(queries):
            return np.full(len(queries), -1, np.int64)
        valid = self.state["valid"]
        order = np.argsort(valid)
        at = np.minimum(np.searchsorted(valid[order], queries.rows), len(valid) - 1)
        return np.where(valid[order][at] == queries.rows, self.state["fold"][order][at], -1)

    def save(self, directory: Path) -> None:
        """Also the systems whose candidates it ranks, each in a folder of its own."""
        super().save(directory)
        entries = [
            {"name": name, "ranker": entry_name(ranker), "folder": str(place)}
            for place, (name, ranker) in enumerate(self.systems.items())
        ]
        for entry in entries:
            self.systems[entry["name"]].save(directory / entry["folder"])
        (directory / SYSTEMS).write_text(json.dumps(entries, indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        ranker = super().load(directory, device=device)
        try:
            entries = json.loads((directory / SYSTEMS).read_text())
            ranker.systems = {
                str(each["name"]): load_ranker(str(each["ranker"]), directory / str(int(each["folder"])), device=device)
                for each in entries
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunDirectoryError(
                f"{directory} holds no readable two-stage ranker ({error}): delete it and fit it again"
            ) from None
        return ranker


def _folds(groups: np.ndarray, n: int, seed: int) -> np.ndarray:
    """A fold for each list, all versions of one playlist in the same, filled evenly: int64 [n lists]."""
    names, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n = min(n, len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(n), np.zeros(len(names), np.int64)
    for name in order:
        fold[name] = np.argmin(filled)
        filled[fold[name]] += sizes[name]
    return fold[index]

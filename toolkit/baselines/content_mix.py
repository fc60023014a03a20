"""Content mix, a weighted sum of item-kNN, genre and artist scores with weights chosen on validation.

Content helps if most hidden tracks are unplayed. A two-stage ranker learns such a mix from examples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.sparse_products import minus_inf_for_zero, packed, unpacked
from toolkit.baselines.validation_recall import hidden_matrix, recalls
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, floats
from toolkit.corpus.label_rows import label_profile, unit_labels
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.choose_weight import choose_weight, sample_evenly
from toolkit.ranker import Capabilities, FitInputs, Scorer, TrainingData

KINDS = ("genre", "artist")
WEIGHTS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Weights that are tried for the cosine of each kind of label. Item-kNN, as a mean over the seeds, has weight one."""
MOST_SCORES = 2**26
"""Scores of validation playlists by which weights are chosen. Of more playlists an even share is taken."""
BLOCK_ENTRIES = 2**22
"""Scores that are held at once. There are about four arrays of this size."""


class ContentMixParams(BaselineParams):
    neighbours: int | None = Field(None, ge=1, description="neighbours of each track in item-kNN; default: all")
    shrink: float = Field(0.0, ge=0, description="shrinkage of item-kNN")
    genre: float | None = Field(None, ge=0, description="weight of the genre cosine; default: chosen on validation")
    artist: float | None = Field(None, ge=0, description="weight of the artist cosine; default: chosen on validation")


class ContentMix(Baseline):
    """Ranks tracks by item-kNN, genre and artist together, with weights chosen on validation.

    Score of a track: mean cosine co-occurrence with the seeds + g times genre cosine + a times artist cosine.

    Weights that are not set are those with the best Recall@50 + Recall@500 on validation. Ties are broken by the
    smaller weights. Kinds of labels that the catalogue does not have are left out. Tracks without evidence cannot be
    ranked (-inf).
    """

    name = "content-mix"
    Params = ContentMixParams
    capabilities = Capabilities(labels=KINDS, cold_tracks=True)
    grid = {"neighbours": [50, 200, None], "shrink": [0.0, 5.0]}

    def learn(self, data: TrainingData) -> State:
        state: State = ItemKNN(neighbours=self.params.neighbours, shrink=self.params.shrink).fit(data).state.copy()
        kinds = [kind for kind in KINDS if kind in data.labels]
        for kind in kinds:
            state |= packed(unit_labels(data.labels, kind, self.name, idf=True), kind)
        fixed = {kind: getattr(self.params, kind) for kind in kinds}
        choices = [WEIGHTS if fixed[kind] is None else (fixed[kind],) for kind in kinds]
        best = _best_weights(state, kinds, choices, data.valid, data.n_items) if data.valid else fixed.values()
        weights = zip(kinds, best, strict=True)
        return state | {f"weight.{kind}": np.array([weight], np.float32) for kind, weight in weights}

    def input_problem(self, inputs: FitInputs) -> str:
        chosen = [kind for kind in KINDS if kind in inputs.labels and getattr(self.params, kind) is None]
        if chosen and not inputs.valid:
            return "validation playlists are required to choose weights, but there are 0: set genre and artist"
        return ""

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each kind of label."""
        return {kind: float(self.state[f"weight.{kind}"][0]) for kind in KINDS if f"weight.{kind}" in self.state}

    def layout(self, names: Collection[str]) -> Layout:
        kinds = [kind for kind in KINDS if f"weight.{kind}" in names]
        labels = {kind: Sparse(TRACKS, kind) for kind in kinds}
        return {"similar": Sparse(TRACKS, TRACKS), **labels} | {f"weight.{kind}": floats(1) for kind in kinds}

    def scorer(self, queries: Queries) -> Scorer:
        weights = self.weights
        parts = _Parts(self.state, list(weights), queries.matrix(self.n_items))

        def score(items: np.ndarray) -> np.ndarray:
            total, *content = parts.of(items)
            for part, weight in zip(content, weights.values(), strict=True):
                total = total + np.float32(weight) * part
            return minus_inf_for_zero(total)

        return score


class _Parts:
    """Summands of a score, the mean co-occurrence with the seeds and the cosine for each kind of label."""

    def __init__(self, state: State, kinds: list[str], seeds: sp.csr_matrix) -> None:
        self.similar = unpacked(state, "similar")
        self.mean = seeds.multiply(1.0 / np.maximum(np.diff(seeds.indptr), 1)[:, None]).tocsr()
        self.labels = [unpacked(state, kind) for kind in kinds]
        self.profiles = [label_profile(seeds, labels) for labels in self.labels]

    def of(self, items: np.ndarray) -> list[np.ndarray]:
        """Return the summands for items int [n]: float32 [B, n] each."""
        pairs = [(self.mean, self.similar), *zip(self.profiles, self.labels, strict=True)]
        return [np.asarray((left @ right[items].T).toarray(), np.float32) for left, right in pairs]


def _best_weights(
    state: State, kinds: list[str], choices: Sequence[tuple[float, ...]], valid: HeldOut, n_items: int
) -> tuple[float, ...]:
    """Return the weights with the best Recall@50 + Recall@500 on validation.

    Recall@50 alone does not distinguish most weights on a few playlists.
    """
    sample = sample_evenly(valid, max(50, MOST_SCORES // (n_items + 1)))
    tried = list(product(*choices))
    totals = np.zeros(len(tried))
    every = np.arange(n_items + 1)
    step = max(1, BLOCK_ENTRIES // (n_items + 1))
    for start in range(0, len(sample), step):
        part = sample.part(start, start + step)
        hidden, shown = hidden_matrix(part), part.queries().matrix(n_items)
        total, *content = _Parts(state, kinds, shown).of(every)
        total[shown.nonzero()] = -np.inf
        for row, weights in enumerate(tried):
            mixed = sum((np.float32(weight) * part for weight, part in zip(weights, content, strict=True)), start=total)
            long = _top(mixed, 500)
            short = np.take_along_axis(long, _top(np.take_along_axis(mixed, long, axis=1), 50), axis=1)
            totals[row] += recalls(long, hidden).sum() + recalls(short, hidden).sum()
    return choose_weight(tried, dict(zip(tried, totals, strict=True)).__getitem__, decimals=9)


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the k highest scores of each row, in any order: int64 [B, min(k, n)]."""
    k = min(k, scores.shape[1])
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]

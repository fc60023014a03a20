"""Title-kNN, a vote of training playlists with similar titles, which can continue a playlist without tracks.

Source: the title models of Zamani et al. 2019, "An analysis of approaches taken in the ACM RecSys Challenge 2018",
section 4.3. `title-mix` adds the votes to a neighbour baseline of the seeds, with a weight chosen on validation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit import plugins
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.session.session_knn import SessionKNN
from toolkit.baselines.sparse_products import packed, product_scorer, unpacked
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, floats
from toolkit.corpus.item_similarity import by_item, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.text.char_ngrams import CharNgramsEncoder
from toolkit.evaluation.choose_weight import choose_weight
from toolkit.ranker import Capabilities, Scorer, TrainingData

BLOCK_ENTRIES = 8_000_000
"""Similarities to all training titles that are held at once."""

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Weights of title votes that are tried on validation. The seeds' neighbours have weight one."""


class TitleKNNParams(BaselineParams):
    encoder: Literal["char-ngrams", "sentence-bert"] = "char-ngrams"
    neighbours: int = Field(100, ge=1, description="distinct training titles that vote for a query")
    sharpness: float = Field(3.0, gt=0, description="exponent of the cosine in a vote")


class TitleKNN(Baseline):
    """Ranks the tracks of training playlists with similar titles.

    Score of track i: Σ over the nearest titles t of cosine(title, t)^sharpness · (number of training playlists with
    title t that contain i).

    Titles that differ only in case are the same title. For a query without a title, or with a title unlike all others,
    no track can be ranked (-inf).
    """

    name = "title-knn"
    capabilities = Capabilities(titles="required", deterministic=True)
    Params = TitleKNNParams
    title_encoder: Encoder

    def learn(self, data: TrainingData) -> State:
        titles = [_folded(title) for title in data.train.titles()]
        known = sorted({title for title in titles if title})
        self.title_encoder = registry.create(
            self.params.encoder, {"dim": 0} if self.params.encoder == "char-ngrams" else {}, device="cpu"
        )
        if self.title_encoder.needs_fit:
            self.title_encoder.fit(known)
        row_of = {title: row for row, title in enumerate(known)}
        rows = np.array([row_of.get(title, -1) for title in titles])
        titled = np.flatnonzero(rows >= 0)
        owners = sp.csr_matrix((np.ones(len(titled), np.float32), (rows[titled], titled)), (len(known), len(rows)))
        plays = by_item((owners @ data.train.matrix()).tocsr())
        return packed(plays, "plays") | packed(self._vectors(known), "titles")

    def layout(self, names: Collection[str]) -> Layout:
        return {"plays": Sparse(TRACKS, "titles"), "titles": Sparse("titles", "terms")}

    def scorer(self, queries: Queries) -> Scorer:
        return product_scorer(self.votes(queries), unpacked(self.state, "plays"))

    def votes(self, queries: Queries) -> sp.csr_matrix:
        """Return the vote of each training title for each query: float64 [B, titles], at most `neighbours` in a row."""
        known = unpacked(self.state, "titles")
        titles = [_folded(title) for title in queries.titles or [None] * len(queries)]
        distinct = sorted({title for title in titles if title})
        step = max(1, BLOCK_ENTRIES // known.shape[0])
        parts = [self._near(distinct[start : start + step], known) for start in range(0, len(distinct), step)]
        near = sp.vstack([sp.csr_matrix((1, known.shape[0])), *parts], format="csr")
        row_of = {title: row for row, title in enumerate(distinct, start=1)}
        return near[[row_of.get(title, 0) for title in titles]]

    def _near(self, titles: Sequence[str], known: sp.csr_matrix) -> sp.csr_matrix:
        cosines = (self._vectors(titles) @ known.T).tocsr()
        cosines.data = np.where(cosines.data > 0, cosines.data, 0.0) ** self.params.sharpness
        cosines.eliminate_zeros()
        return top_per_row(cosines, self.params.neighbours)

    def _vectors(self, titles: Sequence[str]) -> sp.csr_matrix:
        """Return title vectors with unit norm: float64 [n, d]."""
        if isinstance(self.title_encoder, CharNgramsEncoder):
            return self.title_encoder.terms(titles)
        rows = self.title_encoder.transform(list(titles)).astype(np.float64)
        return sp.csr_matrix(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))

    def save(self, directory: Path) -> None:
        super().save(directory)
        self.title_encoder.save(directory / "titles")

    def restore(self, directory: Path, *, device: str) -> None:
        self.title_encoder = plugins.load(registry.GROUP, self.params.encoder).load(directory / "titles")
        terms, expected = self._vectors(["a"]).shape[1], int(self.state["titles.shape"][1])
        if terms != expected:
            raise ValueError(f"the title encoder has {terms:,} terms, not {expected:,}")


class TitleMixParams(TitleKNNParams):
    of: Literal["session-knn", "item-knn"] = Field("session-knn", description="ranker by the seeds")
    weight: float | None = Field(
        None, ge=0, description="weight of the title, with 1 for the seeds; default: chosen on validation by NDCG@50"
    )


class TitleMix(TitleKNN):
    """Ranks tracks by the neighbours of the seeds and by similar titles, with a weight chosen on validation.

    For each query the scores by seeds and by title are scaled to a sum of one. Without seeds only the title counts, and
    without a title only the seeds.
    """

    name = "title-mix"
    Params = TitleMixParams

    @property
    def _neighbours(self) -> type[SessionKNN | ItemKNN]:
        return SessionKNN if self.params.of == "session-knn" else ItemKNN

    def fit(self, data: TrainingData) -> Self:
        super().fit(data)
        self._seeds = self._neighbours().fit(data)
        weight = self.params.weight if self.params.weight is not None else self._best_weight(data)
        self.state["weight"] = np.array([weight], np.float32)
        return self

    def _best_weight(self, data: TrainingData) -> float:
        """Return the weight with the best NDCG@50 on validation, or 0.2 without validation.

        Ties are broken by the smaller weight.
        """
        if not data.valid:
            return 0.2
        from toolkit.evaluation.metrics import hits, ndcg_at

        queries, (tracks, offsets), k = data.valid.queries(), data.valid.hidden(), min(50, data.n_items)

        def ndcg(weight: float) -> float:
            self.state["weight"] = np.array([weight], np.float32)
            ranked, _ = self.rank(queries, k)
            return float(np.nanmean(ndcg_at(hits(ranked, tracks, offsets), np.diff(offsets), k)))

        return choose_weight(WEIGHTS, ndcg)

    def layout(self, names: Collection[str]) -> Layout:
        return {**super().layout(names), "weight": floats(1)}

    def scorer(self, queries: Queries) -> Scorer:
        weight = float(self.state["weight"][0])
        by_title, by_seeds = super().scorer(queries), self._seeds.scorer(queries)
        weights = np.where(queries.lengths == 0, 1.0, weight)
        every = np.arange(1, self.n_items + 1)
        sums = [np.zeros(len(queries)) for _ in range(2)]
        for start in range(0, len(every), 16_384):
            for total, scorer in zip(sums, (by_title, by_seeds), strict=True):
                total += _finite(scorer(every[start : start + 16_384])).sum(axis=1)
        title, seeds = (1 / np.where(total > 0, total, 1.0) for total in sums)

        def score(items: np.ndarray) -> np.ndarray:
            both = _finite(by_title(items)) * (weights * title)[:, None] + _finite(by_seeds(items)) * seeds[:, None]
            return np.where(both > 0, both, -np.inf).astype(np.float32)

        return score

    def save(self, directory: Path) -> None:
        super().save(directory)
        self._seeds.save(directory / "seeds")

    def restore(self, directory: Path, *, device: str) -> None:
        super().restore(directory, device=device)
        self._seeds = self._neighbours.load(directory / "seeds")


def _folded(title: str | None) -> str:
    return " ".join((title or "").lower().split())


def _finite(scores: np.ndarray) -> np.ndarray:
    """Return the scores as float64, with 0 for tracks that cannot be ranked."""
    return np.where(np.isneginf(scores), 0.0, scores).astype(np.float64)

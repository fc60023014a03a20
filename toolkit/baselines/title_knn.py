"""Title-kNN: training playlists with similar titles vote, so that a playlist of which nothing but its title is known has an answer.

Source: the title models of Zamani et al. 2019, "An analysis of approaches taken in the ACM RecSys Challenge 2018", section 4.3.
`title-mix` adds the votes to a neighbour baseline of the seeds, with a weight chosen on validation.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from toolkit.corpus.item_similarity import by_item, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.text.char_ngrams import CharNgramsEncoder
from toolkit.errors import InputError
from toolkit.evaluation.choose_weight import choose_weight
from toolkit.ranker import Capabilities, Scorer, TrainingData

BLOCK_ENTRIES = 8_000_000
"""Similarities to all training titles that are held at once."""

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Of title votes beside the seeds' neighbours; validation chooses."""


class TitleKNNParams(BaselineParams):
    encoder: Literal["char-ngrams", "sentence-bert"] = "char-ngrams"
    neighbours: int = Field(100, ge=1, description="distinct training titles that speak for a query")
    sharpness: float = Field(3.0, gt=0, description="power of the cosine in a vote")


class TitleKNN(Baseline):
    """Ranks the tracks of training playlists with similar titles.

    Score of track i: Σ over the nearest titles t of cosine(title, t)^sharpness · (number of training playlists called t that contain i).

    Titles that differ only in case are the same title. A query without a title, or with a title unlike all others, ranks nothing (-inf).
    """

    name = "title-knn"
    capabilities = Capabilities(titles="required", deterministic=True)
    Params = TitleKNNParams
    title_encoder: Encoder | None = None

    def fit(self, data: TrainingData) -> Self:
        titles = [_folded(title) for title in data.train.titles()]
        known = sorted({title for title in titles if title})
        if not known:
            raise InputError(f"{self.name} needs titles, and no training playlist has one: leave it out of baselines")
        self.title_encoder = registry.create(
            self.params.encoder, {"dim": 0} if self.params.encoder == "char-ngrams" else {}, device="cpu"
        )
        if self.title_encoder.learns:
            self.title_encoder.fit(known)
        self._known, self._titles = known, titles
        super().fit(data)
        del self._known, self._titles
        return self

    def learn(self, data: TrainingData) -> State:
        place = {title: at for at, title in enumerate(self._known)}
        rows = np.array([place.get(title, -1) for title in self._titles])
        called = np.flatnonzero(rows >= 0)
        owners = sp.csr_matrix((np.ones(len(called), np.float32), (rows[called], called)), (len(place), len(rows)))
        return packed(by_item((owners @ data.train.matrix()).tocsr()), "plays") | packed(
            self._vectors(self._known), "titles"
        )

    def scorer(self, queries: Queries) -> Scorer:
        return product_scorer(self.votes(queries), unpacked(self.state, "plays"))

    def votes(self, queries: Queries) -> sp.csr_matrix:
        """What each training title says for each query: float64 [B, titles], at most `neighbours` stored in a row."""
        known = unpacked(self.state, "titles")
        asked = [_folded(title) for title in queries.titles or [None] * len(queries)]
        distinct = sorted({title for title in asked if title})
        step = max(1, BLOCK_ENTRIES // known.shape[0])
        parts = [self._near(distinct[start : start + step], known) for start in range(0, len(distinct), step)]
        near = sp.vstack([sp.csr_matrix((1, known.shape[0])), *parts], format="csr")
        row = {title: at for at, title in enumerate(distinct, start=1)}
        return near[[row.get(title, 0) for title in asked]]

    def _near(self, titles: Sequence[str], known: sp.csr_matrix) -> sp.csr_matrix:
        cosines = (self._vectors(titles) @ known.T).tocsr()
        cosines.data = np.where(cosines.data > 0, cosines.data, 0.0) ** self.params.sharpness
        cosines.eliminate_zeros()
        return top_per_row(cosines, self.params.neighbours)

    def _vectors(self, titles: Sequence[str]) -> sp.csr_matrix:
        """Vectors of length 1: float64 [n, d]."""
        encoder = self.title_encoder
        if isinstance(encoder, CharNgramsEncoder):
            return encoder.sparse(titles)
        assert encoder is not None
        rows = encoder.transform(list(titles)).astype(np.float64)
        return sp.csr_matrix(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))

    def save(self, directory: Path) -> None:
        super().save(directory)
        assert self.title_encoder is not None
        self.title_encoder.save(directory / "titles")

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        ranker = super().load(directory, device=device)
        ranker.title_encoder = plugins.load(registry.GROUP, ranker.params.encoder).load(directory / "titles")
        return ranker


class TitleMixParams(TitleKNNParams):
    of: Literal["session-knn", "item-knn"] = Field("session-knn", description="what ranks by the seeds")
    weight: float | None = Field(
        None, ge=0, description="of the title beside the seeds; default: chosen on validation by NDCG@50"
    )


class TitleMix(TitleKNN):
    """Ranks tracks by the neighbours of the seeds and by similar titles, with a weight chosen on validation.

    The scores of both are scaled to a sum of one for each query.

    Without seeds only the title counts, and without a title only the seeds.
    """

    name = "title-mix"
    Params = TitleMixParams

    def fit(self, data: TrainingData) -> Self:
        super().fit(data)
        self._seeds = (SessionKNN if self.params.of == "session-knn" else ItemKNN)().fit(data)
        weight = self.params.weight if self.params.weight is not None else self._chosen(data)
        self.state["weight"] = np.array([weight], np.float32)
        return self

    def _chosen(self, data: TrainingData) -> float:
        """The weight whose ranking of the validation playlists has the best NDCG, the smallest of equals; 0.2 without any."""
        if data.valid is None or not len(data.valid):
            return 0.2
        from toolkit.evaluation.metrics import hits, ndcg_at

        queries, (tracks, offsets), k = data.valid.queries(), data.valid.hidden(), min(50, data.n_items)

        def ndcg(weight: float) -> float:
            self.state["weight"] = np.array([weight], np.float32)
            ranked, _ = self.rank(queries, k)
            return float(np.nanmean(ndcg_at(hits(ranked, tracks, offsets), np.diff(offsets), k)))

        return choose_weight(WEIGHTS, ndcg)

    def scorer(self, queries: Queries) -> Scorer:
        weight = float(self.state["weight"][0])
        by_title, by_seeds = super().scorer(queries), self._seeds.scorer(queries)
        alone = np.where(queries.lengths == 0, 1.0, weight)
        every = np.arange(1, self.n_items + 1)
        scales = [np.zeros(len(queries)) for _ in range(2)]
        for start in range(0, len(every), 16_384):
            for scale, speaker in zip(scales, (by_title, by_seeds), strict=True):
                scale += _told(speaker(every[start : start + 16_384])).sum(axis=1)
        title, seeds = (1 / np.where(scale > 0, scale, 1.0) for scale in scales)

        def score(items: np.ndarray) -> np.ndarray:
            both = _told(by_title(items)) * (alone * title)[:, None] + _told(by_seeds(items)) * seeds[:, None]
            return np.where(both > 0, both, -np.inf).astype(np.float32)

        return score

    def save(self, directory: Path) -> None:
        super().save(directory)
        self._seeds.save(directory / "seeds")

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        ranker = super().load(directory, device=device)
        ranker._seeds = (SessionKNN if ranker.params.of == "session-knn" else ItemKNN).load(directory / "seeds")
        return ranker


def _folded(title: str | None) -> str:
    return " ".join((title or "").lower().split())


def _told(scores: np.ndarray) -> np.ndarray:
    """Scores with nothing for what cannot be ranked: float64."""
    return np.where(np.isneginf(scores), 0.0, scores).astype(np.float64)

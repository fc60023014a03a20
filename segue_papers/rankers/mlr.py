"""Ranker `mlr`, which ranks tracks near a user's plays by a distance learned from plays.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, section 5.2, over bags of
words of audio; McFee and Lanckriet 2010 (`segue_papers.rankers.metric_learning`). The relevant tracks of a track are
the nearest by the cosine of factors, as in McFee, Barrington and Lanckriet 2012. A user's score is the mean similarity
to the user's tracks (section 5.2), with minus half the squared distance as the similarity. That is minus half the
squared distance to the mean of these tracks, and a constant of the user.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from segue_papers.rankers.metric_learning import learn_metric, objective
from toolkit.baselines.baseline import Baseline, State
from toolkit.baselines.sparse_products import minus_inf_outside
from toolkit.coldstart.cold_ranker import COLD_START, FactorParams, concatenated_columns, factors_of
from toolkit.coldstart.factorisation import Factors
from toolkit.contracts.learning import Learning
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.packages import IMPLICIT
from toolkit.ranker import Scorer, TrainingData

LEAST = 3
"""Tracks that are needed to learn a metric."""


class MLRParams(FactorParams):
    """Parameters of the metric.

    - nearest: number of relevant tracks of each track.
    - c: weight of the loss, added to the trace.
    - tracks: maximum number of training tracks for learning the metric.
    - steps: steps of the descent.
    """

    nearest: int = Field(10, ge=1)
    c: float = Field(100.0, gt=0)
    tracks: int = Field(2000, ge=LEAST)
    steps: int = Field(100, ge=1)


class MLR(Baseline):
    """Ranks tracks by a learned distance between their content and the mean content of the seeds.

    State: items float32 [V + 1, r], transformed so that the learned distance is Euclidean, ranked bool [V + 1].
    """

    name = "mlr"
    Params = MLRParams
    requires = (IMPLICIT,)
    capabilities = COLD_START

    def learn(self, data: TrainingData) -> State:
        factors = factors_of(data, self.params.factors)
        columns, present = concatenated_columns(data.modalities, factors.known)
        trained = np.flatnonzero(factors.known & present)
        if len(trained) > self.params.tracks:
            trained = np.sort(np.random.default_rng(data.seed).choice(trained, self.params.tracks, replace=False))
        if len(trained) < LEAST:
            raise InputError(
                f"mlr: {len(trained)} training tracks have content and at least {LEAST} are required: add content"
            )
        relevant = nearest(factors, trained, min(self.params.nearest, len(trained) - 2))  # one at least is not near
        w = learn_metric(columns[trained], relevant, c=self.params.c, steps=self.params.steps)
        # a metric of zero ranks all tracks alike
        found, none = (objective(each, columns[trained], relevant, c=self.params.c)[0] for each in (w, 0 * w))
        self.learning = Learning(found, none)
        values, vectors = np.linalg.eigh(w)
        kept = values > 1e-9 * values.max()
        if not kept.any():
            raise InputError(f"mlr: c={self.params.c:g} results in a metric of zero, which ranks no track: raise c")
        items = columns @ (vectors[:, kept] * np.sqrt(values[kept])).astype(np.float32)
        return {"items": np.asarray(items, np.float32), "ranked": present}

    def layout(self, names: Collection[str]) -> Layout:
        return {"items": floats(TRACKS, "dim"), "ranked": flags(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        items, ranked = self.state["items"], self.state["ranked"]
        seeds = queries.matrix(self.n_items)
        seeds.data *= ranked[seeds.indices]
        counts = np.asarray(seeds.sum(axis=1)).ravel()
        means = np.asarray(seeds @ items, np.float32) / np.maximum(counts, 1)[:, None]

        def score(ids: np.ndarray) -> np.ndarray:
            rows = items[ids]
            # minus half the squared distance, without the term that depends on the user alone
            scores = np.asarray(means @ rows.T - 0.5 * np.square(rows).sum(axis=1), np.float32)
            return minus_inf_outside(scores, counts > 0, ranked[ids])

        return score


def nearest(factors: Factors, tracks: np.ndarray, count: int) -> sp.csr_matrix:
    """Return the `count` nearest other tracks of each track by the cosine of factors: bool [n, n] among `tracks`."""
    rows = factors.items[tracks]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    near = np.empty((len(rows), count), np.int64)
    for start in range(0, len(rows), 1024):
        cosines = rows[start : start + 1024] @ rows.T
        cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -np.inf
        near[start : start + 1024] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    flat = np.sort(near, axis=1).ravel()
    return sp.csr_matrix((np.ones(len(flat), bool), flat, np.arange(len(rows) + 1) * count), (len(rows), len(rows)))

"""EASE, the closed-form linear item model.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data", equation 8; λ = 200 is its setting for the Million
Song Dataset (section 4). The dual form follows from the Woodbury identity. The low-rank form replaces the playlists by
their first singular vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.sparse_products import minus_inf_outside, packed, unpacked
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, flags, floats, integers
from toolkit.corpus.item_similarity import by_item
from toolkit.corpus.queries import Queries
from toolkit.ranker import Capabilities, Scorer, TrainingData

BLOCK_ENTRIES = 8_000_000
"""Entries of dense products with the inverse kernel that are held at once."""


class EASEParams(BaselineParams):
    regularisation: float = Field(200.0, gt=0, description="λ of the ridge regression")
    form: Literal["auto", "primal", "dual", "low-rank"] = Field(
        "auto", description="auto: the exact form with the smaller matrix, or low-rank if that matrix exceeds max_size"
    )
    max_size: int = Field(
        12_000,
        ge=1,
        description="largest matrix to invert; 12,000 takes three matrices of 1.2 GB in double precision",
    )
    rank: int = Field(256, ge=1, description="number of singular vectors in the low-rank form")


class EASE(Baseline):
    """Ranks tracks by EASE, a linear item-item model with a closed-form solution.

    Score of track j: the sum over seeds i of B[i, j], with B = I - P / diag(P) and P = (XᵀX + λI)⁻¹.

    X is the matrix of training playlists. If there are fewer playlists than played tracks, P is kept in its dual form
    (I - Xᵀ(XXᵀ + λI)⁻¹X) / λ and B is never computed. If both numbers exceed `max_size`, X is replaced by its best
    approximation of rank `rank`, the only form that is not exact. Unplayed tracks cannot be ranked (-inf). If all seeds
    are unplayed, no track can be ranked.
    """

    name = "ease"
    capabilities = Capabilities(deterministic=True)
    Params = EASEParams
    grid = {"regularisation": [10.0, 30.0, 100.0, 200.0, 500.0, 1000.0]}

    def learn(self, data: TrainingData) -> State:
        plays = data.train.matrix().astype(np.float64)
        played = np.flatnonzero(np.diff(plays.tocsc().indptr))
        form, regularisation = self._form(plays.shape[0], len(played)), self.params.regularisation
        if form == "low-rank":
            return _low_rank(plays, regularisation, self.params.rank, data.seed)
        return _dual(plays, regularisation) if form == "dual" else _primal(plays, played, regularisation)

    def _form(self, playlists: int, tracks: int) -> str:
        if self.params.form != "auto":
            return str(self.params.form)
        if min(playlists, tracks) > self.params.max_size:
            return "low-rank"
        return "dual" if playlists < tracks else "primal"

    @property
    def form(self) -> str:
        """Form of the fitted state: primal, dual or low-rank."""
        return "low-rank" if "factor" in self.state else "dual" if "kernel" in self.state else "primal"

    def layout(self, names: Collection[str]) -> Layout:
        if "factor" in names:
            return {"factor": floats(TRACKS, "rank"), "rest": floats(TRACKS), "played": flags(TRACKS)}
        if "kernel" in names:
            plays = Sparse(TRACKS, "playlists")
            return {"kernel": floats("playlists", "playlists"), "rest": floats(TRACKS), "plays": plays}
        return {
            "weights": floats("played", "played"),
            "place": integers(TRACKS, least=-1, below="played"),
            "played": integers("played", least=1, below=TRACKS),
        }

    def scorer(self, queries: Queries) -> Scorer:
        seeds = queries.matrix(self.n_items)
        scorers = {"low-rank": _low_rank_scorer, "dual": _dual_scorer, "primal": _primal_scorer}
        return scorers[self.form](self.state, seeds)


def _low_rank(plays: sp.csr_matrix, regularisation: float, rank: int, seed: int) -> State:
    """Return F with P = (I - FFᵀ) / λ, float32 [V + 1, r]: the right singular vectors times s / sqrt(s² + λ)."""
    from scipy.sparse.linalg import svds

    rank = min(rank, min(plays.shape) - 1)
    _, values, axes = svds(plays, k=rank, v0=np.random.default_rng(seed).standard_normal(min(plays.shape)))
    factor = axes.T * (values / np.sqrt(values**2 + regularisation))
    rest = 1.0 - np.square(factor).sum(axis=1)
    played = np.diff(plays.tocsc().indptr) > 0
    return {"factor": factor.astype(np.float32), "rest": rest.astype(np.float32), "played": played}


def _low_rank_scorer(state: State, seeds: sp.csr_matrix) -> Scorer:
    factor, played = state["factor"], state["played"]
    weights, known = np.asarray(seeds @ factor), seeds @ played.astype(np.float32) != 0
    return _rest_scorer(lambda items: weights @ factor[items].T, seeds, state["rest"], known, played)


def _dual(plays: sp.csr_matrix, regularisation: float) -> State:
    """Return the inverse kernel K = (XXᵀ + λI)⁻¹ float32 [P, P], and 1 - xⱼᵀ K xⱼ [V + 1], λ times P's diagonal."""
    kernel = _inverse((plays @ plays.T).toarray(), regularisation)
    rows = by_item(plays)
    rest = np.ones(plays.shape[1])
    step = max(1, BLOCK_ENTRIES // len(kernel))
    for start in range(0, plays.shape[1], step):
        part = rows[start : start + step]
        rest[start : start + step] -= np.asarray(part.multiply(part @ kernel).sum(axis=1)).ravel()
    arrays = {"kernel": kernel.astype(np.float32), "rest": rest.astype(np.float32)}
    return arrays | packed(rows.astype(np.float32), "plays")


def _dual_scorer(state: State, seeds: sp.csr_matrix) -> Scorer:
    plays = unpacked(state, "plays")
    shared = seeds @ plays
    weights = shared.toarray() @ state["kernel"]  # (B, P)
    known, played = np.diff(shared.indptr) > 0, np.diff(plays.indptr) > 0
    return _rest_scorer(lambda items: (plays[items] @ weights.T).T, seeds, state["rest"], known, played)


def _rest_scorer(
    products: Callable[[np.ndarray], np.ndarray],
    seeds: sp.csr_matrix,
    rest: np.ndarray,
    known: np.ndarray,
    played: np.ndarray,
) -> Scorer:
    """Return a scorer by B[i, j] = (Qᵢⱼ - [i = j] Qⱼⱼ) / (1 - Qⱼⱼ), where P = (I - Q) / λ, so B's diagonal is zero.

    - products: sums of Qᵢⱼ over the seeds i: items int [n] -> float32 [B, n].
    - seeds: seeds of each query, [B, V + 1].
    - rest: 1 - Qⱼⱼ, float32 [V + 1].
    - known: queries with a played seed, bool [B].
    - played: bool [V + 1].
    """
    own = seeds.tocsc()

    def score(items: np.ndarray) -> np.ndarray:
        itself = own[:, items].multiply(1.0 - rest[items][None, :])
        scores = np.asarray((products(items) - itself) / rest[items][None, :], np.float32)
        return minus_inf_outside(scores, known, played[items])

    return score


def _primal(plays: sp.csr_matrix, played: np.ndarray, regularisation: float) -> State:
    """Return B over the played tracks alone, float32 [m, m], and each track's row in B, -1 for unplayed tracks."""
    columns = plays.tocsc()[:, played]
    weights = _inverse((columns.T @ columns).toarray(), regularisation)
    weights /= -np.diag(weights).copy()[None, :]
    np.fill_diagonal(weights, 0.0)
    place = np.full(plays.shape[1], -1, np.int64)
    place[played] = np.arange(len(played))
    return {"weights": weights.astype(np.float32), "place": place, "played": played.astype(np.int64)}


def _primal_scorer(state: State, seeds: sp.csr_matrix) -> Scorer:
    shown = seeds.tocsc()[:, state["played"]].tocsr()
    weights, place, known = state["weights"], state["place"], np.diff(shown.indptr) > 0

    def score(items: np.ndarray) -> np.ndarray:
        rows = place[items]  # the last column stands in for -1, and is masked
        return minus_inf_outside(np.asarray(shown @ weights[:, rows], np.float32), known, rows >= 0)

    return score


def _inverse(gram: np.ndarray, regularisation: float) -> np.ndarray:
    """Return (gram + λI)⁻¹ in double precision. Overwrites `gram`."""
    from scipy.linalg import cholesky
    from scipy.linalg.lapack import dpotri

    gram[np.diag_indices_from(gram)] += regularisation
    lower, _ = dpotri(cholesky(gram, lower=True, overwrite_a=True, check_finite=False), lower=1, overwrite_c=1)
    return np.asarray(lower + np.tril(lower, -1).T)

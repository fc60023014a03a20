"""How much of what tracks are called lies in their vectors: tags predicted from them, and the area under the curve of each tag.

Sources: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, section 5.4: logistic regression on factors
and on bags of words for the 50 commonest tags, ten folds, AUC averaged over tags. Lee et al., "Deep content-user embedding model for
music recommendation", 2018: a network of two layers over vectors, 70 % of the tracks to learn from, 10 % to stop by, 20 % to test.

Where this is not the papers': the penalty of the regression, which none of them gives, is one for all tags, of columns brought to
deviation one; AUC of tags that a fold's tracks all or none have is left out of its mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolkit.errors import InputError
from toolkit.seeds import derived_seed

Method = Literal["logistic", "mlp"]
FOLDS = 10
PENALTY = 1.0
"""Of squared weights, against the sum of the tracks' losses: scikit-learn's C is one over it."""
HIDDEN, EPOCHS, PATIENCE, BATCH, RATE = 256, 200, 10, 128, 1e-3


@dataclass(frozen=True)
class TagScores:
    """auc: float64 [t], of each tag, the mean over folds; NaN where no fold can measure it. tested: tracks whose tags were predicted."""

    auc: np.ndarray
    tested: int

    @property
    def mean(self) -> float:
        """Over tags; NaN where none can be measured."""
        return float(np.nanmean(self.auc)) if np.isfinite(self.auc).any() else float("nan")


def predict_tags(vectors: np.ndarray, tags: np.ndarray, *, method: Method, seed: int) -> TagScores:
    """Tags of held-out rows by those of others. vectors: float [n, d]. tags: [n, t] of zeros and ones.

    Raises `InputError` for fewer rows than folds.
    """
    if len(vectors) < 2 * FOLDS:
        raise InputError(
            f"tags: {len(vectors)} tracks have both vectors and tags, {2 * FOLDS} are needed for {FOLDS} folds"
        )
    order = np.random.default_rng(derived_seed(seed, "tags", len(vectors))).permutation(len(vectors))
    if method == "mlp":
        first, second = int(0.7 * len(order)), int(0.8 * len(order))
        found = _network(
            vectors, tags, order[:first], order[first:second], order[second:], derived_seed(seed, "tags", "network")
        )
        return TagScores(areas(found, tags[order[second:]]), len(order) - second)
    each = []
    for fold in range(FOLDS):
        asked = order[fold::FOLDS]
        taught = np.setdiff1d(order, asked)
        each.append(areas(_logistic(vectors, tags, taught, asked), tags[asked]))
    return TagScores(_mean(np.stack(each)), len(order))


def areas(scores: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each column: float64 [t]; ties count half; NaN where all rows are alike."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    have = tags.astype(bool)
    positive, negative = have.sum(axis=0), (~have).sum(axis=0)
    above = (ranks * have).sum(axis=0) - positive * (positive + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(positive * negative > 0, above / (positive * negative), np.nan))


def _mean(each: np.ndarray) -> np.ndarray:
    """Mean over the folds that could measure: [folds, t] -> [t]."""
    counts = np.isfinite(each).sum(axis=0)
    return np.where(counts > 0, np.nansum(each, axis=0) / np.maximum(counts, 1), np.nan)


def _scaled(vectors: np.ndarray, taught: np.ndarray) -> np.ndarray:
    mean, deviation = vectors[taught].mean(axis=0), vectors[taught].std(axis=0)
    return np.asarray((vectors - mean) / np.where(deviation > 1e-9, deviation, 1), np.float32)


def _logistic(vectors: np.ndarray, tags: np.ndarray, taught: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Scores [asked, t]: all tags' regressions at once, by L-BFGS."""
    from scipy.optimize import minimize
    from scipy.special import expit

    x = _scaled(vectors, taught).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    own, wanted = x[taught], tags[taught].astype(np.float64)
    shape = (x.shape[1], tags.shape[1])
    shrunk = np.ones(shape)
    shrunk[-1] = 0

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        logits = own @ weights
        value = (np.logaddexp(0, logits) - wanted * logits).sum() + 0.5 * PENALTY * (shrunk * weights**2).sum()
        slope = own.T @ (expit(logits) - wanted) + PENALTY * shrunk * weights
        return float(value), slope.ravel()

    best = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(x[asked] @ best.x.reshape(shape))


def _network(
    vectors: np.ndarray, tags: np.ndarray, taught: np.ndarray, stop: np.ndarray, asked: np.ndarray, seed: int
) -> np.ndarray:
    """Scores [asked, t] of two dense layers, as they were when the rows `stop` were predicted best."""
    import torch
    from torch import nn

    from toolkit.encoders.learning.autoencoder import seeded

    x, y = torch.from_numpy(_scaled(vectors, taught)), torch.from_numpy(np.asarray(tags, np.float32))
    model = seeded(lambda: nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, y.shape[1])), seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    rows, held = torch.from_numpy(taught), torch.from_numpy(stop)
    least, waited, found = float("inf"), 0, np.zeros((len(asked), y.shape[1]))
    for _ in range(EPOCHS):
        for part in rows[torch.randperm(len(rows), generator=generator)].split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.binary_cross_entropy_with_logits(model(x[part]), y[part]).backward()
            optimizer.step()
        with torch.inference_mode():
            value = float(nn.functional.binary_cross_entropy_with_logits(model(x[held]), y[held]))
            waited = 0 if value < least else waited + 1
            if value < least:
                least, found = value, model(x[torch.from_numpy(asked)]).numpy()
        if waited == PATIENCE:
            break
    return found

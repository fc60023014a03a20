"""Tag prediction from track vectors by a simple classifier, measured by the AUC of each tag.

Sources: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, section 5.1: logistic
regression on factors and on bags of words for the 50 most frequent tags, ten folds, AUC averaged over tags. Lee et al.,
"Deep content-user embedding model for music recommendation", 2018: a network of two layers over vectors, with 70 % of
the tracks for training, 10 % for early stopping and 20 % for the test.

Differences from the papers: the penalty of the regression, which neither paper states, is the same for all tags, with
columns scaled to a standard deviation of one. A fold with only positive or only negative tracks for a tag is left out
of the tag's mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolkit.errors import InputError
from toolkit.seeds import derived_seed, seeded_weights

Method = Literal["logistic", "mlp"]
FOLDS = 10
PENALTY = 1.0
"""Weight of the squared weights, added to the sum of the tracks' losses: 1 / C of scikit-learn."""
HIDDEN, EPOCHS, PATIENCE, BATCH, RATE = 256, 200, 10, 128, 1e-3
RESAMPLES = 200
"""Bootstrap resamples of the tested tracks for an interval."""


@dataclass(frozen=True)
class TagScores:
    """Results of a tag prediction.

    - auc: float64 [t], the mean over folds for each tag; NaN if no fold can measure the tag.
    - tested: number of tracks with predicted tags.
    - interval: 95 % bootstrap interval of the mean over tags, by resampling the tested tracks.
    """

    auc: np.ndarray
    tested: int
    interval: tuple[float, float]

    @property
    def mean(self) -> float:
        """Mean over tags; NaN if no tag can be measured."""
        return _mean(self.auc)


def predict_tags(vectors: np.ndarray, tags: np.ndarray, *, method: Method, seed: int) -> TagScores:
    """Predict the tags of held-out tracks from the tags of other tracks.

    - vectors: float [n, d].
    - tags: zeros and ones [n, t].
    - method: `logistic` regression with ten folds, or `mlp`, a network with one split.

    Raises `InputError` if there are fewer than two tracks for each fold.
    """
    if len(vectors) < 2 * FOLDS:
        raise InputError(
            f"tags: {len(vectors)} tracks have both vectors and tags, but {FOLDS} folds require at least {2 * FOLDS}:"
            " add tags of more tracks"
        )
    order = np.random.default_rng(derived_seed(seed, "tags", len(vectors))).permutation(len(vectors))
    if method == "mlp":
        first, second = int(0.7 * len(order)), int(0.8 * len(order))
        parts = order[:first], order[first:second], order[second:]
        scores = _network(vectors, tags, *parts, derived_seed(seed, "tags", "network"))
        return _measured([(scores, tags[parts[2]])], seed)
    folds = [order[fold::FOLDS] for fold in range(FOLDS)]
    return _measured([(_logistic(vectors, tags, np.setdiff1d(order, test), test), tags[test]) for test in folds], seed)


def predict_new(
    vectors: np.ndarray, tags: np.ndarray, fitted: np.ndarray, tested: np.ndarray, *, method: Method, seed: int
) -> TagScores:
    """Predict the tags of new tracks from the tags of training tracks.

    - vectors, tags, method: see `predict_tags`.
    - fitted, tested: rows of training tracks and of new tracks, int64. One training track in eight stops the network.
    """
    if method == "logistic":
        return _measured([(_logistic(vectors, tags, fitted, tested), tags[tested])], seed)
    order = np.random.default_rng(derived_seed(seed, "tags", "new")).permutation(fitted)
    stop = max(1, len(order) // 8)
    scores = _network(vectors, tags, order[stop:], order[:stop], tested, derived_seed(seed, "tags", "network"))
    return _measured([(scores, tags[tested])], seed)


def _measured(folds: list[tuple[np.ndarray, np.ndarray]], seed: int) -> TagScores:
    """Return the results of folds, each with scores and tags [n, t] of its tested tracks."""
    rng = np.random.default_rng(derived_seed(seed, "tags", "interval"))
    means = []
    for _ in range(RESAMPLES):
        drawn = [rng.integers(len(scores), size=len(scores)) for scores, _ in folds]
        resampled = [(scores[rows], tags[rows]) for rows, (scores, tags) in zip(drawn, folds, strict=True)]
        means.append(_mean(_by_tag(resampled)))
    found = np.array(means)[np.isfinite(means)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (np.nan, np.nan)
    return TagScores(_by_tag(folds), sum(len(scores) for scores, _ in folds), (float(low), float(high)))


def _by_tag(folds: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the mean AUC of each tag over folds, NaN for a tag that no fold measures."""
    by_fold = [areas(*fold) for fold in folds]
    measured = np.isfinite(by_fold).sum(axis=0)
    means = np.nansum(by_fold, axis=0) / np.maximum(measured, 1)
    return np.asarray(np.where(measured > 0, means, np.nan))


def _mean(auc: np.ndarray) -> float:
    return float(np.nanmean(auc)) if np.isfinite(auc).any() else float("nan")


def areas(scores: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each column: float64 [t].

    Ties count half. The area is NaN if all rows of a column are identical.
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    have = tags.astype(bool)
    positive, negative = have.sum(axis=0), (~have).sum(axis=0)
    above = (ranks * have).sum(axis=0) - positive * (positive + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(positive * negative > 0, above / (positive * negative), np.nan))


def _scaled(vectors: np.ndarray, train: np.ndarray) -> np.ndarray:
    mean, deviation = vectors[train].mean(axis=0), vectors[train].std(axis=0)
    return np.asarray((vectors - mean) / np.where(deviation > 1e-9, deviation, 1), np.float32)


def _logistic(vectors: np.ndarray, tags: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return scores [test, t] of logistic regressions, fitted for all tags at once by L-BFGS."""
    from scipy.optimize import minimize
    from scipy.special import expit

    x = _scaled(vectors, train).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    inputs, targets = x[train], tags[train].astype(np.float64)
    shape = (x.shape[1], tags.shape[1])
    shrunk = np.ones(shape)
    shrunk[-1] = 0  # the intercept is not penalised

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        logits = inputs @ weights
        value = (np.logaddexp(0, logits) - targets * logits).sum() + 0.5 * PENALTY * (shrunk * weights**2).sum()
        slope = inputs.T @ (expit(logits) - targets) + PENALTY * shrunk * weights
        return float(value), slope.ravel()

    best = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(x[test] @ best.x.reshape(shape))


def _network(
    vectors: np.ndarray, tags: np.ndarray, train: np.ndarray, stop: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """Return scores [test, t] of two dense layers, after the epoch with the lowest loss on the rows `stop`."""
    import torch
    from torch import nn

    x, y = torch.from_numpy(_scaled(vectors, train)), torch.from_numpy(np.asarray(tags, np.float32))
    model = seeded_weights(
        lambda: nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, y.shape[1])), seed
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    rows, held = torch.from_numpy(train), torch.from_numpy(stop)
    least, waited, scores = float("inf"), 0, np.zeros((len(test), y.shape[1]))
    for _ in range(EPOCHS):
        for part in rows[torch.randperm(len(rows), generator=generator)].split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.binary_cross_entropy_with_logits(model(x[part]), y[part]).backward()
            optimizer.step()
        with torch.inference_mode():
            value = float(nn.functional.binary_cross_entropy_with_logits(model(x[held]), y[held]))
            waited = 0 if value < least else waited + 1
            if value < least:
                least, scores = value, model(x[torch.from_numpy(test)]).numpy()
        if waited == PATIENCE:
            break
    return scores

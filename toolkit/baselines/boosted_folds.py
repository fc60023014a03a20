"""Gradient-boosted trees for each fold of the validation playlists, trained on the candidates of the other folds.

Burges 2010, "From RankNet to LambdaRank to LambdaMART: an overview"; trees by LightGBM (Ke et al. 2017, MIT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from toolkit.baselines.candidates import Candidates
from toolkit.corpus.splits import HeldOut

if TYPE_CHECKING:
    from toolkit.baselines.two_stage import TwoStageParams

Examples = tuple[np.ndarray, np.ndarray, np.ndarray]


def training_examples(
    valid: HeldOut, blocks: Callable[[], Iterator[Candidates]], width: int, *, max_rows: int, seed: int
) -> Examples:
    """Return the candidates of the validation playlists to train on, all hidden ones and a sample of the others.

    - blocks: the candidates of all playlists, in order.
    - width: V + 1.
    - max_rows: approximate number of candidates to keep, spread evenly over playlists.

    Returns features float32 [n, f], whether each candidate is hidden, uint8 [n], and the number of kept candidates of
    each playlist, int64 [B].
    """
    tracks, offsets = valid.hidden()
    hidden = np.repeat(np.arange(len(valid)), np.diff(offsets)) * width + tracks
    share, draw = max_rows / len(valid), np.random.default_rng(seed)
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    sizes = np.zeros(len(valid), np.int64)
    for block in blocks():
        hit = np.isin(block.row * width + block.item, hidden)
        count = np.bincount(block.row, minlength=len(valid))[block.row]
        keep = hit | (draw.random(len(hit)) < share / count)
        sizes += np.bincount(block.row[keep], minlength=len(valid))
        kept.append((block.features[keep], hit[keep].astype(np.uint8)))
    return np.concatenate([part for part, _ in kept]), np.concatenate([hit for _, hit in kept]), sizes


def boost_folds(examples: Examples, fold_of: np.ndarray, params: TwoStageParams, *, seed: int) -> list[str]:
    """Return the trees of each fold as LightGBM's text, trained on the other folds.

    All folds have the same number of trees, the number that is best on average on the left-out folds.

    - examples: as returned by `training_examples`.
    - fold_of: fold of each playlist, int64 [B].
    """
    import lightgbm

    features, hits, sizes = examples
    rows = np.repeat(np.arange(len(sizes)), sizes)
    data = lightgbm.Dataset(features, label=hits, group=sizes[sizes > 0], free_raw_data=True)
    parts = [
        (np.flatnonzero(fold_of[rows] != fold), np.flatnonzero(fold_of[rows] == fold))
        for fold in range(int(fold_of.max()) + 1)
    ]
    settings = {
        "objective": params.objective,
        "metric": "ndcg",
        "eval_at": [50],
        "lambdarank_truncation_level": 100,
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": params.min_leaf,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    stop = lightgbm.early_stopping(params.patience, verbose=False)
    result = lightgbm.cv(settings, data, params.rounds, folds=parts, callbacks=[stop], return_cvbooster=True)
    folds = result["cvbooster"]
    assert isinstance(folds, lightgbm.CVBooster)
    return [booster.model_to_string(num_iteration=folds.best_iteration) for booster in folds.boosters]


def assign_folds(groups: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return a fold 0…n − 1 for each playlist: int64 [n playlists].

    The folds have similar sizes, and all playlists of a group are in the same fold.
    """
    names, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n = min(n, len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(n), np.zeros(len(names), np.int64)
    for name in order:
        fold[name] = np.argmin(filled)
        filled[fold[name]] += sizes[name]
    return fold[index]

"""Sequential model with the weighted scores of a cold-start system added.

A transformer represents a played track by its free id, which an unplayed track does not have. For unplayed tracks its
scores are worse than those of a system that predicts factors, but the errors of the two differ between playlists. The
system is fitted separately. It uses fitted factors for played tracks and predicted factors for cold tracks, so a weight
learned in training would reflect the fitted factors and not the predictions. The weight is therefore chosen on the
validation playlists.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import UNREADABLE, RunDirectoryError, first_line
from toolkit.evaluation.choose_weight import choose_weight, sample_evenly
from toolkit.files import parsed_json, write_json
from toolkit.ranker import FitInputs, Ranker, Scorer, TrainingData
from toolkit.ranker_registry import entry_name, load_ranker
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import distributed

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Candidates, in units of the spread of the model's scores over the spread of the system's."""

CHOSEN_ON = 1000
"""At most this many validation playlists choose the weight."""

SPREAD_ON = 64
"""At most this many of them measure the spreads."""

ADVICE = "advice"
"""Folder of the system within the model's."""


class AdvisedRanker(SequentialRanker):
    """Ranks tracks by a sequential model plus a cold-start system, with a weight chosen on validation.

    `fit` reads the fitted `spec.cold_system` from `data.systems`. Tracks that the system cannot rank keep the model's
    score. `fit` raises `InputError` without that system or without validation playlists.

    - advice: the cold-start system.
    - weight: factor of its scores.
    """

    name = "advised"
    capabilities = replace(SequentialRanker.capabilities, systems=True)
    advice: Ranker | None = None
    weight: float = 0.0

    def fit(self, data: TrainingData) -> Self:
        self.advice = None
        super().fit(data)
        if distributed.current().leads:
            assert data.valid is not None, "checked by input_problem"
            self._weight_advice(data.systems[self.spec.cold_system or ""], data.valid)
        return self

    def input_problem(self, inputs: FitInputs) -> str:
        name = self.spec.cold_system or ""
        if name not in inputs.systems:
            return (
                f"cold_system={name!r} must be a fitted system (one of: {', '.join(inputs.systems) or 'none'}):"
                f" add {name!r} to the recipe's baselines, or call fit(…, systems=[…])"
            )
        if not inputs.valid:
            return f"cold_system={name!r} requires validation playlists, but there are 0: remove cold_system"
        return super().input_problem(inputs)

    def _weight_advice(self, advice: Ranker, valid: HeldOut) -> None:
        """Set the weight with the best ranking on validation playlists. Ties are broken by the smaller weight."""
        from toolkit.evaluation.evaluator import evaluate

        chosen_on = sample_evenly(valid, CHOSEN_ON)
        queries, every = sample_evenly(chosen_on, SPREAD_ON).queries(), np.arange(1, self.n_items + 1)
        unit = _spread(self.score(queries, every)) / max(_spread(advice.score(queries, every)), 1e-12)
        self.advice = advice
        metric, _, k = self.spec.select.partition("@")

        def value(weight: float) -> float:
            self.weight = weight * unit
            values = evaluate(self, chosen_on, ks=[int(k)], metrics=[metric], train_counts=self.played).values
            return float(np.nanmean(values["all", metric, int(k)]))

        self.weight = choose_weight(WEIGHTS, value, decimals=9) * unit

    @property
    def _uses_neighbours(self) -> bool:
        # neither is a product with item rows, which is all that the search for the nearest computes
        return self.advice is not None or super()._uses_neighbours

    def scorer(self, queries: Queries) -> Scorer:
        own = super().scorer(queries)
        if self.advice is None:
            return own
        advised, weight = self.advice.scorer(queries), np.float32(self.weight)

        def score(items: np.ndarray) -> np.ndarray:
            scores = advised(items)
            return own(items) + weight * np.where(np.isfinite(scores), scores, np.float32(0))

        return score

    def save(self, directory: Path) -> None:
        super().save(directory)
        assert self.advice is not None
        self.advice.save(directory / ADVICE)
        about = {"ranker": entry_name(self.advice), "weight": self.weight}
        write_json(directory / f"{ADVICE}.json", about)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        ranker = super().load(directory, device=device)
        try:
            about = parsed_json(directory / f"{ADVICE}.json")
            ranker.advice = load_ranker(str(about["ranker"]), directory / ADVICE, device=device)
            ranker.weight = float(about["weight"])
            if ranker.advice.n_items != ranker.n_items:
                raise ValueError(f"its system ranks {ranker.advice.n_items:,} tracks, not {ranker.n_items:,}")
        except UNREADABLE as error:
            raise RunDirectoryError(
                f"{directory} is not a readable model ({first_line(error)}): delete the folder and train the model"
                " again"
            ) from None
        return ranker


def _spread(scores: np.ndarray) -> float:
    """Return the mean over playlists of the standard deviation of finite scores [B, n]."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    kept = finite[np.isfinite(finite).any(axis=1)]
    return float(np.nanstd(kept, axis=1).mean()) if len(kept) else 0.0

"""A sequential model combined with a cold-start system: the system's scores are added to the model's, with one weight.

A transformer knows the tracks of a playlist by their free ids, and a track without plays does not have one. Its
predictions for such tracks are worse than those of a system that is made to predict factors, but the two err on
different playlists. The system is fitted next to the model, not inside it. For played tracks it has the factors
themselves: a weight learned in training would reward what the system knows, but cold tracks need it for what it
predicts. The weight is therefore chosen on the validation playlists.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.evaluation.choose_weight import choose_weight, sample_evenly
from toolkit.ranker import Ranker, Scorer, TrainingData
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

    `fit` takes the fitted `spec.cold_system` from `data.systems`. Nothing is added to the score of a track that the
    system cannot rank. `fit` raises `InputError` without that system or without validation playlists.

    - advice: the system. weight: factor of its scores.
    """

    name = "advised"
    capabilities = replace(SequentialRanker.capabilities, systems=True)
    advice: Ranker | None = None
    weight: float = 0.0

    def fit(self, data: TrainingData) -> Self:
        name, valid = self.spec.cold_system or "", data.valid
        if name not in data.systems:
            raise InputError(
                f"cold_system={name!r} is not among the fitted systems ({', '.join(data.systems) or 'none'}):"
                " add it to the recipe's baselines, or call fit(…, systems=[…])"
            )
        if valid is None or not len(valid):
            raise InputError("cold_system is weighed on validation playlists and there are none: take it out")
        self.advice = None
        super().fit(data)
        if distributed.current().leads:
            self._weight_advice(data.systems[name], valid)
        return self

    def _weight_advice(self, advice: Ranker, valid: HeldOut) -> None:
        """Keep the weight whose ranking of validation playlists is best, the smallest of equals."""
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
        (directory / f"{ADVICE}.json").write_text(json.dumps(about, indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        ranker = super().load(directory, device=device)
        about = json.loads((directory / f"{ADVICE}.json").read_text())
        ranker.advice = load_ranker(about["ranker"], directory / ADVICE, device=device)
        ranker.weight = float(about["weight"])
        return ranker


def _spread(scores: np.ndarray) -> float:
    """Mean over playlists of the standard deviation of their finite scores [B, n]."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    kept = finite[np.isfinite(finite).any(axis=1)]
    return float(np.nanstd(kept, axis=1).mean()) if len(kept) else 0.0

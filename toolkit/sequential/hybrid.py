"""A sequential model combined with a cold-start system: the system's score of each track is added to the model's, with one weight.

A transformer knows the tracks of a playlist by their free ids, and a track without plays does not have one. Its predictions for such tracks
are worse than those of a system that is made to predict factors, but the two err on different playlists. The system is fitted next to the
model, not inside it. For played tracks it has the factors themselves: a weight learned in training would reward what the system knows, but
cold tracks need it for what it predicts. The weight is therefore chosen on the validation playlists.
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
from toolkit.ranker import Ranker, Scorer, TrainingData
from toolkit.ranker_registry import entry_name, load_ranker
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import distributed

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Tried, in units of how far the model's scores of all tracks lie apart for a playlist, over how far the system's do."""

CHOSEN_ON = 1000
"""Validation playlists by which it is chosen, at most."""

SPREAD_ON = 64
"""Of those, playlists by which both spreads are measured."""

ADVICE = "advice"
"""Where in the model's folder the system is kept."""


class AdvisedRanker(SequentialRanker):
    """Ranks tracks by a sequential model plus a cold-start system, with a weight chosen on validation.

    `fit` takes the fitted `spec.cold_system` from `data.systems`.

    Nothing is added to the score of a track that the system cannot rank. `fit` raises `InputError` without that system or without
    validation playlists.
    """

    name = "advised"
    capabilities = replace(SequentialRanker.capabilities, systems=True)
    advice: Ranker | None = None
    weight: float = 0.0
    """Of the system's scores as they are."""

    def fit(self, data: TrainingData) -> Self:
        wanted, valid = self.spec.cold_system or "", data.valid
        if wanted not in data.systems:
            raise InputError(
                f"cold_system={wanted!r} is not among the fitted systems ({', '.join(data.systems) or 'none'}): give it"
            )
        if valid is None or not len(valid):
            raise InputError("cold_system is weighed on validation playlists and there are none: take it out")
        self.advice = None
        super().fit(data)
        if distributed.current().leads:
            self._hear(data.systems[wanted], valid)
        return self

    def _hear(self, advice: Ranker, valid: HeldOut) -> None:
        """Keep the weight whose ranking of validation playlists is best, the smallest of equals."""
        from toolkit.evaluation.evaluator import evaluate

        asked = valid.take(np.unique(np.linspace(0, len(valid) - 1, min(len(valid), CHOSEN_ON)).astype(int)))
        some = asked.take(np.unique(np.linspace(0, len(asked) - 1, min(len(asked), SPREAD_ON)).astype(int))).queries()
        every = np.arange(1, self.n_items + 1)
        unit = _spread(self.score(some, every)) / max(_spread(advice.score(some, every)), 1e-12)
        self.advice = advice
        name, _, k = self.spec.select.partition("@")
        reached = []
        for weight in WEIGHTS:
            self.weight = weight * unit
            values = evaluate(self, asked, ks=[int(k)], metrics=[name], train_counts=self.played).values
            reached.append(float(np.nanmean(values["all", name, int(k)])))
        self.weight = WEIGHTS[int(np.argmax(np.round(reached, 9)))] * unit

    @property
    def _hears_neighbours(self) -> bool:
        # neither is a product with item rows that the search for the nearest knows
        return self.advice is not None or super()._hears_neighbours

    def scorer(self, queries: Queries) -> Scorer:
        own = super().scorer(queries)
        if self.advice is None:
            return own
        said, weight = self.advice.scorer(queries), np.float32(self.weight)

        def score(items: np.ndarray) -> np.ndarray:
            told = said(items)
            return own(items) + weight * np.where(np.isfinite(told), told, np.float32(0))

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
        ranker.advice, ranker.weight = (
            load_ranker(about["ranker"], directory / ADVICE, device=device),
            float(about["weight"]),
        )
        return ranker


def _spread(scores: np.ndarray) -> float:
    """Mean over playlists of the standard deviation of their finite scores [B, n]."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    kept = finite[np.isfinite(finite).any(axis=1)]
    return float(np.nanstd(kept, axis=1).mean()) if len(kept) else 0.0

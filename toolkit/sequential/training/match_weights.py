"""Separate fit of the match head's weights before all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from toolkit.seeds import derived_seed
from toolkit.sequential.training.training_steps import TrainingSteps

STEPS = 60
LEARNING_RATE = 0.1
"""A handful of convex parameters: they have converged after a few dozen steps."""


def fit_match_weights(steps: TrainingSteps, seed: int) -> None:
    """Fit the match weights and the popularity weight alone, as a linear model.

    If they are learned together with free ids, they vanish on playlists that the ids have memorised. New tracks, which
    have no trained id, would then have no evidence.
    """
    space = steps.network.space
    seed = derived_seed(seed, "match")
    linear = [*steps.held, *([] if space.popularity is None else [space.popularity])]
    optimizer = torch.optim.Adam(linear, lr=LEARNING_RATE)
    objective = replace(steps.objective, linear=True)
    steps.network.train()
    for number, batch in zip(range(STEPS), steps.batches(np.random.default_rng(seed)), strict=False):
        optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(derived_seed(seed, number))
        step = steps.scored(batch, objective)
        scores = replace(step.scores, table=step.scores.table.detach())
        steps.backward(replace(step, scores=scores), batch, linear)
        optimizer.step()

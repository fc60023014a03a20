"""Check that a sequential network has learned more than the popularity of tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from toolkit.contracts.learning import Learning, effective_rank
from toolkit.encoders.learning.weight_distance import WeightStart
from toolkit.modality import Modality
from toolkit.seeds import derived_seed
from toolkit.sequential.training.objectives import ALONE

if TYPE_CHECKING:
    from toolkit.sequential.training.batches import Batch
    from toolkit.sequential.training.training_steps import TrainingSteps

BATCHES, POSITIONS = 8, 1024
"""Largest numbers of batches, and of targets of each batch, on which the loss is measured."""


def start(steps: TrainingSteps) -> WeightStart:
    """Return the weights that training changes, before the first step."""
    return WeightStart(_trained(steps))


def learning(steps: TrainingSteps, start: WeightStart, *, seed: int) -> Learning:
    """Return the record of a training, with the loss of the current weights on a few of its batches, without dropout.

    The constant prediction scores each track by its share of the training plays. It is measured on the same targets.
    Only the cross-entropy of a softmax over all trained tracks is compared with it.
    """
    moved = start.distance(_trained(steps))
    if not steps.spec.loss.cross_entropy:
        return Learning(moved=moved)
    loss = constant = count = 0.0
    plays = torch.from_numpy(steps.train.counts().astype(np.float64))
    surprise = -(plays / plays.sum()).log()
    device = torch.device(steps.device)
    seed = derived_seed(seed, "check")
    # masks draw from torch's global generators
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(seed)
        for batch in islice(steps.batches(np.random.default_rng(seed)), BATCHES):
            part = _part(batch)
            step = steps.scored(part, processes=ALONE)
            if not len(step.targets):
                continue
            tracks = steps.network.space.candidates[step.targets].cpu()
            loss += float(steps.criterion(step.scores, step.targets)) * len(tracks)
            constant, count = constant + float(surprise[tracks].sum()), count + len(tracks)
    steps.network.space.release()
    return Learning(loss / count, constant / count, moved) if count else Learning(moved=moved)


def of_items(
    learning: Learning, vectors: np.ndarray, modalities: Mapping[str, Modality], *, free_ids: bool
) -> Learning:
    """Return the record with the vectors of a sample of tracks, float [n, d].

    - free_ids: whether the vectors have a part that does not come from content.
    """
    if not free_ids:  # the vectors have no more dimensions than the content
        content = (modality.matrix[modality.present] for modality in modalities.values())
        learning = learning.limited_by(sum(map(effective_rank, content)))
    return learning.of_vectors(vectors)


def _part(batch: Batch) -> Batch:
    """Return the first rows of a batch with about `POSITIONS` targets."""
    rows = max(1, int(np.searchsorted(np.cumsum(batch.lengths), POSITIONS)))
    values = {name: value[:rows] for name, value in vars(batch).items()}
    return replace(batch, **values)


def _trained(steps: TrainingSteps) -> list[torch.Tensor]:
    return [weights for group in steps.optimizer.param_groups for weights in group["params"]]

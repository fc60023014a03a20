"""Base class of training losses, for the entry-point group `segue.losses`.

A training step scores n positions against C candidate tracks, and a loss reduces these scores to a scalar. The loss
also declares the candidates: all trained tracks, or the tracks of the step and a shared sample of negatives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from toolkit.parts import Part

if TYPE_CHECKING:
    import torch

    from toolkit.sequential.losses.loss_scores import Scores
    from toolkit.sequential.losses.negative_sampler import Sample

    Criterion = Callable[[Scores, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Training:
    """Properties of the training for use by a loss.

    - plays: int [V + 1], number of training entries of each track.
    - tracks: number of candidates of a full softmax.
    - batch_tokens: number of positions per step.
    - device: device of the model.
    - bf16: whether products are computed in bfloat16.
    """

    plays: np.ndarray
    tracks: int
    batch_tokens: int
    device: str = "cpu"
    bf16: bool = False

    @property
    def compute(self) -> torch.dtype | None:
        """Dtype of the loss's large matrix products; None keeps the dtype of the scores."""
        import torch

        return torch.bfloat16 if self.bf16 else None


class Loss(Part):
    """Base class of losses. Implement `mean`, and also `sampler` if a step scores a shared sample.

    samples: whether a step scores a shared sample instead of every trained track. Only the vectors of the step's tracks
    then have gradients, which permits `adam: rows`.

    cross_entropy: whether the loss is the cross-entropy of a softmax over all trained tracks. The best constant
    prediction is then the share of each track in all plays, and a network that learns has a lower loss.

    `segue.plugin.check_loss` tests an implementation; docs/models.md has a complete example.
    """

    samples: ClassVar[bool] = False
    cross_entropy: ClassVar[bool] = False

    @abstractmethod
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        """Return the mean loss over the n positions of a step as a differentiable scalar.

        - scores: factors of the score matrix [n, C], which `scores.logits()` computes.
        - targets: int64 [n], column of each position's target.
        - training: properties of the training.

        If `scores.gold` is set, the target's score is in column C, and all `targets` are C. `scores.hit`, int64 [n], is
        then the sampled column that equals the target, or C. This column must not count as a negative, and
        `scores.logits()` is -inf there.
        """

    def sampler(self, training: Training) -> Sample | None:
        """Return the sampler that draws the shared sample of each step, or None if `samples` is False."""
        return None

    def begin(self, training: Training) -> Criterion:
        """Return the function that computes the loss of each step.

        Override this method to make a choice once per training, such as a kernel.
        """
        return lambda scores, targets: self.mean(scores, targets, training)

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        """Return the minimum bytes that a step needs for this loss and the decisive setting, such as `negatives=4096`.

        Returns 0 and "" if the memory is negligible.
        """
        return 0, ""

    @property
    def draws_by_plays(self) -> bool:
        """Whether negatives are drawn in proportion to plays. Tracks without plays are then never negatives."""
        return False

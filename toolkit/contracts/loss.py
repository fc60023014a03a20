"""The contract of a training loss: entry-point group `segue.losses`.

A training step scores n positions against C candidate tracks. A loss turns these scores into one number. It also
declares which tracks a step scores: all trained tracks, or the tracks of the step and a shared sample of negatives.
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
    """Properties of the training that a loss may use.

    - plays: int [V + 1], number of training placements of each track.
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
        """Dtype of the loss's large products; None keeps the dtype of the scores."""
        import torch

        return torch.bfloat16 if self.bf16 else None


class Loss(Part):
    """Base class of every loss. Implement `mean`, and also `sampler` if a step scores a shared sample.

    samples: whether a step scores a shared sample instead of every trained track. A step then only has gradients for
    the vectors of its own tracks, and `adam: rows` may be chosen.

    `segue.plugin.check_loss` tests an implementation; docs/models.md has a complete example.
    """

    samples: ClassVar[bool] = False

    @abstractmethod
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        """Mean loss over the n positions of a step, a scalar with a gradient.

        - scores: factors of the score matrix [n, C]; `scores.logits()` computes the matrix.
        - targets: int64 [n], the column of each position's target.
        - training: properties of the training.

        If `scores.gold` is set, the target's score is in column C, and all `targets` are C. `scores.hit`, int64 [n], is
        then the sampled column that is also the target (C if there is none). This column must not count as a negative;
        `scores.logits()` has -inf there.
        """

    def sampler(self, training: Training) -> Sample | None:
        """The sampler that draws the shared sample of each step; None if `samples` is False."""
        return None

    def begin(self, training: Training) -> Criterion:
        """The function that computes the loss of each step.

        Override it to choose something once per training, such as a kernel.
        """
        return lambda scores, targets: self.mean(scores, targets, training)

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        """The least bytes that a step needs for this loss, and the setting that decides, such as `negatives=4096`; 0
        and "" if few.
        """
        return 0, ""

    @property
    def draws_by_plays(self) -> bool:
        """Whether negatives are drawn in proportion to plays. A track without plays is then never a negative."""
        return False

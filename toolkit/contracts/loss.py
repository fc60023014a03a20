"""The contract of a training loss: entry-point group `segue.losses`.

A training step scores n positions against C candidate tracks. A loss turns those scores into one number, and declares which tracks a
step scores: every trained one, or the tracks of the step and a shared sample of wrong answers.
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

    from toolkit.sequential.losses.sample import Sample
    from toolkit.sequential.losses.scores import Scores

    Criterion = Callable[[Scores, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Training:
    """What a loss may know of the training that it is part of.

    plays: int [V + 1], training placements of each track. tracks: candidates of a full softmax. batch_tokens: positions of a step.
    device: where the model is. bf16: whether products are in bfloat16.
    """

    plays: np.ndarray
    tracks: int
    batch_tokens: int
    device: str = "cpu"
    bf16: bool = False

    @property
    def compute(self) -> torch.dtype | None:
        """Dtype of the loss's large products; None keeps that of the scores."""
        import torch

        return torch.bfloat16 if self.bf16 else None


class Loss(Part):
    """Base of every loss: write `mean`, and `sampler` where a step scores a shared sample.

    samples: whether a step scores a shared sample instead of every trained track. Then a step has gradients for the vectors of its own
    tracks alone, and `adam: rows` may be chosen.

    `segue.plugin.check_loss` tests an implementation; docs/models.md has a complete example.
    """

    samples: ClassVar[bool] = False

    @abstractmethod
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        """Mean loss over the n positions of a step, a scalar with a gradient.

        scores: factors of the matrix [n, C]; `scores.logits()` forms it. targets: int64 [n], the column of each position's target.
        Where `scores.gold` is given, the target's score is column C (`targets` are all C), and `scores.hit` int64 [n] names the sampled
        column that is the target too (C where none is): that one must not count as a wrong answer. `scores.logits()` has -inf there.
        """

    def sampler(self, training: Training) -> Sample | None:
        """What draws each step's shared sample; None where `samples` is false."""
        return None

    def begin(self, training: Training) -> Criterion:
        """The function that computes the loss of each step. Override it to choose something once a training, such as a kernel."""
        return lambda scores, targets: self.mean(scores, targets, training)

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        """Bytes that a step holds at least for this loss, and the setting that decides, as in `negatives=4096`; 0 and "" for little."""
        return 0, ""

    @property
    def draws_by_plays(self) -> bool:
        """Whether wrong answers are drawn in proportion to plays, so that a track without plays is never one."""
        return False

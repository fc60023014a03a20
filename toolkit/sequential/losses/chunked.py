"""Loss `chunked`, the softmax over all trained tracks computed for a few rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from toolkit.contracts.loss import Loss, Training

if TYPE_CHECKING:
    import torch

    from toolkit.contracts.loss import Criterion
    from toolkit.sequential.losses.loss_scores import Scores


class Chunked(Loss):
    """Cross-entropy over all trained tracks, computed in chunks of bounded memory.

    On CUDA the loss is computed by Cut Cross-Entropy where that kernel is available.
    """

    type: str = "chunked"
    cross_entropy: ClassVar[bool] = True

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        from toolkit.sequential.losses import softmax_cross_entropy

        return softmax_cross_entropy.chunked(scores, targets, compute=training.compute)

    def begin(self, training: Training) -> Criterion:
        from toolkit.sequential.losses import cut_cross_entropy

        kernel = cut_cross_entropy.choose(training.device, bf16=training.bf16)
        if kernel is None:
            return super().begin(training)
        return lambda scores, targets: cut_cross_entropy.loss(kernel, scores, targets)

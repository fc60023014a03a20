"""Loss `chunked`: the softmax over all trained tracks, a few rows of scores at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.contracts.loss import Loss, Training

if TYPE_CHECKING:
    import torch

    from toolkit.contracts.loss import Criterion
    from toolkit.sequential.losses.scores import Scores


class Chunked(Loss):
    """Cross-entropy over all trained tracks, computed in chunks that bound the memory.

    On CUDA it is computed by Cut Cross-Entropy.
    """

    type: str = "chunked"

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        from toolkit.sequential.losses import softmax

        return softmax.chunked(scores, targets, compute=training.compute)

    def begin(self, training: Training) -> Criterion:
        from toolkit.sequential.losses import cut

        kernel = cut.choose(training.device, bf16=training.bf16)
        if kernel is None:
            return super().begin(training)
        return lambda scores, targets: cut.loss(kernel, scores, targets)

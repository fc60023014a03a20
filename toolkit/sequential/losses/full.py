"""Loss `full`, the softmax over all trained tracks with all scores in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from toolkit.contracts.loss import Loss, Training

if TYPE_CHECKING:
    import torch

    from toolkit.sequential.losses.loss_scores import Scores


class Full(Loss):
    """Cross-entropy over all trained tracks for small catalogues, with the whole score matrix in memory."""

    type: str = "full"
    cross_entropy: ClassVar[bool] = True

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        from toolkit.sequential.losses import softmax_cross_entropy

        return softmax_cross_entropy.full(scores, targets)

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        # scores and their gradient in float32
        return 2 * 4 * positions * tracks, f"`loss: full` over {tracks:,} tracks"

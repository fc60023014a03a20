"""Loss `focal` (Lin et al. 2017, "Focal loss for dense object detection")."""

import torch
from pydantic import Field

from segue.plugin import Loss, Scores, Training


class Focal(Loss):
    """Cross-entropy over all trained tracks in which positions that are already predicted well count less."""

    type: str = "focal"
    gamma: float = Field(1.0, ge=0, description="how much less; 0 is plain cross-entropy")

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        right = (
            scores.logits().log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
        )  # [n], log probability of the target
        return (-((1 - right.exp()) ** self.gamma) * right).mean()

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        return 2 * 4 * positions * tracks, f"loss: focal over {tracks:,} tracks"

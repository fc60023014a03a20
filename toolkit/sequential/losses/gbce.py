"""Loss `gbce`, generalised binary cross-entropy over a shared sample (Petrov and Macdonald, RecSys 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from toolkit.contracts.loss import Loss, Training
from toolkit.sequential.losses.sampled import sample_memory

if TYPE_CHECKING:
    import torch

    from toolkit.sequential.losses.loss_scores import Scores
    from toolkit.sequential.losses.negative_sampler import Sample


class GBCE(Loss):
    """Binary cross-entropy with a few shared negatives, calibrated for tracks outside the sample (gBCE)."""

    type: str = "gbce"
    samples: ClassVar[bool] = True
    negatives: int = Field(4096, ge=1, description="number of negative tracks drawn in each step")
    t: float = Field(0.75, ge=0, le=1, description="calibration: 0 is plain binary cross-entropy, 1 fully corrected")

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        from toolkit.sequential.losses import binary_cross_entropy

        return binary_cross_entropy.gbce(scores, t=self.t, n_candidates=training.tracks, compute=training.compute)

    def sampler(self, training: Training) -> Sample:
        from toolkit.sequential.losses.negative_sampler import Sample

        return Sample(self.negatives, training.tracks, None, own=False)

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        return sample_memory(self.negatives, tracks, hidden_size)

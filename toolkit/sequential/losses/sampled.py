"""Loss `sampled`, the softmax over a step's own tracks and a shared sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from toolkit.contracts.loss import Loss, Training

if TYPE_CHECKING:
    import torch

    from toolkit.sequential.losses.loss_scores import Scores
    from toolkit.sequential.losses.negative_sampler import Sample


class Sampled(Loss):
    """Cross-entropy over a shared sample of negatives, for large catalogues.

    Scores are corrected by the probability that a track is in the sample.
    """

    type: str = "sampled"
    samples: ClassVar[bool] = True
    negatives: int = Field(4096, ge=1, description="number of negative tracks drawn in each step")
    negatives_from: Literal["uniform", "popularity"] = Field(
        "uniform", description="whether tracks are drawn uniformly or in proportion to their training plays"
    )
    batch_negatives: bool = Field(
        True, description="use the batch's tracks as negatives too; useful with few negatives, several times slower"
    )
    log_q: bool = Field(True, description="correct logits by each track's probability of being in the sample")

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        from toolkit.sequential.losses import softmax_cross_entropy

        return softmax_cross_entropy.chunked(scores, targets, compute=training.compute)

    def sampler(self, training: Training) -> Sample:
        import torch

        from toolkit.sequential.losses.negative_sampler import Sample

        plays, expected = torch.from_numpy(training.plays), None
        if self.log_q:
            counts = plays.float() * self.batch_negatives
            expected = (counts / max(1, float(counts.sum())) * training.batch_tokens).to(training.device)
        drawn = plays.to(training.device) if self.draws_by_plays else None
        return Sample(self.negatives, training.tracks, expected, own=self.batch_negatives, plays=drawn)

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> tuple[int, str]:
        return sample_memory(self.negatives, tracks, hidden_size)

    @property
    def draws_by_plays(self) -> bool:
        return self.negatives_from == "popularity"


def sample_memory(negatives: int, tracks: int, hidden_size: int) -> tuple[int, str]:
    """Return the bytes of the ids and vectors of drawn tracks, and the setting that determines this size."""
    return 16 * negatives + 4 * min(negatives, tracks) * hidden_size, f"negatives={negatives}"

"""Sampler of negatives shared by all positions of a step, with the probability that a track is in the sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Sample:
    """Shared sample of negatives, drawn with replacement from the trained tracks.

    - negatives: number of draws.
    - n_candidates: number of trained tracks.
    - expected: float [V + 1], expected count of each track in a batch; None leaves logits uncorrected.
    - own: whether the batch's tracks are negatives of each other. Without them a step is several times faster, because
      only the drawn tracks are shared and each position's target is scored separately.
    - plays: int64 [V + 1], weights of the tracks in the draw; None draws uniformly.
    """

    negatives: int
    n_candidates: int
    expected: torch.Tensor | None
    own: bool = True
    plays: torch.Tensor | None = None

    @cached_property
    def _cumulated_plays(self) -> torch.Tensor:
        assert self.plays is not None
        return self.plays.cumsum(0)

    @cached_property
    def _total(self) -> int:
        return int(self._cumulated_plays[-1])

    def draw(self, candidates: torch.Tensor) -> torch.Tensor:
        """Return ids int64 [negatives], drawn with replacement from `candidates` int64 [n_candidates]."""
        if self.plays is None:
            return candidates[torch.randint(len(candidates), (self.negatives,), device=candidates.device)]
        # a placement in the order of its tracks, as an integer: a float rounds away a share of millions of plays
        placements = torch.randint(self._total, (self.negatives,), device=candidates.device)
        return torch.searchsorted(self._cumulated_plays, placements, right=True)

    def log_q(self, ids: torch.Tensor) -> torch.Tensor | None:
        """Return the log probability that each of `ids` is in the sample.

        Subtracting it from logits makes the normaliser unbiased (Bengio and Senécal 2008). It is exact for drawn
        tracks: 1 − (1 − p)^negatives. The batch's own tracks are modelled by a Poisson count.
        """
        if self.expected is None:
            return None
        expected = self.expected[ids]
        plays = torch.ones_like(ids) if self.plays is None else self.plays[ids]
        share = plays.to(expected.dtype) / (self.n_candidates if self.plays is None else self._total)
        return torch.log(-torch.expm1(self.negatives * torch.log1p(-share) - expected))

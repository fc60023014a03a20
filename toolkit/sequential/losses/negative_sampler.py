"""Shared sample of negatives of a step, and the probability that a track is in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Sample:
    """A shared sample of negatives, drawn with replacement among trained tracks.

    - negatives: number of draws. n_candidates: number of trained tracks.
    - expected: float [V + 1], how often each track is expected in a batch; None leaves logits uncorrected.
    - own: whether the batch's own tracks are negatives of each other. Without them a step is several times faster: only
      the drawn ones are shared, and each position's target is scored for itself.
    - plays: int64 [V + 1], tracks are drawn in proportion to these; None draws uniformly.
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
        """Ids int64 [negatives] among the trained tracks `candidates` int64 [n_candidates], with replacement."""
        if self.plays is None:
            return candidates[torch.randint(len(candidates), (self.negatives,), device=candidates.device)]
        # a placement in the order of its tracks, as an integer: a float rounds away a share of millions of plays
        placements = torch.randint(self._total, (self.negatives,), device=candidates.device)
        return torch.searchsorted(self._cumulated_plays, placements, right=True)

    def log_q(self, ids: torch.Tensor) -> torch.Tensor | None:
        """Log probability that each of `ids` is in the sample, for an unbiased normaliser (Bengio and Senécal 2008).

        Of the drawn ones it is exact: 1 − (1 − p)^negatives. The batch's own count as a Poisson number of placements.
        """
        if self.expected is None:
            return None
        expected = self.expected[ids]
        plays = torch.ones_like(ids) if self.plays is None else self.plays[ids]
        share = plays.to(expected.dtype) / (self.n_candidates if self.plays is None else self._total)
        return torch.log(-torch.expm1(self.negatives * torch.log1p(-share) - expected))

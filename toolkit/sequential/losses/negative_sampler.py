"""A step's shared sample of wrong answers, and the chance that a track is in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Sample:
    """A shared sample of wrong answers: `negatives` drawn with replacement among trained tracks, beside the batch's own.

    expected: float [V + 1], how often each track is expected in a batch; None leaves logits uncorrected.
    own: whether the batch's own tracks are wrong answers of each other. Without them a step is several times
    faster: only the drawn ones are shared, and each position's target is scored for itself.
    plays: int64 [V + 1], tracks are drawn in proportion to these; None draws uniformly.
    """

    negatives: int
    n_candidates: int
    expected: torch.Tensor | None
    own: bool = True
    plays: torch.Tensor | None = None

    @cached_property
    def _upto(self) -> torch.Tensor:
        assert self.plays is not None
        return self.plays.cumsum(0)

    @cached_property
    def _total(self) -> int:
        return int(self._upto[-1])

    def draw(self, candidates: torch.Tensor) -> torch.Tensor:
        """Ids int64 [negatives] out of the trained tracks `candidates` int64 [n_candidates], with replacement."""
        if self.plays is None:
            return candidates[torch.randint(len(candidates), (self.negatives,), device=candidates.device)]
        # a placement in the order of its tracks, in whole numbers: a share of millions of plays is lost in a float's rounding
        placements = torch.randint(self._total, (self.negatives,), device=candidates.device)
        return torch.searchsorted(self._upto, placements, right=True)

    def log_q(self, ids: torch.Tensor) -> torch.Tensor | None:
        """Log of the chance that each of `ids` is in the sample, for an unbiased normaliser (Bengio and Senécal 2008).

        Of the drawn ones it is exact: 1 − (1 − p)^negatives. The batch's own count as a Poisson number of placements.
        """
        if self.expected is None:
            return None
        expected = self.expected[ids]
        plays, total = (
            (torch.ones_like(ids), self.n_candidates) if self.plays is None else (self.plays[ids], self._total)
        )
        share = plays.to(expected.dtype) / total
        return torch.log(-torch.expm1(self.negatives * torch.log1p(-share) - expected))

"""Masks and seeds of BERT4Rec in RecBole 1.2.1, kept for comparison by `strict_recbole: true`.

Zhao et al., "RecBole", CIKM 2021: `MaskItemSequence` (recbole/data/transform.py), `BERT4Rec.calculate_loss` and
`BERT4Rec.reconstruct_test_data` (recbole/model/sequential_recommender/bert4rec.py).
tests/sequential/recbole/test_recbole_faults.py shows the faults. RecBole's padded row for every prefix of a playlist is
not reproduced here. The baseline `recbole-bert4rec` and RecBole's trainer use such rows.
"""

from __future__ import annotations

import torch

from toolkit.sequential.training.objectives import Masked

LAST_ONLY = 0.5
"""Its `ft_ratio`: the share of batches that hide each row's last track alone."""


class StrictMasked(Masked):
    """Masked objective with RecBole's faults."""

    def hidden(self, drawn: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Hide the last position alone in half of all batches; elsewhere a row may hide no position.

        A batch without any loss, which is NaN in RecBole, hides the last positions.
        """
        nothing = ~drawn[:, 1:].any()
        only_last = torch.rand((), device=drawn.device) < LAST_ONLY
        return torch.where(only_last | nothing, last, drawn)

    def counted(self, masked: torch.Tensor) -> torch.Tensor:
        """Return the last masks of a row, at most as many as RecBole has slots for, and never position 0."""
        slots = int(self.network.mask_ratio * self.network.max_seq_length)
        later = masked.flip(1).cumsum(1).flip(1)
        counted = masked & (later <= slots)
        counted[:, 0] = False
        return counted

    def with_mask(self, items: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Drop the first position of playlists and masks, at any length. A single seed leaves the mask alone."""
        items, masked = super().with_mask(items, lengths)
        first = torch.arange(items.shape[1] - 1, device=items.device)[None] == 0
        return items[:, 1:], masked[:, 1:] | (masked[:, :1] & first)

    def seeds_kept(self) -> int:
        # RecBole keeps one more and drops it
        return self.network.max_seq_length

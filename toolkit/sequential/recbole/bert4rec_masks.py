"""What RecBole 1.2.1's BERT4Rec does with masks and seeds, kept for comparison: `strict_recbole: true`.

Zhao et al., "RecBole", CIKM 2021: `MaskItemSequence` (recbole/data/transform.py), `BERT4Rec.calculate_loss` and
`BERT4Rec.reconstruct_test_data` (recbole/model/sequential_recommender/bert4rec.py). The faults are the ones that
tests/sequential/test_recbole_faults.py shows. What is not restored is a padded row for every prefix of a playlist: the
baseline `recbole-bert4rec` has that, and its trainer.
"""

from __future__ import annotations

import torch

LAST_ONLY = 0.5
"""Its `ft_ratio`: the share of batches that hide each row's last track alone."""


def masks(drawn: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Positions to hide, bool [B, T], from those drawn and the last ones: half of all batches hide the last alone.

    A row may then hide nothing. A batch that would have no loss at all, RecBole's being NaN, hides the last ones.
    """
    nothing = ~drawn[:, 1:].any()
    only_last = torch.rand((), device=drawn.device) < LAST_ONLY
    return torch.where(only_last | nothing, last, drawn)


def predicted(masked: torch.Tensor, slots: int) -> torch.Tensor:
    """Masked positions that reach the loss: the last `slots` of a row, and never position 0."""
    later = masked.flip(1).cumsum(1).flip(1)
    kept = masked & (later <= slots)
    kept[:, 0] = False
    return kept


def shifted(items: torch.Tensor, masked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Playlists int64 [B, T + 1] and their masks without the first place, whatever their length; no seed leaves the mask alone."""
    first = torch.arange(items.shape[1] - 1, device=items.device)[None] == 0
    return items[:, 1:], masked[:, 1:] | (masked[:, :1] & first)

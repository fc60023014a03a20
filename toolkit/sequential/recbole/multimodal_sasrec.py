"""RecBole's SASRec with items made of ids and content, trained on all positions.

Parameter names are RecBole's, so that a stock checkpoint loads, and it passes under RecBole's own Trainer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from toolkit.sequential.item_space import all_scores
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.flat_attention import RecBoleLayers
from toolkit.sequential.training.objectives import Causal


class MultimodalSASRec(RecBoleLayers, Causal, bridge.SASRec):
    """SASRec over fused items: one causal pass scores every position."""

    def forward(self: Any, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        return self.query(item_seq, item_seq_len)

    def calculate_loss(self: Any, interaction: Any) -> torch.Tensor:
        """RecBole's own batches (one target a row), under its Trainer."""
        scores = all_scores(
            self, self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]), interaction[self.ITEM_SEQ]
        )
        return F.cross_entropy(scores, interaction[self.POS_ITEM_ID])

    def full_sort_predict(self: Any, interaction: Any) -> torch.Tensor:
        return all_scores(
            self, self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]), interaction[self.ITEM_SEQ]
        )

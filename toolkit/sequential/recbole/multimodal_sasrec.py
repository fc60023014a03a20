"""RecBole's SASRec over ids and content, trained at all positions.

Parameter names are RecBole's, so a stock checkpoint can be loaded. The model also runs under RecBole's own Trainer.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.recbole_transformer import RecBoleTransformer
from toolkit.sequential.training.objectives import Causal


class MultimodalSASRec(RecBoleTransformer, bridge.SASRec):
    """SASRec over fused items that scores every position in a causal pass."""

    causal = True

    @property
    def objective(self) -> Causal:
        return Causal(self)

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        return self.objective.query(item_seq, item_seq_len)

    def calculate_loss(self, interaction: bridge.Interaction) -> torch.Tensor:
        """Return the loss for RecBole's own batches (one target per row), under its Trainer."""
        return F.cross_entropy(self.full_sort_predict(interaction), interaction[self.POS_ITEM_ID])

    def full_sort_predict(self, interaction: bridge.Interaction) -> torch.Tensor:
        items = interaction[self.ITEM_SEQ]
        return self.space.all_scores(self.forward(items, interaction[self.ITEM_SEQ_LEN]), items)

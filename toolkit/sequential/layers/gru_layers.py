"""RecBole's GRU4Rec without its item table.

Tan et al. 2016, "Improved Recurrent Neural Networks for Session-based Recommendations".
"""

from __future__ import annotations

import torch
from torch import nn

from toolkit.sequential.recbole import bridge


class GRULayers(nn.Module):
    """Dropout, GRU and dense layer of RecBole's GRU4Rec, with its parameter names and initialisation."""

    def __init__(self, hidden: int, *, layers: int, inner: int, length: int, dropout: float) -> None:
        super().__init__()
        settings = {
            "embedding_size": hidden,
            "hidden_size": inner,
            "num_layers": layers,
            "dropout_prob": dropout,
            "MAX_ITEM_LIST_LENGTH": length,
        }
        stock = bridge.GRU4Rec(bridge.config(bridge.GRU4Rec, settings=settings), bridge.CatalogueSize(1))
        self.emb_dropout, self.gru_layers, self.dense = stock.emb_dropout, stock.gru_layers, stock.dense

    def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        # padding comes after the tracks: no track sees it
        hidden, _ = self.gru_layers(self.emb_dropout(vectors))
        return self.dense(hidden)

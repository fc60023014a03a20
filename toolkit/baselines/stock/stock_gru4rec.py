"""RecBole's unmodified GRU4Rec, trained by RecBole's own trainer.

Hidasi et al. 2016, "Session-based recommendations with recurrent neural networks", with the data augmentation of Tan et
al. 2016, "Improved recurrent neural networks for session-based recommendations", and full cross-entropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from toolkit.baselines.stock.stock_models import StockRanker, StockTraining

if TYPE_CHECKING:
    import torch


class GRU4RecParams(StockTraining):
    """Settings of GRU4Rec, with RecBole's defaults."""

    embedding_size: int = Field(64, ge=1)
    hidden_size: int = Field(128, ge=1)
    layers: int = Field(1, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout of the embeddings")

    def settings(self) -> dict[str, object]:
        named = {"embedding_size": self.embedding_size, "hidden_size": self.hidden_size, "num_layers": self.layers}
        return super().settings() | named | {"dropout_prob": self.dropout}


class StockGRU4Rec(StockRanker):
    """Ranks tracks by RecBole's unmodified GRU4Rec.

    A GRU reads the last seeds. Its last state, projected to the size of the embeddings, is compared with the embedding
    of every track.
    """

    name = "recbole-gru4rec"
    base = "GRU4Rec"
    Params = GRU4RecParams

    def _states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model.forward(items, lengths)
        return states

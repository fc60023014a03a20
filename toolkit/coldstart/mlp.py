"""A small network from the columns of all modalities to factors: `ridge` with a hidden layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from toolkit.coldstart.cold_ranker import concatenated_columns
from toolkit.coldstart.factorisation import Factors
from toolkit.coldstart.network_ranker import NetworkParams, NetworkRanker
from toolkit.encoders.learning.network_layers import dense
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

if TYPE_CHECKING:
    from torch import nn


class MLPParams(NetworkParams):
    """hidden: units of each dense layer."""

    hidden: list[Annotated[int, Field(ge=1)]] = Field([256], min_length=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    loss: Literal["cosine", "squared"] = "squared"


class MLP(NetworkRanker):
    """Ranks new tracks by factors that a small network predicts from all modalities.

    Dense layers with ReLU over the columns of `concatenated_columns`; a missing modality is replaced by its mean.
    """

    name = "mlp"
    Params = MLPParams

    def _inputs(self, data: TrainingData, factors: Factors) -> dict[str, Modality]:
        return {"joined": Modality("joined", *concatenated_columns(data.modalities, factors.known))}

    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        hidden = self.params.hidden
        return dense([modalities["joined"].dim, *hidden]), hidden[-1]

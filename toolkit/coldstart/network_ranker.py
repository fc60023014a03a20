"""Rankers by a network that predicts factors: the shared base class, and `mlp` with dense layers only."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.coldstart.cold_ranker import ColdRanker, FactorParams, concatenated_columns
from toolkit.coldstart.factorisation import Factors
from toolkit.contracts.learning import Learning, sample_rows
from toolkit.encoders.contract.content_hash import combined
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.parameters import Parameters
from toolkit.ranker import TrainingData
from toolkit.seeds import derived_seed, seeded_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

BLOCK = 1024
"""Tracks predicted at once."""


class NetworkParams(FactorParams):
    """Parameters of the training.

    - epochs: passes over the tracks.
    - batch: tracks in a step.
    - lr: learning rate.
    - dropout: dropout before the last layer in training.
    - loss: `cosine`, on factors with unit norm, or `squared`.
    """

    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.7, ge=0, lt=1)
    loss: Literal["cosine", "squared"] = "cosine"


class NetworkRanker(ColdRanker):
    """Base class of rankers that predict factors by a trunk and a linear layer.

    The network is trained by Adam, by default on the cosine (Oramas et al. 2017). A missing modality is an input of
    zeros. The network is trained on tracks in training playlists that have any modality, and predicts for all tracks
    that have any.
    """

    Params: ClassVar[type[Parameters]] = NetworkParams

    @abstractmethod
    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        """Return an untrained network (n, sum of the modalities' dimensions) -> (n, width), and the width.

        Its weights are drawn from torch's generator.
        """

    def _inputs(self, data: TrainingData, factors: Factors) -> dict[str, Modality]:
        """Return the modalities that the trunk reads."""
        return data.modalities

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        import torch

        from toolkit.encoders.learning.supervised_network import SupervisedNetwork
        from toolkit.encoders.learning.train_network import Schedule, train

        params, device, inputs = self.params, devices.device(data.device), self._inputs(data, factors)
        present = np.any([modality.present for modality in inputs.values()], axis=0)
        present[0] = False
        trained, predicted = np.flatnonzero(present & factors.known), np.flatnonzero(present)
        if not len(trained):
            raise InputError(
                f"{self.name} requires training tracks with content, but there are 0: add content of training tracks"
            )
        rows_of, targets = _rows(inputs), torch.from_numpy(factors.items)

        def load(rows: np.ndarray) -> tuple[Tensor, Tensor]:
            return rows_of(trained[rows]), targets[torch.from_numpy(trained[rows])]

        def build() -> SupervisedNetwork:
            trunk, width = self._trunk(inputs)
            return SupervisedNetwork(trunk, width, factors.k, dropout=params.dropout, loss=params.loss)

        model = seeded_weights(build, derived_seed(data.seed, self.name, "weights"))
        model.scale_to(targets[torch.from_numpy(trained)])
        seed = derived_seed(data.seed, self.name, "train")
        schedule = Schedule(params.epochs, params.batch, params.lr, 0.0, seed, device, self._identity(data, factors))
        train(model, load, len(trained), schedule, workdir=data.workdir, what=f"fit {self.name}")
        vectors = np.zeros(factors.items.shape, np.float32)
        with torch.inference_mode():
            for start in range(0, len(predicted), BLOCK):
                rows = predicted[start : start + BLOCK]
                vectors[rows] = model.predict(model.trunk(rows_of(rows).to(device))).cpu().numpy()
        self.learning = self._learned(model.learning, factors.items[trained], rows_of, trained, vectors[predicted])
        return vectors, present

    @staticmethod
    def _learned(
        learning: Learning,
        targets: np.ndarray,
        rows_of: Callable[[np.ndarray], Tensor],
        trained: np.ndarray,
        vectors: np.ndarray,
    ) -> Learning:
        """Return the record of the training for its inputs, targets and predictions."""
        width = rows_of(trained[:1]).numel()
        inputs = rows_of(trained[sample_rows(len(trained), width)]).numpy()
        return learning.of_task(inputs, targets).of_vectors(vectors)

    def _identity(self, data: TrainingData, factors: Factors) -> str:
        """Return a hash of the training data and settings, which prevents resuming from other checkpoints."""
        arrays = [factors.items, *(modality.matrix for modality in data.modalities.values())]
        about = json.dumps([self.name, self.params.model_dump(mode="json"), list(data.modalities)]).encode()
        return combined(about, *(np.ascontiguousarray(array).data.cast("B") for array in arrays))


def _rows(modalities: dict[str, Modality]) -> Callable[[np.ndarray], Tensor]:
    """Return a function from tracks int64 [n] to the columns of all modalities, float32 [n, D], zero if missing."""
    import torch

    def rows(tracks: np.ndarray) -> Tensor:
        parts = [modality.matrix[tracks] * modality.present[tracks, None] for modality in modalities.values()]
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))

    return rows


class MLPParams(NetworkParams):
    """Parameters of the network and its training.

    - hidden: units of each dense layer.
    """

    hidden: list[Annotated[int, Field(ge=1)]] = Field([256], min_length=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    loss: Literal["cosine", "squared"] = "squared"


class MLP(NetworkRanker):
    """Ranks new tracks by factors that a small network predicts from all modalities.

    The network has dense layers with ReLU over the columns of `concatenated_columns`. A missing modality is replaced by
    its mean.
    """

    name = "mlp"
    Params = MLPParams

    def _inputs(self, data: TrainingData, factors: Factors) -> dict[str, Modality]:
        return {"joined": Modality("joined", *concatenated_columns(data.modalities, factors.known))}

    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        from toolkit.encoders.learning.network_layers import dense

        hidden = self.params.hidden
        return dense([modalities["joined"].dim, *hidden]), hidden[-1]

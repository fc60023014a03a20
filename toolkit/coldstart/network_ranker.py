"""What rankers by a network over modalities share: its training on the factors of played tracks, and its predictions for all."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.coldstart.cold_ranker import ColdRanker, FactorParams
from toolkit.coldstart.factorisation import Factors
from toolkit.encoders.contract.content_hash import combined
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.parameters import Parameters
from toolkit.ranker import TrainingData
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    from torch import Tensor, nn

BLOCK = 1024
"""Tracks predicted at once."""


class NetworkParams(FactorParams):
    """dropout: of what the last layer sees, in training. loss: `cosine`, of factors of length 1, or `squared`."""

    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.7, ge=0, lt=1)
    loss: Literal["cosine", "squared"] = "cosine"


class NetworkRanker(ColdRanker):
    """Predicts factors by a trunk and a linear layer: Adam, and by default cosine distance (Oramas et al. 2017).

    What a track lacks reaches the trunk as zeros; tracks with any modality teach and are predicted.
    """

    Params: ClassVar[type[Parameters]] = NetworkParams

    @abstractmethod
    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        """(n, sum of the modalities' numbers) -> (n, width), untrained, and the width; drawn from torch's generator."""

    def _seen(self, data: TrainingData, factors: Factors) -> dict[str, Modality]:
        """What reaches the trunk."""
        return data.modalities

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        import torch

        from toolkit.encoders.learning.autoencoder import seeded
        from toolkit.encoders.learning.predictor_network import Predictor
        from toolkit.encoders.learning.train_network import Schedule, train

        params, device, seen = self.params, devices.device(data.device), self._seen(data, factors)
        present = np.any([modality.present for modality in seen.values()], axis=0)
        present[0] = False
        taught, asked = np.flatnonzero(present & factors.known), np.flatnonzero(present)
        if not len(taught):
            raise InputError(f"{self.name}: no track with placements in training has content: nothing to learn from")
        rows_of, answers = _rows(seen), torch.from_numpy(factors.items)

        def load(places: np.ndarray) -> tuple[Tensor, Tensor]:
            return rows_of(taught[places]), answers[torch.from_numpy(taught[places])]

        def build() -> Predictor:
            trunk, width = self._trunk(seen)
            return Predictor(trunk, width, factors.k, dropout=params.dropout, loss=params.loss)

        model = seeded(build, derived_seed(data.seed, self.name, "weights"))
        model.scale_to(answers[torch.from_numpy(taught)])
        seed = derived_seed(data.seed, self.name, "train")
        schedule = Schedule(params.epochs, params.batch, params.lr, 0.0, seed, device, self._identity(data, factors))
        train(model, load, len(taught), schedule, workdir=data.workdir, what=f"fit {self.name}")
        vectors = np.zeros(factors.items.shape, np.float32)
        with torch.inference_mode():
            for start in range(0, len(asked), BLOCK):
                rows = asked[start : start + BLOCK]
                vectors[rows] = model.predict(model.trunk(rows_of(rows).to(device))).cpu().numpy()
        return vectors, present

    def _identity(self, data: TrainingData, factors: Factors) -> str:
        """Of what is learned, so that no stranger's checkpoint is gone on with."""
        hasher = hashlib.blake2b(np.ascontiguousarray(factors.items).data)
        for modality in data.modalities.values():
            hasher.update(np.ascontiguousarray(modality.matrix).data)
        return combined(
            json.dumps([self.name, self.params.model_dump(mode="json"), list(data.modalities)]).encode(),
            hasher.digest(),
        )


def _rows(modalities: dict[str, Modality]) -> Callable[[np.ndarray], Tensor]:
    """What gives the modalities of some tracks side by side: int64 [n] -> float32 [n, D], of what a track lacks zeros."""
    import torch

    def rows(tracks: np.ndarray) -> Tensor:
        parts = [modality.matrix[tracks] * modality.present[tracks, None] for modality in modalities.values()]
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))

    return rows

"""Encoders of pretrained weights that are not trained further."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from toolkit import devices
from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import Encoder, EncoderParams

MIN_COSINE = 0.999
"""Least cosine similarity with full precision at which `bf16: auto` uses bfloat16."""


class PretrainedParams(EncoderParams):
    """Parameters of encoders with a pretrained model.

    - model: folder, installed model package, or name on the model hub.
    - bf16: whether the model runs in bfloat16. `auto`: if the device multiplies it in hardware and the vectors of a few
      probe inputs keep a cosine similarity of at least .999 with those of full precision.
    """

    model: str
    bf16: Literal["auto", "on", "off"] = "auto"


class PretrainedEncoder(Encoder):
    """An encoder whose model is not trained further, in full or half precision."""

    seeded: ClassVar[bool] = False
    params: PretrainedParams

    @abstractmethod
    def _probed(self, *, bf16: bool) -> np.ndarray:
        """Vectors of a few inputs of the project's own: [m, d]."""

    @cached_property
    def folder(self) -> Path:
        """The folder of the model's files, which are downloaded if they are missing.

        Raises `InputError` if there is no such model.
        """
        return self._find()

    @cached_property
    def bf16(self) -> bool:
        """Whether the model runs in bfloat16 here; decided once, on the probe inputs, never on the inputs to encode."""
        return self._wants_bf16() and (self.params.bf16 == "on" or self._probe() >= MIN_COSINE)

    def check_files(self) -> None:
        self._find(download=False)

    def fingerprint(self) -> str:
        return f"{model_hub.fingerprint(self.folder)} bf16={self._wants_bf16()}"

    def _find(self, *, download: bool = True) -> Path:
        return model_hub.find(self.params.model, self.kind, download=download)

    def _wants_bf16(self) -> bool:
        return devices.wants_bf16(self.params.bf16, self.device)

    def _probe(self) -> float:
        """Least cosine similarity between half and full precision over the probe inputs."""
        pair = [self._probed(bf16=bf16).astype(np.float64) for bf16 in (False, True)]
        exact, rough = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in pair)
        return float((exact * rough).sum(axis=1).min())

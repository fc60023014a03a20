"""Base class for encoders with pretrained weights that are not trained further."""

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
"""Minimum cosine similarity with full precision for `bf16: auto` to use bfloat16."""


class PretrainedParams(EncoderParams):
    """Parameters of encoders with a pretrained model.

    - model: folder, installed model package, or hub name.
    - bf16: whether the model runs in bfloat16. With `auto`, bfloat16 is used if the device supports it in hardware and
      the vectors of a few probe inputs keep a cosine similarity of at least .999 with full precision.
    """

    model: str
    bf16: Literal["auto", "on", "off"] = "auto"


class PretrainedEncoder(Encoder):
    """Base class for encoders with a frozen pretrained model in full or half precision."""

    seeded: ClassVar[bool] = False
    params: PretrainedParams

    @abstractmethod
    def _probed(self, *, bf16: bool) -> np.ndarray:
        """Return the vectors of a few built-in probe inputs, [m, d]."""

    @cached_property
    def folder(self) -> Path:
        """Return the folder of the model files, and download missing files.

        Raises `InputError` if the model does not exist.
        """
        return self._find()

    @cached_property
    def bf16(self) -> bool:
        """Return whether the model runs in bfloat16, decided once from the probe inputs."""
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
        """Return the lowest cosine similarity between half and full precision over the probe inputs."""
        pair = [self._probed(bf16=bf16).astype(np.float64) for bf16 in (False, True)]
        exact, rough = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in pair)
        return float((exact * rough).sum(axis=1).min())

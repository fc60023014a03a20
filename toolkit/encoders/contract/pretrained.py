"""What encoders of pretrained weights share: where those are, and whether half precision does them justice."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from toolkit import devices
from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder

MIN_COSINE = 0.999
"""Cosine with full precision below which bfloat16 is not used under `bf16: auto`."""


class PretrainedEncoder(Encoder):
    """An encoder whose model is not trained further; params: `bf16: auto | on | off`, beside what names the model."""

    seeded: ClassVar[bool] = False
    params: Any

    @abstractmethod
    def _find(self, *, download: bool = True) -> Path:
        """The folder of the model's files, fetched where they are not here. Raises `InputError`."""

    @abstractmethod
    def _probed(self, *, bf16: bool) -> np.ndarray:
        """Embeddings of a few inputs of its own: [m, d]."""

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are. Raises `InputError` for a model that cannot be found."""
        return self._find()

    @cached_property
    def bf16(self) -> bool:
        """Whether this device and model run in bfloat16; decided once, on inputs of its own, never on those given."""
        return self._wants_bf16() and (self.params.bf16 == "on" or self._probe() >= MIN_COSINE)

    def check_files(self) -> None:
        self._find(download=False)

    def fingerprint(self) -> str:
        return f"{model_hub.fingerprint(self.folder)} bf16={self._wants_bf16()}"

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        return load_encoder(cls, directory, device=device)[0]

    def _wants_bf16(self) -> bool:
        return devices.wants_bf16(self.params.bf16, self.device)

    def _probe(self) -> float:
        """Least cosine between half and full precision over the probe inputs."""
        pair = [self._probed(bf16=bf16).astype(np.float64) for bf16 in (False, True)]
        exact, rough = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in pair)
        return float((exact * rough).sum(axis=1).min())

"""Base class for encoders of pictures and texts that learn labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import Progress
from toolkit.encoders.learning.supervised_encoder import (
    Examples,
    SupervisedEncoder,
    TrainedParams,
    checked_targets,
    identity,
)
from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.encoders.learning.supervised_network import SupervisedNetwork

LoadInputs = Callable[[np.ndarray], "Tensor"]
"""Network inputs at rows int64 [b]."""

Item = TypeVar("Item", str, bytes)
"""Input type, a text or the bytes of a picture."""


class ClassifierParams(TrainedParams):
    """Parameters of an encoder that learns labels.

    - model: folder or hub name of the model to fine-tune. With None, a network is trained from scratch.
    - dim: size of the hidden layer before the labels, which is the output vector.
    - lr: learning rate. The default is 1e-4 for a pretrained backbone, and 2e-3 otherwise.
    - dropout: dropout rate of the hidden layer in training.
    - bf16: mixed precision in training. Vectors are computed in full precision.
    """

    model: str | None = None
    dim: int = Field(128, ge=1)
    epochs: int = Field(10, ge=1)
    batch: int = Field(32, ge=1)
    lr: float | None = Field(None, gt=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    bf16: Literal["auto", "on", "off"] = "auto"


class ClassifierEncoder(SupervisedEncoder, Generic[Item]):
    """Base class for encoders that learn the labels of a track and return the tanh of the layer before the labels.

    The loss is binary cross-entropy for each label, because a track may have several labels.
    """

    params: ClassifierParams

    @property
    def dim(self) -> int:
        return self.params.dim

    @property
    def pretrained(self) -> bool:
        """Return whether the backbone starts from pretrained weights."""
        return self.params.model is not None

    @cached_property
    def folder(self) -> Path:
        """Return the folder of the model files. Raises `InputError` if the model does not exist."""
        return self._find()

    def check_files(self) -> None:
        if self.pretrained:
            self._find(download=False)

    def fingerprint(self) -> str:
        return model_hub.fingerprint(self.folder) if self.pretrained else ""

    def licence(self) -> str:
        return model_hub.unknown_licence(self.params.model) if self.pretrained else ""

    def _find(self, *, download: bool = True) -> Path:
        return model_hub.find(str(self.params.model), self.kind, download=download)

    @abstractmethod
    def _backbone(self) -> tuple[nn.Module, int]:
        """Return the network from its inputs to [n, width], and the width.

        Weights are pretrained, or drawn from torch's generator.
        """

    @abstractmethod
    def _prepare(
        self, inputs: Sequence[Item], workdir: Path | None = None, progress: Progress | None = None
    ) -> LoadInputs:
        """Prepare inputs for the network. With `workdir`, memory does not grow with the number of inputs."""

    def fit(
        self,
        inputs: Sequence[Item],
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the network to n >= 1 inputs and labels of zeros and ones, float32 [n, t].

        A killed fit resumes from `workdir`.
        """
        import torch

        labels = checked_targets(self.name, len(inputs), targets, labels=False)
        if not (known := np.isin(labels, (0, 1))).all():
            raise InputError(f"{self.name}: targets contain {labels[~known][0]} but must be labels 0 or 1: pass labels")
        load, answers = self._prepare(inputs, workdir, progress), torch.from_numpy(labels)
        self._train(
            Examples(
                lambda rows: (load(rows), answers[torch.from_numpy(rows)]),
                len(labels),
                labels,
                identity(self.kind, inputs, labels),
            ),
            lr=self.params.lr or (1e-4 if self.pretrained else 2e-3),
            bf16=devices.wants_bf16(self.params.bf16, self.device),
            workdir=workdir,
            progress=progress,
        )
        return self

    def transform(self, inputs: Sequence[Item], *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, dim] for n inputs, always in full precision."""
        self._fitted()
        return self._in_batches(inputs, self.params.batch, self._rows, progress)

    def _rows(self, inputs: Sequence[Item]) -> np.ndarray:
        return self._outputs(self._prepare(inputs)(np.arange(len(inputs))))

    def _build(self, columns: int) -> SupervisedNetwork:
        from torch import nn

        from toolkit.encoders.learning.supervised_network import SupervisedNetwork

        backbone, width = self._backbone()
        trunk = nn.Sequential(backbone, nn.Linear(width, self.dim), nn.Tanh())
        return SupervisedNetwork(trunk, self.dim, columns, dropout=self.params.dropout, loss="logistic")

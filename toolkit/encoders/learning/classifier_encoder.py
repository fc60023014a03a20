"""What the supervised encoders of pictures and texts share: a backbone, a layer that is the embedding, and the labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.encoders.contract.encoder import EncoderParams, Progress
from toolkit.encoders.learning.predicting_encoder import PredictingEncoder, checked_targets, identity
from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.encoders.learning.predictor_network import Predictor

Batches = Callable[[np.ndarray], "Tensor"]
"""Prepared inputs at places int64 [b]."""


class ClassifierParams(EncoderParams):
    """dim: numbers of the layer before the labels, which is the embedding. dropout: of it, in training. lr: default 1e-4
    for a pretrained backbone, 2e-3 from nothing. bf16: mixed precision in training; embeddings are made in full precision."""

    dim: int = Field(128, ge=1)
    epochs: int = Field(10, ge=1)
    batch: int = Field(32, ge=1)
    lr: float | None = Field(None, gt=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    bf16: Literal["auto", "on", "off"] = "auto"


class Classifier(PredictingEncoder):
    """A network that learns which labels a track has; its embedding is tanh of the layer before them.

    The loss is binary cross-entropy a label, since a track may have several.
    """

    @property
    def dim(self) -> int:
        dim: int = self.params.dim
        return dim

    @property
    @abstractmethod
    def pretrained(self) -> bool:
        """Whether the backbone's weights come from a model."""

    @abstractmethod
    def _backbone(self) -> tuple[nn.Module, int]:
        """Prepared inputs -> [n, width], and the width; pretrained, or drawn from torch's generator."""

    @abstractmethod
    def _batches(self, inputs: Any, workdir: Path | None = None, progress: Progress | None = None) -> Batches:
        """What gives prepared inputs at some places; with `workdir` memory does not grow with their number."""

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from n >= 1 inputs and float32 [n, t] labels of zeros and ones; resumes from `workdir` after a kill."""
        import torch

        params, wanted = self.params, self._labels(inputs, targets)
        answers, batches = torch.from_numpy(wanted), self._batches(inputs, workdir, progress)
        self._train(
            lambda rows: (batches(rows), answers[torch.from_numpy(rows)]),
            len(wanted),
            answers,
            identity=identity(self.kind, inputs, wanted),
            rate=params.lr or (1e-4 if self.pretrained else 2e-3),
            bf16=devices.wants_bf16(params.bf16, self.device),
            workdir=workdir,
            progress=progress,
        )
        return self

    def _labels(self, inputs: Any, targets: np.ndarray | None) -> np.ndarray:
        wanted = checked_targets(self.name, inputs, targets, labels=False)
        if not np.isin(wanted, (0, 1)).all():
            raise InputError(
                f"{self.name}: targets must be labels of zeros and ones, not {wanted[~np.isin(wanted, (0, 1))][0]}"
            )
        return wanted

    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """n inputs -> float32 [n, dim], always in full precision."""
        import torch

        model, out = self._fitted(), np.zeros((len(inputs), self.dim), np.float32)
        step = self.params.batch
        for start in range(0, len(out), step):
            places = np.arange(start, min(start + step, len(out)))
            with torch.inference_mode():
                out[places] = model.trunk(self._part(inputs, places).to(self.device)).float().cpu().numpy()
            if progress is not None:
                progress(int(places[-1]) + 1, len(out), self.name)
        return out

    def _part(self, inputs: Any, places: np.ndarray) -> Tensor:
        """Prepared inputs of one step of `transform`; faults name their place among all."""
        from toolkit.encoders.contract.input_faults import BadInput

        try:
            return self._batches([inputs[int(place)] for place in places])(np.arange(len(places)))
        except BadInput as fault:
            raise BadInput(int(places[fault.index]), fault.why) from None

    def _build(self, columns: int) -> Predictor:
        from torch import nn

        from toolkit.encoders.learning.predictor_network import Predictor

        backbone, width = self._backbone()
        trunk = nn.Sequential(backbone, nn.Linear(width, self.dim), nn.Tanh())
        return Predictor(trunk, self.dim, columns, dropout=self.params.dropout, loss="logistic")

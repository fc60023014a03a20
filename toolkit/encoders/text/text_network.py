"""What the supervised networks over texts share: a text as numbers, a trunk over them, and the prediction or what is before it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.encoders.contract.encoder import EncoderParams, Kind, Progress, Texts
from toolkit.encoders.learning.predicting_encoder import PredictingEncoder, checked_targets, identity

if TYPE_CHECKING:
    from torch import Tensor, nn

    from toolkit.encoders.learning.predictor_network import Loss, Predictor

BLOCK = 2048
"""Texts that are prepared at once in `transform`."""

Prepared = Callable[[np.ndarray], "Tensor"]
"""Network inputs of the texts at places int64 [b]."""


class TextNetworkParams(EncoderParams):
    """output: the `embedding` before the last layer, or the `prediction` itself. loss: see `toolkit.encoders.learning.predictor_network.Loss`.
    dropout: of the embedding, in training. bf16: mixed precision in training; embeddings are always made in full precision."""

    epochs: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.5, ge=0, lt=1)
    loss: Literal["cosine", "squared", "logistic"] = "cosine"
    output: Literal["embedding", "prediction"] = "embedding"
    bf16: Literal["auto", "on", "off"] = "auto"


class TextNetworkEncoder(PredictingEncoder):
    """A network that learns to predict a text's targets (factors or labels)."""

    kind: ClassVar[Kind] = "text"
    params: TextNetworkParams

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers of the embedding."""

    @abstractmethod
    def _learn(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        """Learn what turns a text into numbers, from distinct texts."""

    @abstractmethod
    def _prepared(self, texts: Texts, progress: Progress | None = None) -> Prepared:
        """What gives the network's inputs."""

    @abstractmethod
    def _trunk(self) -> nn.Module:
        """Network inputs -> (n, width), untrained."""

    @property
    def dim(self) -> int:
        return self.width if self.params.output == "embedding" else self._fitted().head.out_features

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from n >= 1 texts and float32 [n, t] targets; resumes from `workdir` after a kill.

        A text that several tracks share counts once for its terms, and as often as it stands there for the network.
        """
        import torch

        wanted = checked_targets(self.name, inputs, targets, labels=self.params.loss == "logistic")
        self._learn(list(dict.fromkeys(inputs)), workdir, progress)
        answers, prepared = torch.from_numpy(wanted), self._prepared(inputs, progress)
        self._train(
            lambda rows: (prepared(rows), answers[torch.from_numpy(rows)]),
            len(wanted),
            answers,
            identity=identity("text", inputs, wanted),
            rate=self.params.lr,
            bf16=devices.wants_bf16(self.params.bf16, self.device),
            workdir=workdir,
            progress=progress,
        )
        return self

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """n texts -> float32 [n, d]."""
        model, out = self._fitted(), np.zeros((len(inputs), self.dim), np.float32)
        for start in range(0, len(out), BLOCK):
            block = inputs[start : start + BLOCK]
            prepared = self._prepared(block)
            for low in range(0, len(block), self.params.batch):
                places = np.arange(low, min(low + self.params.batch, len(block)))
                out[start + places] = self._answers(model, prepared(places))
            if progress is not None:
                progress(start + len(block), len(out), self.name)
        return out

    def _answers(self, model: Predictor, inputs: Tensor) -> np.ndarray:
        import torch

        with torch.inference_mode():
            hidden = model.trunk(inputs.to(self.device))
            return (hidden if self.params.output == "embedding" else model.predict(hidden)).float().cpu().numpy()

    def _build(self, columns: int) -> Predictor:
        from toolkit.encoders.learning.predictor_network import Predictor

        loss: Loss = self.params.loss
        return Predictor(self._trunk(), self.width, columns, dropout=self.params.dropout, loss=loss)

"""Base class of the supervised networks over texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import Kind, Progress, Texts
from toolkit.encoders.learning.supervised_encoder import (
    Examples,
    PredictingEncoder,
    PredictingParams,
    checked_targets,
    identity,
)

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 2048
"""Texts that `transform` prepares at once."""

LoadTexts = Callable[[np.ndarray], "Tensor"]
"""Network inputs of the texts at rows int64 [b]."""


class TextNetworkParams(PredictingParams):
    """Parameters of a network over texts; see `PredictingParams`."""

    dropout: float = Field(0.5, ge=0, lt=1)
    loss: Literal["cosine", "squared", "logistic"] = "cosine"


class TextNetworkEncoder(PredictingEncoder):
    """A network that learns to predict the targets of a text, factors or labels."""

    kind: ClassVar[Kind] = "text"
    params: TextNetworkParams

    @abstractmethod
    def _learn_words(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        """Learn, from distinct texts, how a text becomes numbers."""

    @abstractmethod
    def _prepare(self, texts: Texts, progress: Progress | None = None) -> LoadTexts:
        """Prepare texts for the network."""

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from n >= 1 texts and float32 [n, t] targets; resumes from `workdir` after a kill.

        A text of several tracks counts once when the words are learned, and once for each track when the network is
        trained.
        """
        import torch

        wanted = checked_targets(self.name, len(inputs), targets, labels=self.params.loss == "logistic")
        self._learn_words(list(dict.fromkeys(inputs)), workdir, progress)
        answers, load = torch.from_numpy(wanted), self._prepare(inputs, progress)
        examples = Examples(
            lambda rows: (load(rows), answers[torch.from_numpy(rows)]),
            len(wanted),
            wanted,
            identity("text", inputs, wanted),
        )
        self._fit_network(examples, workdir=workdir, progress=progress)
        return self

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """n texts -> float32 [n, d]."""
        self._fitted()
        out, step = np.zeros((len(inputs), self.dim), np.float32), self.params.batch
        for start in range(0, len(out), BLOCK):
            block = inputs[start : start + BLOCK]
            load = self._prepare(block)
            for low in range(0, len(block), step):
                rows = np.arange(low, min(low + step, len(block)))
                out[start + rows] = self._outputs(load(rows), output=self.params.output)
            if progress is not None:
                progress(start + len(block), len(out), self.name)
        return out


def padded(texts: Sequence[Sequence[int]], fill: int, *, least: int = 1) -> Tensor:
    """Texts of word numbers as int64 [b, longest], each followed by `fill`. least: shortest length of a row."""
    import torch

    out = np.full((len(texts), max(least, *map(len, texts))), fill, np.int64)
    for row, numbers in enumerate(texts):
        out[row, : len(numbers)] = numbers
    return torch.from_numpy(out)

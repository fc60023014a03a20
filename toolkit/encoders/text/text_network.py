"""Base class for supervised networks over texts."""

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
from toolkit.encoders.text.text_encoder import TextEncoder

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 2048
"""Texts that `transform` prepares at once."""

LoadTexts = Callable[[np.ndarray], "Tensor"]
"""Network inputs of the texts at rows int64 [b]."""


class TextNetworkParams(PredictingParams):
    """Parameters of a network over texts, in addition to `PredictingParams`."""

    dropout: float = Field(0.5, ge=0, lt=1)
    loss: Literal["cosine", "squared", "logistic"] = "cosine"


class TextNetworkEncoder(PredictingEncoder):
    """Base class for text encoders that learn to predict factors or labels."""

    kind: ClassVar[Kind] = "text"
    params: TextNetworkParams

    @property
    @abstractmethod
    def words(self) -> TextEncoder:
        """Return the encoder that splits texts into words, or computes term weights."""

    def check_files(self) -> None:
        self.words.check_files()

    def fingerprint(self) -> str:
        return self.words.fingerprint()

    def licence(self) -> str:
        return self.words.licence()

    def summary(self) -> dict[str, float]:
        return self.words.summary()

    def preview(self, text: str) -> list[tuple[str, str]]:
        """Return the name of each step and the text after the step, for `segue encoders preview`."""
        return self.words.preview(text)

    @abstractmethod
    def _learn_words(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        """Learn the mapping from texts to numbers on distinct texts."""

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
        """Fit the network to n >= 1 texts and targets float32 [n, t]. A killed fit resumes from `workdir`.

        A text of several tracks counts once when the words are learned, and once per track when the network is trained.
        """
        import torch

        checked = checked_targets(self.name, len(inputs), targets, labels=self.params.loss == "logistic")
        self._learn_words(list(dict.fromkeys(inputs)), workdir, progress)
        answers, load = torch.from_numpy(checked), self._prepare(inputs, progress)
        examples = Examples(
            lambda rows: (load(rows), answers[torch.from_numpy(rows)]),
            len(checked),
            checked,
            identity("text", inputs, checked),
        )
        self._fit_network(examples, workdir=workdir, progress=progress)
        return self

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n texts."""
        self._fitted()
        return self._in_batches(inputs, BLOCK, self._rows, progress)

    def _rows(self, texts: Texts) -> np.ndarray:
        load, step, rows = self._prepare(texts), self.params.batch, np.arange(len(texts))
        parts = [rows[low : low + step] for low in range(0, len(rows), step)]
        return np.concatenate([self._outputs(load(part), output=self.params.output) for part in parts])


def padded(texts: Sequence[Sequence[int]], fill: int, *, least: int = 1) -> Tensor:
    """Return word numbers of texts as int64 [b, longest], padded with `fill`.

    - least: minimum length of a row.
    """
    import torch

    out = np.full((len(texts), max(least, *map(len, texts))), fill, np.int64)
    for row, numbers in enumerate(texts):
        out[row, : len(numbers)] = numbers
    return torch.from_numpy(out)

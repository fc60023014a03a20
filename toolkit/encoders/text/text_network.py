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
from toolkit.encoders.text.text_encoder import TextEncoder

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

    @property
    @abstractmethod
    def words(self) -> TextEncoder:
        """The encoder that splits texts into words, or weights their terms."""

    def check_files(self) -> None:
        self.words.check_files()

    def fingerprint(self) -> str:
        return self.words.fingerprint()

    def licence(self) -> str:
        return self.words.licence()

    def summary(self) -> dict[str, float]:
        return self.words.summary()

    def preview(self, text: str) -> list[tuple[str, str]]:
        """The name of each step and the text after it, for `segue encoders preview`."""
        return self.words.preview(text)

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
        """n texts -> float32 [n, d]."""
        self._fitted()
        return self._in_batches(inputs, BLOCK, self._rows, progress)

    def _rows(self, texts: Texts) -> np.ndarray:
        load, step, rows = self._prepare(texts), self.params.batch, np.arange(len(texts))
        parts = [rows[low : low + step] for low in range(0, len(rows), step)]
        return np.concatenate([self._outputs(load(part), output=self.params.output) for part in parts])


def padded(texts: Sequence[Sequence[int]], fill: int, *, least: int = 1) -> Tensor:
    """Texts of word numbers as int64 [b, longest], each followed by `fill`. least: shortest length of a row."""
    import torch

    out = np.full((len(texts), max(least, *map(len, texts))), fill, np.int64)
    for row, numbers in enumerate(texts):
        out[row, : len(numbers)] = numbers
    return torch.from_numpy(out)

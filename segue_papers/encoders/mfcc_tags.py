"""`mfcc-tags`: counts of words of sound through a network that was taught tags; its last hidden layer is the embedding.

Source: Liang, Zhan and Ellis, "Content-aware collaborative music recommendation using pre-trained neural networks", 2015: MFCC with first
and second differences, vector-quantised, their counts into a network of three hidden layers of 1,200 units (ReLU) that predicts a track's
tags, each by logistic loss. The number of words (1,024) is a parameter. `fit` needs labels 0…1 as targets. No pretrained weights.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from segue_papers.encoders.mfcc import MfccParams, WordsEncoder
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import Tensors
from toolkit.encoders.learning.predicting_encoder import PredictingEncoder, checked_targets, identity

if TYPE_CHECKING:
    from toolkit.encoders.learning.predictor_network import Predictor

BLOCK = 1024


class MfccTagsParams(MfccParams):
    """hidden: sizes of the layers; the last is the embedding's. dropout: of the last layer, in training."""

    words: int = Field(1024, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field([1200, 1200, 1200], min_length=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    epochs: int = Field(30, ge=1)
    batch: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)
    output: Literal["embedding", "prediction"] = "embedding"


class MfccTagsEncoder(PredictingEncoder, WordsEncoder):
    """Encodes audio as counts of quantised MFCCs, passed through a network trained to predict tags.

    Returns float32 [n, 1200], or the probabilities of the tags, [n, t], for `output: prediction`.
    """

    name: ClassVar[str] = "mfcc-tags"
    source: ClassVar[str] = "Liang et al. 2015"
    Params: ClassVar[type[EncoderParams]] = MfccTagsParams
    params: MfccTagsParams

    @property
    def dim(self) -> int:
        return self.params.hidden[-1] if self.params.output == "embedding" else self._fitted().head.out_features

    def fit(
        self,
        inputs: Audio,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn words from n >= 1 files, and to predict labels float32 [n, t]; resumes from `workdir` after a kill."""
        import torch

        wanted = checked_targets(self.name, inputs, targets, labels=True)
        self._learn_words(inputs, progress)
        places, counts = self._counts(inputs, progress, f"count {self.name}")
        answers = torch.from_numpy(wanted[places])
        self._train(
            lambda rows: (torch.from_numpy(_shares(counts[rows])), answers[torch.from_numpy(rows)]),
            len(places),
            answers,
            identity=identity("audio", inputs, wanted),
            rate=self.params.lr,
            workdir=workdir,
            progress=progress,
        )
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]; NaN for a file that cannot be read."""
        import torch

        model, out = self._fitted(), self._rows(inputs)
        places, counts = self._counts(inputs, progress, self.name)
        for low in range(0, len(places), BLOCK):
            with torch.inference_mode():
                hidden = model.trunk(torch.from_numpy(_shares(counts[low : low + BLOCK])).to(self.device))
                found = hidden if self.params.output == "embedding" else model.predict(hidden)
            out[places[low : low + BLOCK]] = found.cpu().numpy()
        return out

    def _build(self, columns: int) -> Predictor:
        from torch import nn

        from toolkit.encoders.learning.predictor_network import Predictor

        sizes = [len(self.words), *self.params.hidden]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        return Predictor(nn.Sequential(*layers), sizes[-1], columns, dropout=self.params.dropout, loss="logistic")

    def _state(self) -> Tensors:
        return self._word_tensors()

    def _adopt(self, tensors: Tensors) -> None:
        self._adopt_words(tensors)


def _shares(counts: Any) -> np.ndarray:
    """Counts over their row's mean, so that inputs are about 1 whatever the number of words: float32 [n, words]."""
    table = counts.toarray()
    return np.asarray(table / np.maximum(table.mean(axis=1, keepdims=True), 1e-12), np.float32)

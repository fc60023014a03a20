"""`mfcc-tags`: network over counts of quantised MFCC frames, trained to predict tags.

Source: Liang, Zhan and Ellis, "Content-aware collaborative music recommendation using pre-trained neural networks",
2015, as the survey reports it. MFCCs with first and second differences are vector-quantised. Their counts are the input
of a network with three hidden layers of 1,200 units (ReLU) that predicts the tags of a track (561 in the paper), each
with logistic loss. The number of words (1,024) is a parameter. Unlike in the paper, mini-batches are followed by Adam
and not by plain stochastic gradients, and dropout is of the last hidden layer alone. `fit` requires labels from 0 to 1
as targets. No pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from segue_papers.encoders.mfcc_codebook import CodebookEncoder, MfccParams
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress, Tensors
from toolkit.encoders.learning.network_layers import dense
from toolkit.encoders.learning.supervised_encoder import (
    Examples,
    SupervisedEncoder,
    TrainedParams,
    checked_targets,
    identity,
)

if TYPE_CHECKING:
    import scipy.sparse as sp

    from toolkit.encoders.learning.supervised_network import SupervisedNetwork

BLOCK = 1024
"""Clips that go through the network at once."""


class MfccTagsParams(TrainedParams, MfccParams):
    """Parameters of the network.

    - hidden: sizes of the hidden layers. The last size is the vector dimension.
    - dropout: dropout rate of the last hidden layer in training.
    - output: `embedding` for the last hidden layer, or `prediction`.
    """

    words: int = Field(1024, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field([1200, 1200, 1200], min_length=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    epochs: int = Field(30, ge=1)
    batch: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)
    output: Literal["embedding", "prediction"] = "embedding"


class MfccTagsEncoder(SupervisedEncoder, CodebookEncoder):
    """Audio encoder with a network over counts of quantised MFCCs, trained to predict tags.

    Takes n files and returns float32 [n, 1200], or tag probabilities [n, t] for `output: prediction`.
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
        """Fit the codebook and the network to labels float32 [n, t]. A killed fit resumes from `workdir`."""
        import torch

        checked = checked_targets(self.name, len(inputs), targets, labels=True)
        self._learn_words(inputs, progress)
        readable, counts = self._counts(inputs, progress, f"count {self.name}")
        labels = checked[readable]
        answers = torch.from_numpy(labels)
        examples = Examples(
            lambda rows: (torch.from_numpy(_scaled(counts[rows])), answers[torch.from_numpy(rows)]),
            len(readable),
            labels,
            identity("audio", inputs, checked),
        )
        self._train(examples, lr=self.params.lr, workdir=workdir, progress=progress)
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n files, with NaN for unreadable files."""
        import torch

        self._fitted()
        out = self._nan_rows(inputs)
        readable, counts = self._counts(inputs, progress, self.name)
        for low in range(0, len(readable), BLOCK):
            batch = torch.from_numpy(_scaled(counts[low : low + BLOCK]))
            out[readable[low : low + BLOCK]] = self._outputs(batch, output=self.params.output)
        return out

    def _build(self, columns: int) -> SupervisedNetwork:
        from toolkit.encoders.learning.supervised_network import SupervisedNetwork

        width, dropout = self.params.hidden[-1], self.params.dropout
        trunk = dense([len(self.words), *self.params.hidden])
        return SupervisedNetwork(trunk, width, columns, dropout=dropout, loss="logistic")

    def _extra_tensors(self) -> Tensors:
        return self._codebook_tensors()

    def _restore_extra(self, tensors: Tensors) -> None:
        self._restore_codebook(tensors)


def _scaled(counts: sp.csr_matrix) -> np.ndarray:
    """Divide counts by their row mean, which makes inputs about 1 for any codebook size. Returns float32 [n, words]."""
    table = counts.toarray()
    return np.asarray(table / np.maximum(table.mean(axis=1, keepdims=True), 1e-12), np.float32)

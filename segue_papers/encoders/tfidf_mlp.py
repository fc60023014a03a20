"""`tfidf-mlp`: two dense layers over TF-IDF weights of a text or of tags, trained to predict factors.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017. The
10,000 most frequent terms are weighted by TF-IDF and passed through two dense layers with 2,048 ReLU units and a linear
layer with 200 factors of unit norm, trained with the cosine distance and Adam in batches of 32. A-TEXT reads
biographies and A-TAGS reads tags. The artist embedding is the output of the second dense layer. The paper gives no
dropout for this network: 0.5 is applied to the embedding. The learning rate is Adam's own, 1e-3, and decays to zero
over `epochs`. No pretrained weights.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, FittedState, Progress, Tensors, Texts
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.learning.network_layers import dense
from toolkit.encoders.text.text_network import LoadTexts, TextNetworkEncoder, TextNetworkParams
from toolkit.encoders.text.tfidf import TermParams, TfidfEncoder
from toolkit.packages import Package

if TYPE_CHECKING:
    from torch import nn


class TfidfMlpParams(TermParams, TextNetworkParams):
    """Parameters of `tfidf-mlp`.

    - hidden: units of each dense layer. The last layer is the embedding.
    """

    hidden: list[Annotated[int, Field(ge=1)]] = Field([2048, 2048], min_length=1)


class TfidfMlpEncoder(TextNetworkEncoder):
    """Text encoder with dense layers over TF-IDF weights, trained to predict factors.

    Takes n texts and returns float32 [n, hidden[-1]], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "tfidf-mlp"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from biographies and tags"
    Params: ClassVar[type[EncoderParams]] = TfidfMlpParams
    Terms: ClassVar[type[TfidfEncoder]] = TfidfEncoder
    requires: ClassVar[tuple[Package, ...]] = TfidfEncoder.requires
    params: TfidfMlpParams

    @cached_property
    def words(self) -> TfidfEncoder:
        """Return the encoder of the terms, without a reduction."""
        shared = {name: getattr(self.params, name) for name in self.Terms.Params.model_fields if name != "dim"}
        return self.Terms(self.Terms.Params.model_validate(shared | {"dim": 0}), seed=self.seed)

    @property
    def width(self) -> int:
        return self.params.hidden[-1]

    def _learn_words(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        self.words.fit(texts, workdir=workdir, progress=progress)

    def _prepare(self, texts: Texts, progress: Progress | None = None) -> LoadTexts:
        import torch

        matrix = self.words.terms(texts, progress=progress).astype(np.float32)
        return lambda rows: torch.from_numpy(matrix[rows].toarray())

    def _trunk(self) -> nn.Module:
        return dense([self.words.dim, *self.params.hidden])

    def _extra_tensors(self) -> Tensors:
        state = self.words.fitted_state()
        if state is None:
            raise not_fitted(self.name)
        return {"terms.json": np.frombuffer(json.dumps(dict(state.values)).encode(), np.uint8), **state.tensors}

    def _restore_extra(self, tensors: Tensors) -> None:
        self.words.restore(FittedState(tensors, json.loads(tensors["terms.json"].tobytes())))

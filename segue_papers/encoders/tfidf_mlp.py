"""`tfidf-mlp`: TF-IDF of a text or of tags through two dense layers, trained to predict a track's or an artist's factors.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017: the 10,000
most frequent terms weighted by TF-IDF, two dense layers of 2,048 with ReLU, a linear layer of 200 factors whose output has
length 1, cosine distance, Adam, batches of 32. A-TEXT reads biographies, A-TAGS tags; the artist embedding is what the second
dense layer gives. Dropout is of that layer alone, not also of its inputs as in the authors' code: it is drawn from noise that a
resumed run draws again. The paper gives no rate for Adam: 1e-3 that falls to zero over `epochs`. No pretrained weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, Progress, Texts
from toolkit.encoders.contract.encoder_files import Tensors
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.learning.trunk_layers import dense
from toolkit.encoders.text.cleaning import Cleaner
from toolkit.encoders.text.text_network import Prepared, TextNetworkEncoder, TextNetworkParams
from toolkit.encoders.text.tfidf import TermParams, TfidfEncoder

if TYPE_CHECKING:
    from torch import nn


class TfidfMlpParams(TermParams, TextNetworkParams):
    """hidden: units of each dense layer; the last is the embedding."""

    hidden: list[Annotated[int, Field(ge=1)]] = Field([2048, 2048], min_length=1)


class TfidfMlpEncoder(TextNetworkEncoder):
    """Encodes texts by TF-IDF weights and dense layers, trained to predict factors.

    Returns float32 [n, hidden[-1]], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "tfidf-mlp"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from biographies and tags"
    Params: ClassVar[type[EncoderParams]] = TfidfMlpParams
    Terms: ClassVar[type[TfidfEncoder]] = TfidfEncoder
    params: TfidfMlpParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        kept = {name: getattr(self.params, name) for name in self.Terms.Params.model_fields if name != "dim"}
        self.terms = self.Terms(self.Terms.Params.model_validate(kept | {"dim": 0}), seed=seed)

    @property
    def width(self) -> int:
        return self.params.hidden[-1]

    def check_files(self) -> None:
        self.terms.check_files()

    def fingerprint(self) -> str:
        return self.terms.fingerprint()

    def facts(self) -> dict[str, Any]:
        """As of the terms' own encoder."""
        return self.terms.facts()

    def preview(self, text: str) -> list[tuple[str, str]]:
        """Each step's name and the text after it, for `segue encoders preview`."""
        return self.terms.preview(text)

    def _learn(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        self.terms.fit(texts, workdir=workdir, progress=progress)

    def _prepared(self, texts: Texts, progress: Progress | None = None) -> Prepared:
        import torch

        matrix = self.terms.terms(texts, progress=progress).astype(np.float32)
        return lambda rows: torch.from_numpy(matrix[rows].toarray())

    def _trunk(self) -> nn.Module:
        return dense([self.terms.dim, *self.params.hidden])

    def _state(self) -> Tensors:
        if self.terms.vocabulary is None:
            raise not_fitted(self.name)
        about = json.dumps([self.terms.vocabulary, self.terms.cleaner.common]).encode()
        return {"vocabulary": np.frombuffer(about, np.uint8), **self.terms.state()}

    def _adopt(self, tensors: Tensors) -> None:
        self.terms.vocabulary, common = json.loads(tensors["vocabulary"].tobytes())
        self.terms.cleaner = Cleaner(self.params.clean, common)
        self.terms.restore(tensors)

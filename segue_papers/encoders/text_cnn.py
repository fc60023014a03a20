"""`text-cnn`: a convolutional network over a text's word vectors, trained to predict a track's or an artist's factors.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017, A-W2V (vectors
trained on the biographies) and A-W2V-GOO (those of Google News, a file of yours: `vectors: file`), after Kim, "Convolutional Neural
Networks for Sentence Classification", EMNLP 2014: an embedding layer that starts at the word vectors, convolutions of several widths,
the maximum over time, a dense layer, factors of length 1, cosine distance. 500 words a text, widths 2, 3 and 4 of 150 filters and
vectors of 300 numbers from windows of 10 words are the authors' code's; 2,048 dense units, as their other text networks have. Words
without a vector are left out, where the paper does not say. A given file's licence is its own.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, Progress, Texts
from toolkit.encoders.contract.encoder_files import Tensors
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.text.cleaning import Cleaner
from toolkit.encoders.text.text_network import Prepared, TextNetworkEncoder, TextNetworkParams
from toolkit.encoders.text.word2vec import Word2vecEncoder, Word2vecParams
from toolkit.encoders.text.word_means import WordMeanParams
from toolkit.encoders.text.word_vectors import WordVectorsEncoder, WordVectorsParams

if TYPE_CHECKING:
    from torch import nn


class TextCnnParams(WordMeanParams, TextNetworkParams):
    """vectors: where the embedding layer starts, at those of `word2vec` trained on the texts fitted on (of `vector_dim` numbers, `window`,
    `min_count` and `vector_epochs`), or at those of the file `path`. tune: whether they go on learning.

    length: words kept of a text. widths: words that a filter sees. filters: of each width. hidden: units of the dense layer, the embedding.
    """

    vectors: Literal["corpus", "file"] = "corpus"
    path: Path | None = None
    vector_dim: int = Field(300, ge=1)
    window: int = Field(10, ge=1)
    min_count: int = Field(1, ge=1)
    vector_epochs: int = Field(5, ge=1)
    tune: bool = True
    length: int = Field(500, ge=1)
    widths: list[Annotated[int, Field(ge=1)]] = Field([2, 3, 4], min_length=1)
    filters: int = Field(150, ge=1)
    hidden: int = Field(2048, ge=1)


class TextCnnEncoder(TextNetworkEncoder):
    """Encodes texts with a convolutional network over word vectors, trained to predict factors.

    Returns float32 [n, hidden], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "text-cnn"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from word vectors; Kim 2014"
    Params: ClassVar[type[EncoderParams]] = TextCnnParams
    params: TextCnnParams
    vocabulary: dict[str, int] | None = None
    """Numbers of the words from 1."""
    start: np.ndarray
    """Vectors float32 [v + 1, d] where the embedding layer starts, row 0 of none."""

    @property
    def width(self) -> int:
        return self.params.hidden

    @cached_property
    def words(self) -> Word2vecEncoder | WordVectorsEncoder:
        """What splits texts and knows vectors."""
        params = self.params
        shared = {name: getattr(params, name) for name in WordMeanParams.model_fields}
        if params.vectors == "file":
            return WordVectorsEncoder(WordVectorsParams(**shared, path=params.path))
        own: dict[str, Any] = {"dim": params.vector_dim, "window": params.window}
        own |= {"min_count": params.min_count, "epochs": params.vector_epochs}
        return Word2vecEncoder(Word2vecParams(**shared, **own), seed=self.seed)

    def check_files(self) -> None:
        self.words.check_files()

    def fingerprint(self) -> str:
        return self.words.fingerprint()

    def licence(self) -> str:
        return self.words.licence()

    def facts(self) -> dict[str, Any]:
        """As of `word-vectors`."""
        return self.words.facts()

    def preview(self, text: str) -> list[tuple[str, str]]:
        """Each step's name and the text after it, for `segue encoders preview`."""
        return self.words.preview(text)

    def _learn(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        self.words.fit(texts, progress=progress)
        known = self.words.vectors({word for text in texts for word in self.words.words(text)})
        self.vocabulary = {word: number for number, word in enumerate(sorted(known), 1)}
        rows = [known[word] for word in self.vocabulary]
        self.start = np.concatenate([np.zeros((1, self.words.dim), np.float32), np.stack(rows)])

    def _prepared(self, texts: Texts, progress: Progress | None = None) -> Prepared:
        import torch

        vocabulary = self._known()
        numbers = [
            np.array(
                [vocabulary[word] for word in self.words.words(text) if word in vocabulary][: self.params.length],
                np.int64,
            )
            for text in texts
        ]

        def batch(rows: np.ndarray) -> torch.Tensor:
            chosen = [numbers[int(row)] for row in rows]
            out = np.zeros((len(chosen), max(max(self.params.widths), *map(len, chosen))), np.int64)
            for place, text in enumerate(chosen):
                out[place, : len(text)] = text
            return torch.from_numpy(out)

        return batch

    def _known(self) -> dict[str, int]:
        if self.vocabulary is None:
            raise not_fitted(self.name)
        return self.vocabulary

    def _trunk(self) -> nn.Module:
        import torch

        from segue_papers.encoders.word_convolutions import WordConvolutions

        params = self.params
        return WordConvolutions(
            torch.from_numpy(self.start.copy()), params.widths, params.filters, params.hidden, tune=params.tune
        )

    def _state(self) -> Tensors:
        about = json.dumps([list(self._known()), self.words.cleaner.common, self.words.unknown]).encode()
        return {"vocabulary": np.frombuffer(about, np.uint8)}

    def _adopt(self, tensors: Tensors) -> None:
        listed, common, self.words.unknown = json.loads(tensors["vocabulary"].tobytes())
        self.vocabulary = {word: number for number, word in enumerate(listed, 1)}
        self.words.cleaner = Cleaner(self.params.clean, common)
        self.start = np.zeros_like(tensors["model.trunk.embedding.weight"])

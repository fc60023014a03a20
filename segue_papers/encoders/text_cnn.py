"""`text-cnn`: convolutional network over the word vectors of a text, trained to predict factors.

Source: Oramas, Nieto, Sordo and Serra, "A Deep Multimodal Approach for Cold-start Music Recommendation", DLRS 2017,
models A-W2V (vectors trained on the biographies) and A-W2V-GOO (Google News vectors from a local file, `vectors:
file`), after Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014. The network has an embedding
layer initialised with the word vectors, convolutions of several widths, the maximum over time, a dense layer, and
factors of unit norm, trained with the cosine distance. The paper uses the parameters of Kim: 100 filters for each of
the widths 3, 4 and 5, dropout 0.5, and vectors of 300 numbers that are trained further. It gives no length and no dense
units: 500 words per text, as in the authors' code, and 2,048 units, as in their other text networks. Texts are not
cleaned. Two things differ from Kim: words without a vector are skipped, and the weights of the last layer have no
maximum norm. A vector file has its own licence.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, Progress, Tensors, Texts
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.text.cleaning import Cleaner, Cleaning, LyricsCleaning
from toolkit.encoders.text.text_encoder import TextParams, TokenPattern
from toolkit.encoders.text.text_network import LoadTexts, TextNetworkEncoder, TextNetworkParams, padded
from toolkit.encoders.text.word2vec import Word2vecEncoder, Word2vecParams
from toolkit.encoders.text.word_means import WordMeanParams
from toolkit.encoders.text.word_vectors import WordVectorsEncoder, WordVectorsParams

if TYPE_CHECKING:
    from torch import nn


class TextCnnParams(TextParams, TextNetworkParams):
    """Parameters of the word vectors and the network.

    - clean: steps of `toolkit.encoders.text.cleaning`. By default no step runs.
    - lowercase: whether words are converted to lower case.
    - token_pattern: regular expression of a word.
    - vectors: initial values of the embedding layer, `corpus` for word2vec trained on the texts of `fit`, or `file` for
      vectors read from `path`.
    - vector_dim, window, min_count, vector_epochs: parameters of word2vec.
    - tune: whether the word vectors are trained further.
    - length: maximum number of words per text.
    - widths: numbers of words covered by a filter.
    - filters: number of filters per width.
    - hidden: units of the dense layer, which is the embedding.
    """

    clean: Cleaning = Cleaning()
    lowercase: bool = True
    token_pattern: TokenPattern = r"\w+"
    vectors: Literal["corpus", "file"] = "corpus"
    path: Path | None = None
    vector_dim: int = Field(300, ge=1)
    window: int = Field(10, ge=1)
    min_count: int = Field(1, ge=1)
    vector_epochs: int = Field(5, ge=1)
    tune: bool = True
    length: int = Field(500, ge=1)
    widths: list[Annotated[int, Field(ge=1)]] = Field([3, 4, 5], min_length=1)
    filters: int = Field(100, ge=1)
    hidden: int = Field(2048, ge=1)


class TextCnnEncoder(TextNetworkEncoder):
    """Text encoder with a convolutional network over word vectors, trained to predict factors.

    Takes n texts and returns float32 [n, hidden], or [n, t] for `output: prediction`.
    """

    name: ClassVar[str] = "text-cnn"
    source: ClassVar[str] = "Oramas et al. 2017, artist embeddings from word vectors; Kim 2014"
    Params: ClassVar[type[EncoderParams]] = TextCnnParams
    params: TextCnnParams
    vocabulary: dict[str, int] | None = None
    """Number of each word, from 1."""
    start: np.ndarray
    """Initial vectors of the embedding layer, float32 [v + 1, d]; row 0 is padding."""

    @property
    def width(self) -> int:
        return self.params.hidden

    @cached_property
    def words(self) -> Word2vecEncoder | WordVectorsEncoder:
        """Return the encoder that splits texts and provides the word vectors."""
        params = self.params
        shared = {name: getattr(params, name) for name in WordMeanParams.model_fields}
        shared["clean"] = LyricsCleaning(**params.clean.model_dump())
        if params.vectors == "file":
            return WordVectorsEncoder(WordVectorsParams(**shared, path=params.path))
        own = {"dim": params.vector_dim, "window": params.window}
        own |= {"min_count": params.min_count, "epochs": params.vector_epochs}
        return Word2vecEncoder(Word2vecParams(**shared, **own), seed=self.seed)

    def _learn_words(self, texts: Texts, workdir: Path | None, progress: Progress | None) -> None:
        self.words.fit(texts, progress=progress)
        known = self.words.vectors({word for text in texts for word in self.words.words(text)})
        self.vocabulary = {word: number for number, word in enumerate(sorted(known), 1)}
        rows = [known[word] for word in self.vocabulary]
        self.start = np.concatenate([np.zeros((1, self.words.dim), np.float32), np.stack(rows)])

    def _prepare(self, texts: Texts, progress: Progress | None = None) -> LoadTexts:
        vocabulary, length = self._known(), self.params.length
        numbers = [
            [vocabulary[word] for word in self.words.words(text) if word in vocabulary][:length] for text in texts
        ]
        return lambda rows: padded([numbers[int(row)] for row in rows], 0, least=max(self.params.widths))

    def _known(self) -> dict[str, int]:
        if self.vocabulary is None:
            raise not_fitted(self.name)
        return self.vocabulary

    def _trunk(self) -> nn.Module:
        import torch

        from segue_papers.encoders.word_convolutions import WordConvolutions

        params, vectors = self.params, torch.from_numpy(self.start.copy())
        return WordConvolutions(vectors, params.widths, params.filters, params.hidden, tune=params.tune)

    def _extra_tensors(self) -> Tensors:
        about = json.dumps([list(self._known()), self.words.cleaner.common, self.words.unknown]).encode()
        return {"vocabulary": np.frombuffer(about, np.uint8)}

    def _restore_extra(self, tensors: Tensors) -> None:
        listed, common, self.words.unknown = json.loads(tensors["vocabulary"].tobytes())
        self.vocabulary = {word: number for number, word in enumerate(listed, 1)}
        self.words.cleaner = Cleaner(self.params.clean, common)
        self.start = np.zeros_like(tensors["model.trunk.embedding.weight"])

"""Base class for encoders that weigh counts of terms by TF-IDF and reduce them to a dense vector.

Source: Spärck Jones 1972 for IDF; Deerwester et al., "Indexing by latent semantic analysis", 1990, for the reduction;
scikit-learn's `TfidfTransformer` for the exact weights (idf = ln((1 + n) / (1 + df)) + 1).
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.contracts.saved_arrays import check, floats
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, FittedState, Kind, Progress, Texts
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.text.cleaning import words_of
from toolkit.encoders.text.term_counts import term_counts
from toolkit.errors import InputError
from toolkit.packages import TEXT_SKLEARN, Package

if TYPE_CHECKING:
    import scipy.sparse as sp

BLOCK = 8192
"""Texts whose counts are in memory at once."""

DENSE = 2**24
"""Numbers of a block that are in memory at once besides the result, whatever the number of terms."""

LEARNED = 2**16
"""Most texts from which axes are learned, evenly spaced: five matrices of these texts times `dim` are in memory."""


class CountParams(EncoderParams):
    """Selection and weighting of terms.

    - max_features: number of terms that are kept, the most frequent first.
    - min_df: minimum number of texts that contain a term.
    - idf, l2: whether counts are weighted by IDF, and whether rows have unit norm.
    """

    max_features: int = Field(10_000, ge=1)
    min_df: int = Field(1, ge=1)
    idf: bool = True
    l2: bool = True


class CountEncoder(Encoder):
    """Base class for encoders of term counts. A subclass returns the terms of a text, and the axes.

    Takes n texts and returns float32 [n, d], where d is less than asked for if there are fewer terms or texts. A text
    without a known term has a row of zeros.
    """

    kind: ClassVar[Kind] = "text"
    requires_fit: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = True
    Params: ClassVar[type[EncoderParams]] = CountParams
    requires: ClassVar[tuple[Package, ...]] = (TEXT_SKLEARN,)
    params: CountParams
    vocabulary: list[str] | None = None
    weights: np.ndarray
    components: np.ndarray | None = None

    @abstractmethod
    def tokens(self, text: str) -> list[str]:
        """Return the terms of a text, with repeats."""

    @abstractmethod
    def axes(self, matrix: sp.csr_matrix) -> np.ndarray | None:
        """Return the vectors of the terms by column, [d, vocabulary], or None to keep the weights of all terms.

        - matrix: weights of the terms of the texts in `fit`, float64 [n, vocabulary].
        """

    @property
    def dim(self) -> int:
        return len(self._vocabulary()) if self.components is None else len(self.components)

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn vocabulary and weights from n >= 1 texts, and axes from at most `LEARNED` of them.

        Raises `InputError` if no text contains a term.
        """
        counted = term_counts(inputs, self.tokens, LEARNED)
        self.vocabulary, frequency, counts = counted.limited(self.params.max_features, self.params.min_df)
        if not self.vocabulary:
            self.vocabulary = None
            raise InputError(
                f"{self.name}: at least 1 of {len(inputs)} texts must contain a token that is in min_df="
                f"{self.params.min_df} texts: reduce min_df, remove cleaning steps or set another field"
            )
        del counted
        self.weights = np.log((1 + len(inputs)) / (1 + frequency)) + 1 if self.params.idf else np.ones(len(frequency))
        self.components = self.axes(self._weighted(counts))
        return self

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n texts. A text without a known term has a row of zeros."""
        size = max(1, min(BLOCK, DENSE // max(1, self.dim)))
        return self._in_batches(inputs, size, lambda part: self._dense(self.terms(part, progress=progress)), progress)

    def terms(self, inputs: Texts, *, progress: Progress | None = None) -> sp.csr_matrix:
        """Return the term weights of n texts before the reduction, float64 [n, vocabulary], with unit norm if `l2`."""
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(analyzer=self.tokens, vocabulary=self._vocabulary())
        return self._weighted(counter.transform(inputs))

    def fitted_state(self) -> FittedState | None:
        if self.vocabulary is None:
            return None
        axes = {} if self.components is None else {"components": self.components}
        return FittedState({"weights": self.weights, **axes}, {"vocabulary": self.vocabulary})

    def restore(self, state: FittedState) -> None:
        self.vocabulary = words_of(state.values["vocabulary"])
        layout = {"weights": floats(len(self.vocabulary), dtype="float64")}
        if "components" in state.tensors:
            layout["components"] = floats("dim", len(self.vocabulary), dtype="float32 or float64")
        check(state.tensors, layout, 0)
        self.weights, self.components = state.tensors["weights"], state.tensors.get("components")

    def _vocabulary(self) -> list[str]:
        if self.vocabulary is None:
            raise not_fitted(self.name)
        return self.vocabulary

    def _weighted(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Return counts times IDF with rows of unit norm if `l2`, float64 [n, vocabulary]."""
        matrix = counts.astype(np.float64)
        matrix.data *= self.weights[matrix.indices]
        if self.params.l2:
            norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
            matrix.data /= np.repeat(np.maximum(norms, 1e-12), np.diff(matrix.indptr))
        return matrix

    def _dense(self, weighted: sp.csr_matrix) -> np.ndarray:
        """Return the reduced rows with unit norm if `l2`, float64 [n, d]."""
        rows: np.ndarray = weighted.toarray() if self.components is None else weighted @ self.components.T
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(norms > 1e-12, norms, 1.0) if self.params.l2 else rows

    def principal(self, matrix: sp.csr_matrix, dim: int) -> np.ndarray | None:
        """Return the first singular axes, float64 [d, vocabulary], or None without a reduction."""
        from sklearn.decomposition import TruncatedSVD

        rank = min(dim, matrix.shape[0], matrix.shape[1])
        if not dim or rank == matrix.shape[1]:
            return None
        # a single text has no variance, of which scikit-learn computes the explained share
        with np.errstate(invalid="ignore", divide="ignore"):
            svd = TruncatedSVD(rank, random_state=self.seed % 2**32).fit(matrix)
        return np.asarray(svd.components_)

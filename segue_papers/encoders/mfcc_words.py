"""`mfcc-words`: counts of quantised MFCC frames in a clip, reduced to the axes with 95 % of the variance.

Source: bag of words of van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, with 13
MFCCs from frames of 1,024 samples every 512 at 22,050 Hz, first and second differences, k-means with 4,000 words,
counts, and principal components. k-means runs in mini-batches, once, over at most 400,000 frames of the training clips
(`MiniBatchKMeans` of scikit-learn). Unlike in the paper, each of the 39 numbers is standardised before k-means, so
loudness does not dominate. Counts are shares of the frames, so the length of a clip does not matter. No pretrained
weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field

from segue_papers.encoders.mfcc_codebook import CodebookEncoder, MfccParams
from toolkit.encoders.contract.encoder import Audio, EncoderParams, FittedState, Progress
from toolkit.encoders.contract.input_faults import not_fitted

if TYPE_CHECKING:
    import scipy.sparse as sp


class MfccWordsParams(MfccParams):
    """Parameters of `mfcc-words`.

    - variance: share of the variance that the kept axes explain. With 1, every axis is kept.
    """

    variance: float = Field(0.95, gt=0, le=1)


class MfccWordsEncoder(CodebookEncoder):
    """Audio encoder with a bag of words over quantised MFCCs, reduced by principal component analysis.

    Takes n files and returns float32 [n, d], where d is the number of kept principal axes.
    """

    name: ClassVar[str] = "mfcc-words"
    requires_fit: ClassVar[bool] = True
    source: ClassVar[str] = "van den Oord et al. 2013, bag of words"
    Params: ClassVar[type[EncoderParams]] = MfccWordsParams
    params: MfccWordsParams
    axes: np.ndarray | None = None
    """float64 [d, words]."""
    center: np.ndarray

    @property
    def dim(self) -> int:
        return len(self._fitted())

    def fit(
        self,
        inputs: Audio,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the codebook and the axes to n >= 1 files. Raises `InputError` if no file can be read."""
        self._learn_words(inputs, progress)
        _, counts = self._counts(inputs, progress, f"count {self.name}")
        self.center, self.axes = principal_axes(_shares(counts), self.params.variance)
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n files, with NaN for unreadable files."""
        axes, out = self._fitted(), self._nan_rows(inputs)
        readable, counts = self._counts(inputs, progress, self.name)
        out[readable] = _shares(counts) @ axes.T - self.center @ axes.T
        return out

    def _fitted(self) -> np.ndarray:
        if self.axes is None:
            raise not_fitted(self.name)
        return self.axes

    def fitted_state(self) -> FittedState | None:
        if self.axes is None:
            return None
        return FittedState({"axes": self.axes, "center": self.center, **self._codebook_tensors()})

    def restore(self, state: FittedState) -> None:
        self.axes, self.center = state.tensors["axes"], state.tensors["center"]
        self._restore_codebook(state.tensors)


def _shares(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return counts divided by their row sum, sparse float64 [n, words]."""
    import scipy.sparse as sp

    sums = np.asarray(counts.sum(axis=1), np.float64).ravel()
    return sp.diags_array(1 / np.maximum(sums, 1)) @ counts.astype(np.float64)


def principal_axes(table: np.ndarray | sp.csr_matrix, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean [c] and the first principal axes [d, c] with a share `variance` of the variance of [n, c].

    The matrix can be sparse or dense. Identical rows have one axis. The axes are computed from the smaller of the
    products n x n and c x c.
    """
    n, columns = table.shape
    center = np.asarray(table.mean(axis=0)).ravel()
    if n <= columns:
        rows = np.asarray(table if isinstance(table, np.ndarray) else table.todense()) - center
        spread, left = np.linalg.eigh(rows @ rows.T)
        axes = left.T @ rows
    else:
        product = table.T @ table
        product = product if isinstance(product, np.ndarray) else product.toarray()
        spread, left = np.linalg.eigh(product - n * np.outer(center, center))
        axes = left.T
    spread, axes = spread[::-1].clip(0), axes[::-1]
    # eigenvalues of the size of rounding errors are not axes
    real = max(1, int((spread > 1e-10 * max(spread[0], 1e-300)).sum()))
    held = np.cumsum(spread[:real]) / max(spread[:real].sum(), 1e-300)
    count = min(real, 1 + int(np.searchsorted(held, variance - 1e-12)))
    axes = axes[:count] / np.maximum(np.linalg.norm(axes[:count], axis=1, keepdims=True), 1e-150)
    # an axis and its opposite are equivalent: the one whose largest number is positive is taken
    largest = axes[np.arange(count), np.abs(axes).argmax(axis=1)]
    return center, axes * np.where(largest < 0, -1.0, 1.0)[:, None]

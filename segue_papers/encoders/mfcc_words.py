"""`mfcc-words`: a clip as a bag of words of sound, reduced to the axes that hold 95 % of its variance.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, its bag of words: 13 MFCC of windows
of 1,024 samples every 512 at 22,050 Hz with first and second differences, k-means of 4,000 words, counts, principal components. Here
every one of the 39 numbers is standardised before k-means, so that loudness does not decide alone, and counts are shares of the
clip's frames, so that its length does not. No pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from segue_papers.encoders.mfcc import MfccParams, WordsEncoder
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.encoders.contract.input_faults import not_fitted


class MfccWordsParams(MfccParams):
    """variance: share of the counts' variance that the axes hold; 1 keeps every axis there is."""

    variance: float = Field(0.95, gt=0, le=1)


class MfccWordsEncoder(WordsEncoder):
    """Encodes audio as a bag of words of quantised MFCCs, reduced by principal component analysis.

    Returns float32 [n, d]; d is the number of principal axes that are kept.
    """

    name: ClassVar[str] = "mfcc-words"
    learns: ClassVar[bool] = True
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
        """Learn words and axes from n >= 1 files. Raises `InputError` where none can be read."""
        self._learn_words(inputs, progress)
        _, counts = self._counts(inputs, progress, f"count {self.name}")
        self.center, self.axes = principal_axes(_shares(counts), self.params.variance)
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]; NaN for a file that cannot be read."""
        axes, out = self._fitted(), self._rows(inputs)
        places, counts = self._counts(inputs, progress, self.name)
        out[places] = _shares(counts) @ axes.T - self.center @ axes.T
        return out

    def _fitted(self) -> np.ndarray:
        if self.axes is None:
            raise not_fitted(self.name)
        return self.axes

    def save(self, directory: Path) -> None:
        tensors = None if self.axes is None else {"axes": self.axes, "center": self.center, **self._word_tensors()}
        save_encoder(self, directory, tensors)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        encoder, tensors, _ = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.axes, encoder.center = tensors["axes"], tensors["center"]
            encoder._adopt_words(tensors)
        return encoder


def _shares(counts: Any) -> Any:
    """Counts over their row's sum: sparse float64 [n, words]."""
    import scipy.sparse as sp

    sums = np.asarray(counts.sum(axis=1), np.float64).ravel()
    return sp.diags_array(1 / np.maximum(sums, 1)) @ counts.astype(np.float64)


def principal_axes(table: Any, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean [c] and the first axes [d, c] that hold `variance` of a sparse or dense [n, c]; one axis where all rows are equal.

    Through whichever of the n x n and the c x c products is smaller.
    """
    n, columns = table.shape
    center = np.asarray(table.mean(axis=0)).ravel()
    if n <= columns:
        rows = np.asarray(table.todense() if hasattr(table, "todense") else table) - center
        spread, left = np.linalg.eigh(rows @ rows.T)
        axes = left.T @ rows
    else:
        product = table.T @ table
        product = product.toarray() if hasattr(product, "toarray") else product
        spread, left = np.linalg.eigh(product - n * np.outer(center, center))
        axes = left.T
    spread, axes = spread[::-1].clip(0), axes[::-1]
    # what rounding left is no axis
    real = max(1, int((spread > 1e-10 * max(spread[0], 1e-300)).sum()))
    held = np.cumsum(spread[:real]) / max(spread[:real].sum(), 1e-300)
    count = min(real, 1 + int(np.searchsorted(held, variance - 1e-12)))
    axes = axes[:count] / np.maximum(np.linalg.norm(axes[:count], axis=1, keepdims=True), 1e-150)
    # an axis and its opposite are the same: the one whose largest number is positive is taken
    largest = axes[np.arange(count), np.abs(axes).argmax(axis=1)]
    return center, axes * np.where(largest < 0, -1.0, 1.0)[:, None]

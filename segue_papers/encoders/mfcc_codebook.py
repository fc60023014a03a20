"""Base class for the two encoders that count quantised MFCC frames with a codebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.contract.content_hash import digests, hashed_normals
from toolkit.encoders.contract.encoder import Audio, Progress, Tensors
from toolkit.encoders.features.standardise import Standardiser
from toolkit.packages import AUDIO_SKLEARN, LIBROSA, Package
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import scipy.sparse as sp

NEIGHBOURS = 9
"""Frames over which differences are computed, the default of librosa."""
BLOCK = 1024
"""Frames whose distances to all words are in memory at once."""


class MfccParams(AudioParams):
    """Parameters of MFCC frames and their codebook.

    - coefficients: number of MFCCs per frame, to which first and second differences are added.
    - fft, hop: number of samples in a frame, and number of samples between frames.
    - words: size of the codebook, at most the number of training frames.
    - frames: maximum number of training frames, drawn from all files.
    """

    coefficients: int = Field(13, ge=1, le=128)
    fft: int = Field(1024, ge=16)
    hop: int = Field(512, ge=1)
    words: int = Field(4000, ge=1)
    frames: int = Field(400_000, ge=1)


def mfcc(samples: np.ndarray, params: MfccParams) -> np.ndarray:
    """Return MFCCs with first and second differences, float32 [frames, 3 · coefficients]."""
    import librosa

    padded = np.pad(samples, (0, max(0, params.fft - len(samples))))
    coefficients = librosa.feature.mfcc(
        y=padded, sr=params.rate, n_mfcc=params.coefficients, n_fft=params.fft, hop_length=params.hop
    )
    # differences need 9 frames: the last frame is repeated at the edges of a clip, and in a shorter clip
    margin = NEIGHBOURS // 2
    wide = np.pad(coefficients, ((0, 0), (margin, margin)), mode="edge")
    inner = slice(margin, margin + coefficients.shape[1])
    deltas = [librosa.feature.delta(wide, order=order, width=NEIGHBOURS)[:, inner] for order in (1, 2)]
    return np.ascontiguousarray(np.concatenate([coefficients, *deltas]).T, np.float32)


class CodebookEncoder(AudioEncoder):
    """Base class for encoders that count the nearest codebook word of each frame in a clip."""

    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA, AUDIO_SKLEARN)
    params: MfccParams
    standardiser: Standardiser | None = None
    words: np.ndarray
    """float32 [words, 3 · coefficients], in the units of standardised frames."""

    def _learn_words(self, inputs: Audio, progress: Progress | None) -> None:
        """Fit the codebook by k-means to at most `frames` frames. Raises `InputError` if no file can be read."""
        from sklearn.cluster import MiniBatchKMeans

        sample, content = _Sample(self.params.frames), digests("audio", inputs)
        for index, samples in self._clips(inputs, progress, f"decode for {self.name}"):
            frames = mfcc(samples, self.params)
            sample.add(frames, hashed_normals(content[index : index + 1], len(frames), seed=self.seed)[0])
        table = sample.frames
        if not len(table):
            raise self._all_unreadable(inputs)
        self.standardiser = Standardiser.fit(table)
        count = min(self.params.words, len(np.unique(table, axis=0)))
        random = derived_seed(self.seed, self.name, "words") % 2**32
        means = MiniBatchKMeans(count, batch_size=max(4096, 2 * count), n_init=1, random_state=random)
        self.words = means.fit(self.standardiser.apply(table)).cluster_centers_.astype(np.float32)

    def _counts(self, inputs: Audio, progress: Progress | None, what: str) -> tuple[np.ndarray, sp.csr_matrix]:
        """Return indices of the m readable files, int64 [m], and their word counts, float32 [m, words]."""
        import scipy.sparse as sp

        assert self.standardiser is not None
        indices, words, times = list[int](), list[np.ndarray](), list[np.ndarray]()
        for index, samples in self._clips(inputs, progress, what):
            nearest = self._nearest(self.standardiser.apply(mfcc(samples, self.params)))
            indices.append(index)
            for parts, part in zip((words, times), np.unique(nearest, return_counts=True), strict=True):
                parts.append(part)
        columns = np.concatenate([np.zeros(0, np.int64), *words])
        values = np.concatenate([np.zeros(0, np.float32), *times]).astype(np.float32)
        ends = np.cumsum([0, *map(len, words)])
        shape = (len(indices), len(self.words))
        return np.array(indices, np.int64), sp.csr_matrix((values, columns, ends), shape=shape)

    def _nearest(self, frames: np.ndarray) -> np.ndarray:
        """Return the nearest word of each frame, int64 [frames]."""
        half = 0.5 * np.square(self.words).sum(axis=1)
        parts = [
            (frames[low : low + BLOCK] @ self.words.T - half).argmax(axis=1) for low in range(0, len(frames), BLOCK)
        ]
        return np.concatenate(parts)

    def _codebook_tensors(self) -> Tensors:
        assert self.standardiser is not None
        return {"words": self.words, **self.standardiser.tensors()}

    def _restore_codebook(self, tensors: Tensors) -> None:
        self.words, self.standardiser = tensors["words"], Standardiser.restored(tensors)


class _Sample:
    """Random sample of at most `most` frames in bounded memory.

    Every frame is passed with a random number, and the frames with the smallest numbers are kept. A file therefore does
    not change which frames of other files are drawn.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, frames: np.ndarray, lots: np.ndarray) -> None:
        """Add frames float32 [f, c] with their random numbers [f]."""
        self.kept.append((frames, lots))
        if sum(len(lots) for _, lots in self.kept) > 2 * self.most:
            self._thin()

    @property
    def frames(self) -> np.ndarray:
        """Return the sampled frames, float32 [<= most, c], in the order in which they were added."""
        self._thin()
        return self.kept[0][0] if self.kept else np.zeros((0, 0), np.float32)

    def _thin(self) -> None:
        if self.kept:
            frames, lots = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
            chosen = np.sort(np.argsort(lots, kind="stable")[: self.most])
            self.kept = [(frames[chosen], lots[chosen])]

"""Frames of MFCC and their vector quantisation: what the two encoders over words of sound share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.contract.content_hash import digests, hashed_normals
from toolkit.encoders.contract.encoder import Audio, Progress
from toolkit.encoders.contract.encoder_files import Tensors
from toolkit.encoders.features.standardise import Standardiser
from toolkit.packages import LIBROSA, Package
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import scipy.sparse as sp

NEIGHBOURS = 9
"""Frames over which differences are taken, librosa's default."""
BLOCK = 1024
"""Frames whose distances to all words are held at once."""


class MfccParams(AudioParams):
    """coefficients: of each frame, with their first and second differences beside them. fft, hop: samples of a frame, and between
    frames. words: of the codebook, never more than the frames learned from. frames: most that it is learned from, drawn from all files."""

    coefficients: int = Field(13, ge=1, le=128)
    fft: int = Field(1024, ge=16)
    hop: int = Field(512, ge=1)
    words: int = Field(4000, ge=1)
    frames: int = Field(400_000, ge=1)


def mfcc(samples: np.ndarray, params: MfccParams) -> np.ndarray:
    """Coefficients and their first and second differences: float32 [frames, 3 · coefficients]."""
    import librosa

    padded = np.pad(samples, (0, max(0, params.fft - len(samples))))
    found = librosa.feature.mfcc(
        y=padded, sr=params.rate, n_mfcc=params.coefficients, n_fft=params.fft, hop_length=params.hop
    )
    # differences are fitted over 9 frames: the edges of a clip, and clips that are shorter, are continued by their last frame
    around = NEIGHBOURS // 2
    wide = np.pad(found, ((0, 0), (around, around)), mode="edge")
    kept = slice(around, around + found.shape[1])
    parts = [found, *(librosa.feature.delta(wide, order=order, width=NEIGHBOURS)[:, kept] for order in (1, 2))]
    return np.ascontiguousarray(np.concatenate(parts).T, np.float32)


class WordsEncoder(AudioEncoder):
    """An encoder over counts of words of sound: frames to their nearest word, a clip to how often it has each."""

    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)
    params: MfccParams
    standardiser: Standardiser | None = None
    words: np.ndarray
    """float32 [words, 3 · coefficients], of standardised frames."""

    def _learn_words(self, inputs: Audio, progress: Progress | None) -> None:
        """k-means over at most `frames` frames of all files. Raises `InputError` where no file can be read."""
        from sklearn.cluster import MiniBatchKMeans

        sample, marks = _Sample(self.params.frames), digests("audio", inputs)
        for place, samples in self._heard(inputs, progress, f"hear {self.name}"):
            frames = mfcc(samples, self.params)
            sample.add(frames, hashed_normals(marks[place : place + 1], len(frames), seed=self.seed)[0])
        table = sample.frames
        if not len(table):
            raise self._nothing_heard(inputs)
        self.standardiser = Standardiser.fit(table)
        count = min(self.params.words, len(np.unique(table, axis=0)))
        random = derived_seed(self.seed, self.name, "words") % 2**32
        means = MiniBatchKMeans(count, batch_size=max(4096, 2 * count), n_init=1, random_state=random)
        self.words = means.fit(self.standardiser.apply(table)).cluster_centers_.astype(np.float32)

    def _counts(self, inputs: Audio, progress: Progress | None, what: str) -> tuple[np.ndarray, sp.csr_matrix]:
        """Places of the readable files, int64 [m], and how often each has each word: float32 [m, words], rows in that order."""
        import scipy.sparse as sp

        assert self.standardiser is not None
        places, found = list[int](), list[np.ndarray]()
        indices, ends = list[np.ndarray](), [0]
        for place, samples in self._heard(inputs, progress, what):
            words, times = np.unique(
                self._nearest(self.standardiser.apply(mfcc(samples, self.params))), return_counts=True
            )
            places.append(place)
            indices.append(words)
            found.append(times.astype(np.float32))
            ends.append(ends[-1] + len(words))
        columns = np.concatenate(indices) if indices else np.zeros(0, np.int64)
        values = np.concatenate(found) if found else np.zeros(0, np.float32)
        return np.array(places, np.int64), sp.csr_matrix((values, columns, ends), shape=(len(places), len(self.words)))

    def _nearest(self, frames: np.ndarray) -> np.ndarray:
        """Number of the nearest word of each frame: int64 [frames]."""
        half = 0.5 * np.square(self.words).sum(axis=1)
        parts = [
            (frames[low : low + BLOCK] @ self.words.T - half).argmax(axis=1) for low in range(0, len(frames), BLOCK)
        ]
        return np.concatenate(parts)

    def _word_tensors(self) -> Tensors:
        assert self.standardiser is not None
        return {"words": self.words, **self.standardiser.tensors()}

    def _adopt_words(self, tensors: Tensors) -> None:
        self.words = tensors["words"]
        self.standardiser = Standardiser(tensors["mean"], tensors["scale"])


class _Sample:
    """A random sample of frames in bounded memory. Lots come with the frames, so that one file never changes what another gives."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, frames: np.ndarray, lots: np.ndarray) -> None:
        """float32 [f, c] and their lots [f]; the smallest stay."""
        self.kept.append((frames, lots))
        if sum(len(lots) for _, lots in self.kept) > 2 * self.most:
            self._thin()

    @property
    def frames(self) -> np.ndarray:
        """float32 [<= most, c], in the order they came."""
        self._thin()
        return self.kept[0][0] if self.kept else np.zeros((0, 0), np.float32)

    def _thin(self) -> None:
        if self.kept:
            frames, lots = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
            chosen = np.sort(np.argsort(lots, kind="stable")[: self.most])
            self.kept = [(frames[chosen], lots[chosen])]

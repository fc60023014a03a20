"""Constant-Q transform for batches of signals, equal to `librosa.cqt`, in torch on any device.

Source: Schörkhuber and Klapuri, "Constant-Q transform toolbox for music processing", 2010. The filters of one octave
are applied again to the signal at half the rate for each lower octave. librosa 0.11 recomputes its filters in every
call and a Fourier transform for every frame. Here both the resampling (with the impulse response of librosa's
resampler) and the octaves are matrix products over the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

C1 = 32.70319566257483
"""Lowest frequency in Hz."""
BLOCK = 32
"""Outputs per row of a halving product. Larger rows multiply more zeros, and smaller rows are slower (measured)."""
TOGETHER = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Number of samples per batch, which fits into the caches of a CPU or the memory of a GPU."""


@dataclass(frozen=True)
class Cqt:
    """Constant-Q transform with the defaults of librosa.

    Windows are Hann windows. Filters have unit norm and are scaled by the square root of their length. Signals are
    padded with zeros.

    - rate: samples per second.
    - hop: number of samples between frames.
    - bins: number of frequencies, a multiple of per_octave.
    - fmin: lowest frequency in Hz.

    Raises `InputError` if the hop cannot be halved for every octave, or if the highest frequency exceeds the Nyquist
    frequency.
    """

    rate: int = 22050
    hop: int = 1024
    bins: int = 96
    per_octave: int = 12
    fmin: float = C1

    def __post_init__(self) -> None:
        if self.bins < 1 or self.bins % self.per_octave:
            raise InputError(
                f"bins={self.bins} must be a multiple of per_octave={self.per_octave}: change bins or per_octave"
            )
        if self.hop < 1 or self.hop % 2 ** (self.octaves - 1):
            raise InputError(
                f"hop={self.hop} must be a multiple of {2 ** (self.octaves - 1)} because {self.octaves} octaves halve "
                "the hop: change hop or reduce bins"
            )
        top = self.fmin * 2 ** (self.bins / self.per_octave)
        if top > self.rate / 2:
            raise InputError(
                f"bins={self.bins} reach {top:.0f} Hz, above the Nyquist frequency {self.rate / 2:.0f} Hz: reduce bins "
                "or raise rate"
            )

    @property
    def octaves(self) -> int:
        return self.bins // self.per_octave

    def frames(self, samples: int) -> int:
        """Return the number of frames of a signal. Frames are centred on the samples 0, hop, 2 hop, …"""
        return 1 + samples // self.hop

    def __call__(self, signals: Tensor) -> Tensor:
        """Return complex64 [batch, bins, frames] for float32 [batch, samples]."""
        import torch

        if not len(signals):
            shape = (0, self.bins, self.frames(signals.shape[1]))
            return torch.zeros(shape, dtype=torch.complex64, device=signals.device)
        at_once = max(1, TOGETHER[signals.device.type] // max(1, signals.shape[1]))
        return torch.cat([self._transform(part) for part in signals.split(at_once)])

    def _transform(self, signals: Tensor) -> Tensor:
        import torch

        batch, samples = signals.shape
        frames = self.frames(samples)
        filters = _kernel(self.rate, self.per_octave, self.fmin * 2 ** (self.octaves - 1))
        kernel = torch.from_numpy(filters).to(signals.device)
        size, hop = len(kernel), self.hop
        cut = signals.new_empty(self.octaves, batch, frames, size)
        for octave in range(self.octaves):
            if octave:
                signals, hop = halved(signals), hop // 2
            padded = torch.nn.functional.pad(signals, (size // 2, size // 2 + hop))
            cut[octave] = padded.unfold(1, size, hop)[:, :frames]
        bins = cut.view(-1, size) @ kernel  # (octave · batch · frame, 2 · per_octave)
        bins = bins.view(self.octaves, batch, frames, self.per_octave, 2)
        # the highest octave comes first
        return torch.view_as_complex(bins.flip(0)).permute(1, 0, 3, 2).reshape(batch, self.bins, frames)

    def decibels(self, signals: Tensor, *, span: float = 80.0) -> Tensor:
        """Return log-magnitudes relative to the loudest bin of each signal, float32 [batch, bins, frames].

        Values are 1 at the loudest bin, and 0 for silence and for bins at least `span` dB quieter than the loudest bin.
        """
        size = self(signals).abs()
        peak = size.amax(dim=(1, 2), keepdim=True)
        level = 20 * (size / peak.clamp_min(1e-10)).clamp_min(1e-10).log10()
        return (1 + level / span).clamp(0, 1) * (peak > 1e-10)


def halved(signals: Tensor) -> Tensor:
    """Resample signals to half their rate and multiply by the square root of 2, [batch, n] -> [batch, ceil(n / 2)].

    The result equals `librosa.resample(…, scale=True)`. The filter is cut into square matrices. Each row of 2 · BLOCK
    samples is multiplied by one matrix for the row and by one matrix for each following row.
    """
    import torch

    batch, samples = signals.shape
    squares = torch.from_numpy(_squares()).to(signals.device)
    size, reach = 2 * BLOCK, _taps()[1]
    rows = -(-samples // size)
    after = len(squares) - 1
    padded = torch.nn.functional.pad(signals, (reach, (rows + after) * size - samples - reach)).view(-1, size)
    last = len(padded) - after
    out = padded[:last] @ squares[0]
    for row in range(1, after + 1):
        out.addmm_(padded[row : row + last], squares[row])
    whole = torch.nn.functional.pad(out, (0, 0, 0, after)).view(batch, (rows + after) * BLOCK)
    return whole[:, : -(-samples // 2)]


@lru_cache(maxsize=8)
def _kernel(rate: int, per_octave: int, lowest: float) -> np.ndarray:
    """Return the filters of the highest octave over samples, float32 [size, 2 · per_octave].

    Real and imaginary parts alternate. As in librosa, the weakest hundredth of each filter's spectrum is dropped.
    """
    import librosa

    frequencies = lowest * 2.0 ** (np.arange(per_octave) / per_octave)
    # bandwidths relative to those of the neighbours, which are the same for every bin of an equal temperament
    octave = 2.0 ** (2.0 / per_octave)
    alpha = (octave - 1) / (octave + 1)
    basis, lengths = librosa.filters.wavelet(
        freqs=frequencies, sr=rate, norm=1, pad_fft=True, window="hann", gamma=0, alpha=alpha
    )
    size = basis.shape[1]
    spectrum = np.fft.fft(basis * (lengths[:, None] / size), axis=1)[:, : size // 2 + 1]
    kept = librosa.util.sparsify_rows(spectrum, quantile=0.01).toarray()
    filters = kept @ np.fft.rfft(np.eye(size), axis=1).T / np.sqrt(lengths)[:, None]  # (per_octave, size)
    return np.ascontiguousarray(
        np.stack([filters.real, filters.imag], axis=-1).transpose(1, 0, 2).reshape(size, -1), np.float32
    )


@lru_cache(maxsize=1)
def _taps() -> tuple[np.ndarray, int]:
    """Return the halving filter of librosa times the square root of 2, float64 [2 · reach + 1], and its reach."""
    import soxr

    middle, reach = 2048, 192
    taps = np.zeros(2 * reach + 1)
    for phase in (0, 1):
        impulse = np.zeros(2 * middle)
        impulse[middle + phase] = 1
        response = soxr.resample(impulse, 2, 1, quality="soxr_hq")
        # output n at input 2 n meets the impulse at the offset middle + phase - 2 n
        offsets = middle + phase - 2 * np.arange(len(response))
        near = np.abs(offsets) <= reach
        taps[offsets[near] + reach] = response[near]
    return taps * np.sqrt(2), reach


@lru_cache(maxsize=1)
def _squares() -> np.ndarray:
    """Return the filter as matrices, float32 [squares, 2 · BLOCK, BLOCK], one per following row."""
    taps, _ = _taps()
    size = 2 * BLOCK
    count = 1 + -(-(len(taps) - 1 + size - 1) // size)
    offset = np.arange(count * size)[:, None] - 2 * np.arange(BLOCK)[None]
    inside = (offset >= 0) & (offset < len(taps))
    table = np.where(inside, taps[offset.clip(0, len(taps) - 1)], 0.0)
    kept = table.reshape(count, size, BLOCK)
    return np.ascontiguousarray(kept[np.abs(kept).max(axis=(1, 2)) > 0], np.float32)

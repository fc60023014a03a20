"""`audio-features`: the eleven audio features of `features`, computed from local audio files with librosa.

The feature names are listed in `toolkit.constants.AUDIO_FEATURES`. Four of the features are measured:

- tempo: beats per minute, from `librosa.feature.tempo`.
- key, mode: pitch class (C is 0), and 1 for major or 0 for minor. Key and mode are taken from the profile with the
  highest correlation with the mean chroma of the constant-Q transform (Krumhansl, "Cognitive foundations of musical
  pitch", 1990, chapter 4).
- loudness: dB of the mean square, from -60 to 0, where 0 is full scale.

The other seven are our own estimates between 0 and 1 and are not validated with listeners:

- energy: loudness rescaled from -60…0 dB to 0…1.
- danceability: regularity of the pulse, measured as the highest autocorrelation of the onset strength between 60 and
  200 beats per minute.
- speechiness: share of frames below half the mean amplitude, because speech has pauses (Scheirer and Slaney 1997,
  "low-energy frames").
- acousticness: one minus the 85 % spectral rolloff divided by the Nyquist frequency.
- instrumentalness: one minus the share of modulation at 2 to 8 Hz, the syllable rate, in the band from 300 to 3,400 Hz
  (same paper).
- liveness: tenth percentile of the frame amplitudes divided by their median.
- valence: sum of the tempo and the lead of the best major profile over the best minor profile.

Features from other sources, such as a streaming service, have other scales. A catalogue therefore stores the source,
here `librosa`, with the values and rejects a column with two sources. The encoder standardises each column over the
training tracks.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from toolkit.constants import AUDIO_FEATURES
from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.contract.encoder import Audio, Progress
from toolkit.encoders.features.standardise import Standardiser, StandardisingEncoder
from toolkit.packages import LIBROSA, Package

if TYPE_CHECKING:
    from toolkit.encoders.audio.cqt_transform import Cqt

SOURCE = "librosa"
"""Source of these features in a catalogue."""
FFT, HOP = 2048, 512
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
"""Profiles of Krumhansl and Kessler, from the tonic upwards."""


class AudioFeaturesEncoder(StandardisingEncoder, AudioEncoder):
    """Audio encoder with eleven features, such as tempo and key, computed by librosa.

    Takes n files and returns float32 [n, 11], each column standardised.
    """

    name: ClassVar[str] = "audio-features"
    source: ClassVar[str] = "librosa; Krumhansl 1990; Scheirer and Slaney 1997"
    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)
    params: AudioParams

    @property
    def dim(self) -> int:
        return len(AUDIO_FEATURES)

    def fit(
        self,
        inputs: Audio,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn the mean and standard deviation of each column from n >= 1 files.

        Raises `InputError` if no file can be read.
        """
        rows = self.measured(inputs, progress=progress)
        readable = rows[~np.isnan(rows).all(axis=1)]
        if not len(readable):
            raise self._all_unreadable(inputs)
        self.standardiser = Standardiser.fit(readable)
        return self

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, 11] for n files, with a row of NaN for each unreadable file."""
        standardiser, out = self._fitted(), self.measured(inputs, progress=progress)
        readable = ~np.isnan(out).all(axis=1)
        out[readable] = standardiser.apply(out[readable])
        return out

    def measured(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return the features before standardisation, float32 [n, 11], in the order of `AUDIO_FEATURES`.

        The row of an unreadable file is NaN.
        """
        out = self._nan_rows(inputs)
        for index, samples in self._clips(inputs, progress, self.name):
            out[index] = measure(samples, self.params.rate)
        return out


def measure(samples: np.ndarray, rate: int) -> np.ndarray:
    """Compute eleven finite features, float32 [11], from the samples of a clip, float32 [s >= 1]."""
    import librosa

    padded = np.pad(samples, (0, max(0, FFT - len(samples))))
    spectrum = np.abs(librosa.stft(padded, n_fft=FFT, hop_length=HOP))
    amplitude = librosa.feature.rms(y=padded, frame_length=FFT, hop_length=HOP)[0]
    onsets = librosa.onset.onset_strength(
        S=librosa.power_to_db(librosa.feature.melspectrogram(S=spectrum**2, sr=rate)), sr=rate, hop_length=HOP
    )
    tempo = float(librosa.feature.tempo(onset_envelope=onsets, sr=rate, hop_length=HOP)[0]) if onsets.any() else 0.0
    loudness = max(-60.0, 10 * np.log10(max(float(np.square(samples, dtype=np.float64).mean()), 1e-12)))
    key, mode, majority = tonality(samples, rate)
    values = {
        "tempo": tempo,
        "key": key,
        "mode": mode,
        "loudness": loudness,
        "energy": 1 + loudness / 60,
        "danceability": _pulse(onsets, rate / HOP),
        "speechiness": float((amplitude < 0.5 * amplitude.mean()).mean()),
        "acousticness": 1 - float(librosa.feature.spectral_rolloff(S=spectrum, sr=rate).mean()) / (rate / 2),
        "instrumentalness": 1 - _syllables(spectrum, rate),
        "liveness": float(np.quantile(amplitude, 0.1) / max(float(np.median(amplitude)), 1e-12)),
        "valence": 0.5 + 0.25 * majority + 0.25 * (tempo - 120) / 120,
    }
    bounded = {
        name: value if name in ("tempo", "key", "mode", "loudness") else min(1.0, max(0.0, value))
        for name, value in values.items()
    }
    return np.array([bounded[name] for name in AUDIO_FEATURES], np.float32)


def tonality(samples: np.ndarray, rate: int) -> tuple[int, int, float]:
    """Return the key (0…11), the mode (1 for major, 0 for minor) and the lead of major over minor (-1…1).

    The lead is the best major correlation minus the best minor correlation. Silence returns 0, 1 and 0.
    """
    import torch

    size = _transform(rate)(torch.from_numpy(np.ascontiguousarray(samples))[None]).abs()[0].mean(dim=1)
    chroma = size.view(-1, 12).sum(dim=0).double().numpy()  # the transform begins at a C
    if chroma.max() < 1e-9 or np.ptp(chroma) < 1e-12:
        return 0, 1, 0.0
    fits = np.array(
        [[np.corrcoef(np.roll(profile, key), chroma)[0, 1] for key in range(12)] for profile in (MINOR, MAJOR)]
    )
    mode, key = divmod(int(fits.argmax()), 12)
    return key, mode, float(np.clip(fits[1].max() - fits[0].max(), -1, 1))


@lru_cache(maxsize=8)
def _transform(rate: int) -> Cqt:
    """Return the constant-Q transform of up to eight octaves above C1 and below the Nyquist frequency."""
    from toolkit.encoders.audio.cqt_transform import C1, Cqt

    octaves = min(8, int(np.log2(rate / 2 / C1)))
    return Cqt(rate=rate, bins=12 * octaves)


def _pulse(onsets: np.ndarray, frames_a_second: float) -> float:
    """Return the highest autocorrelation of the onset strength at 60 to 200 beats per minute, or 0 without a pulse."""
    centered = onsets - onsets.mean()
    power = float(centered @ centered)
    lags = range(round(frames_a_second * 60 / 200), min(round(frames_a_second), len(onsets) - 1) + 1)
    if power < 1e-12 or not len(lags):
        return 0.0
    return max(float(centered[lag:] @ centered[: len(centered) - lag]) for lag in lags) / power


def _syllables(spectrum: np.ndarray, rate: int) -> float:
    """Return the share of modulation at 2 to 8 Hz in the band from 300 to 3,400 Hz, from 0 to 1."""
    frequencies = np.arange(len(spectrum)) * rate / FFT
    envelope = spectrum[(frequencies >= 300) & (frequencies <= 3400)].sum(axis=0)
    modulation = np.square(np.abs(np.fft.rfft(envelope - envelope.mean())))
    rates = np.fft.rfftfreq(len(envelope), HOP / rate)
    whole = float(modulation.sum())
    return float(modulation[(rates >= 2) & (rates <= 8)].sum() / whole) if whole > 1e-9 else 0.0

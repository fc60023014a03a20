"""`cqt`: the constant-Q spectrogram of a track's middle as it is, for networks that take raw sound beside other modalities.

Source: Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start music recommendation", 2017, the input of their track
embeddings: log-magnitude CQT of 96 bins (12 an octave, 22,050 Hz, hop 1,024, Hann) over 15 s. 124 kB a track, 12 GB for 100,000: a
larger hop or fewer bins take less. No pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.audio.cqt_transform import Cqt
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.errors import InputError
from toolkit.packages import LIBROSA, Package

TOGETHER = 16
"""Files that are transformed at once."""


class CqtParams(AudioParams):
    """A file shorter than `seconds` ends in silence."""

    seconds: float = Field(15.0, gt=0, le=600)
    bins: int = Field(96, ge=1)
    per_octave: int = Field(12, ge=1)
    hop: int = Field(1024, ge=1)

    @model_validator(mode="after")
    def _transforms(self) -> Self:
        try:
            self.transform()
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def samples(self) -> int:
        return round(self.seconds * self.rate)

    def transform(self) -> Cqt:
        return Cqt(rate=self.rate, hop=self.hop, bins=self.bins, per_octave=self.per_octave)

    def frames(self) -> int:
        return self.transform().frames(self.samples())

    def spectrograms(self, clips: list[np.ndarray], device: str) -> np.ndarray:
        """Samples of several clips -> decibels float32 [n, bins, frames]."""
        import torch

        size = self.samples()
        padded = np.stack([np.pad(clip[:size], (0, max(0, size - len(clip)))) for clip in clips])
        return self.transform().decibels(torch.from_numpy(padded).to(device)).cpu().numpy()


class CqtEncoder(AudioEncoder):
    """Computes the constant-Q spectrogram of the middle 15 s of an audio file.

    Returns float32 [n, bins · frames], one bin after the other.
    """

    name: ClassVar[str] = "cqt"
    seeded: ClassVar[bool] = False
    source: ClassVar[str] = "Oramas et al. 2017, input of the track embeddings"
    Params: ClassVar[type[EncoderParams]] = CqtParams
    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, LIBROSA)
    params: CqtParams

    @property
    def dim(self) -> int:
        return self.params.bins * self.params.frames()

    @property
    def least(self) -> int:
        return self.params.samples()

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]; NaN for a file that cannot be read."""
        out = self._rows(inputs)
        places: list[int] = []
        clips: list[np.ndarray] = []
        for place, samples in self._heard(inputs, progress, self.name):
            places.append(place)
            clips.append(samples)
            if len(places) == TOGETHER:
                out[places] = self._flat(clips)
                places, clips = [], []
        if places:
            out[places] = self._flat(clips)
        return out

    def _flat(self, clips: list[np.ndarray]) -> np.ndarray:
        return self.params.spectrograms(clips, self.device).reshape(len(clips), -1)

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        return load_encoder(cls, directory, device=device)[0]

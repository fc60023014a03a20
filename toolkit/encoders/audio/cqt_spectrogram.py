"""`cqt`: constant-Q spectrogram of the middle of a track, an input for networks over several modalities.

Source: input of the track embeddings in Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start
music recommendation", 2017, a log-magnitude CQT with 96 bins (12 per octave, 22,050 Hz, hop 1,024, Hann) over 15 s. A
track takes 124 kB, and 100,000 tracks take 12 GB. Raise the hop or reduce the bins to save space. No pretrained
weights.
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioParams
from toolkit.encoders.audio.cqt_transform import Cqt
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.errors import InputError
from toolkit.packages import LIBROSA, Package


class CqtParams(AudioParams):
    """Parameters of the constant-Q transform. Files shorter than `seconds` are padded with silence.

    - bins: number of frequencies from C1 upwards, a multiple of per_octave.
    - per_octave: number of frequencies per octave.
    - hop: number of samples between frames.
    """

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
        """Return scaled decibels between 0 and 1, float32 [n, bins, frames], for the samples of n clips."""
        import torch

        size = self.samples()
        padded = np.stack([np.pad(clip[:size], (0, max(0, size - len(clip)))) for clip in clips])
        return self.transform().decibels(torch.from_numpy(padded).to(device)).cpu().numpy()


class CqtEncoder(AudioEncoder):
    """Audio encoder with the constant-Q spectrogram of the middle 15 s of a file.

    Takes n files and returns float32 [n, bins · frames], decibels scaled to 0…1 and ordered by bin, then by frame.
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
    def min_samples(self) -> int:
        return self.params.samples()

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n files, with NaN for unreadable files."""
        out = self._nan_rows(inputs)
        for indices, clips in self._clip_batches(inputs, progress, self.name):
            out[indices] = self.params.spectrograms(clips, self.device).reshape(len(clips), -1)
        return out

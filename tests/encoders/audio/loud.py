"""A smallest encoder of audio: its loudness and its length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.encoders.audio.audio_encoder import AudioEncoder
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder


class Loud(AudioEncoder):
    name = "loud"
    source = "tests"

    @property
    def dim(self) -> int:
        return 2

    def transform(self, inputs, *, progress=None):
        rows = self._rows(inputs)
        for place, samples in self._heard(inputs, progress, "hear"):
            rows[place] = np.sqrt(np.square(samples).mean()), len(samples)
        return rows

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory, *, device="cpu"):
        return load_encoder(cls, directory, device=device)[0]

"""Base class of the encoders of audio files: parameters, decoding, and what happens to a file that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.encoder import Audio, Encoder, EncoderParams, FailureText, Kind, Progress
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import InputError
from toolkit.packages import SOUNDFILE, SOXR, Package

BATCH = 16
"""Files that go through a transform or a network at once."""


class AudioFileParams(EncoderParams):
    """Parameters of every encoder of audio files.

    - seconds: how much of each file is used, from its middle.
    - on_error: `skip` makes the track of a file that cannot be read absent, with a warning that counts such files.
      `stop` ends the run with the reason.
    """

    seconds: float = Field(30.0, gt=0, le=600)
    on_error: Literal["skip", "stop"] = "skip"


class AudioParams(AudioFileParams):
    """rate: samples per second to which files are resampled."""

    rate: int = Field(22050, ge=4000, le=96000)


class AudioEncoder(Encoder):
    """An encoder of audio files of any format that `toolkit.encoders.audio.decode_worker` reads.

    Its inputs are the contents of the files, or paths in `toolkit.encoders.contract.field_values.Files`.
    """

    kind: ClassVar[Kind] = "audio"
    can_fail: ClassVar[bool] = True
    failure_text: ClassVar[FailureText] = FailureText(some="that cannot be read or is too short")
    requires: ClassVar[tuple[Package, ...]] = (SOUNDFILE, SOXR)
    Params: ClassVar[type[EncoderParams]] = AudioParams
    params: AudioFileParams

    @property
    def min_samples(self) -> int:
        """Number of samples that the encoder reads at once. A shorter clip is followed by silence."""
        return 0

    @property
    def sample_rate(self) -> int:
        """Samples per second to which files are resampled."""
        assert isinstance(self.params, AudioParams)
        return self.params.rate

    def _clips(self, inputs: Audio, progress: Progress | None, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the files. Yields index and samples, float32 [s], of each file that can be read.

        Raises `BadInput` for a file that cannot be read if `on_error` is `stop`.
        """
        self.short_inputs = short = list[int]()
        decoded = waveforms(inputs, rate=self.sample_rate, seconds=self.params.seconds)
        for index, samples in enumerate(decoded):
            if not isinstance(samples, BadInput):
                if len(samples) < self.min_samples:
                    short.append(index)
                yield index, samples
            elif self.params.on_error == "stop":
                raise BadInput(index, samples.why)
            if progress is not None:
                progress(index + 1, len(inputs), what)

    def _clip_batches(
        self, inputs: Audio, progress: Progress | None, what: str
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Indices and samples of `BATCH` readable files at a time."""
        indices, clips = list[int](), list[np.ndarray]()
        for index, samples in self._clips(inputs, progress, what):
            indices.append(index)
            clips.append(samples)
            if len(indices) == BATCH:
                yield indices, clips
                indices, clips = [], []
        if indices:
            yield indices, clips

    def _nan_rows(self, inputs: Audio) -> np.ndarray:
        """The output before any file is read: float32 [n, d], all NaN."""
        return np.full((len(inputs), self.dim), np.nan, np.float32)

    def _all_unreadable(self, inputs: Audio) -> InputError:
        return InputError(f"{self.name}: none of {len(inputs)} audio files can be read: {self.failure_text.cure}")

"""Base class for encoders of audio files, with parameters, decoding and the handling of unreadable files."""

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
"""Number of files per batch of a transform or a network."""


class AudioFileParams(EncoderParams):
    """Parameters of every encoder of audio files.

    - seconds: length of the excerpt from the middle of each file, in seconds.
    - on_error: `skip` makes the track of an unreadable file absent and warns with the number of such files. `stop` ends
      the run with the reason.
    """

    seconds: float = Field(30.0, gt=0, le=600)
    on_error: Literal["skip", "stop"] = "skip"


class AudioParams(AudioFileParams):
    """Parameters of an audio encoder that resamples its files.

    - rate: samples per second after resampling.
    """

    rate: int = Field(22050, ge=4000, le=96000)


class AudioEncoder(Encoder):
    """Base class for encoders of audio files in any format that `toolkit.encoders.audio.decode_worker` reads.

    The inputs are file contents, or paths in `toolkit.encoders.contract.field_values.Files`.
    """

    kind: ClassVar[Kind] = "audio"
    can_fail: ClassVar[bool] = True
    failure_text: ClassVar[FailureText] = FailureText(some="that cannot be read or is too short")
    requires: ClassVar[tuple[Package, ...]] = (SOUNDFILE, SOXR)
    Params: ClassVar[type[EncoderParams]] = AudioParams
    params: AudioFileParams

    @property
    def min_samples(self) -> int:
        """Return the number of samples that the encoder reads at once. Shorter clips are padded with silence."""
        return 0

    @property
    def sample_rate(self) -> int:
        """Return the sampling rate after resampling, in samples per second."""
        assert isinstance(self.params, AudioParams)
        return self.params.rate

    def _clips(self, inputs: Audio, progress: Progress | None, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index and the samples, float32 [s], of each readable file.

        Raises `BadInput` for an unreadable file if `on_error` is `stop`.
        """
        self.short_inputs = short = list[int]()
        self.cut_inputs = cut = list[int]()
        decoded = waveforms(inputs, rate=self.sample_rate, seconds=self.params.seconds, cut_short=cut)
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
        """Yield the indices and samples of up to `BATCH` readable files."""
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
        """Return the initial output, float32 [n, d] filled with NaN."""
        return np.full((len(inputs), self.dim), np.nan, np.float32)

    def _all_unreadable(self, inputs: Audio) -> InputError:
        return InputError(f"{self.name}: none of {len(inputs)} audio files can be read: {self.failure_text.cure}")

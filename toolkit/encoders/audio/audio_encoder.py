"""What the encoders of audio files share: parameters, reading, and what becomes of a file that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.encoder import Audio, Encoder, EncoderParams, Kind, Progress
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import InputError
from toolkit.packages import SOUNDFILE, Package


class HeardParams(EncoderParams):
    """seconds: how much of each file is used, from its middle. on_error: a file that cannot be read makes its track absent, with a warning
    that counts them (`skip`), or ends the run with what is wrong (`stop`)."""

    seconds: float = Field(30.0, gt=0, le=600)
    on_error: Literal["skip", "stop"] = "skip"


class AudioParams(HeardParams):
    """rate: samples a second that files are brought to."""

    rate: int = Field(22050, ge=4000, le=96000)


class AudioEncoder(Encoder):
    """An encoder of audio files (any that `toolkit.encoders.audio.decode_worker` reads): bytes, or paths through `toolkit.encoders.contract.field_inputs.Files`."""

    kind: ClassVar[Kind] = "audio"
    refuses: ClassVar[bool] = True
    requires: ClassVar[tuple[Package, ...]] = (SOUNDFILE,)
    Params: ClassVar[type[EncoderParams]] = AudioParams
    params: Any
    short: Sequence[int] = ()
    """Places, in what was heard last, of clips with fewer samples than `least`: they end in silence."""

    @property
    def least(self) -> int:
        """Samples of the shortest clip that is heard whole."""
        return 0

    def _rate(self) -> int:
        rate: int = self.params.rate
        return rate

    def _heard(self, inputs: Audio, progress: Progress | None, what: str) -> Iterator[tuple[int, np.ndarray]]:
        """Place and samples float32 [s] of each file that can be read. Raises `BadInput` where `on_error` is `stop`."""
        found, short = waveforms(inputs, rate=self._rate(), seconds=self.params.seconds), list[int]()
        self.short = short
        for place, samples in enumerate(found):
            if isinstance(samples, BadInput):
                if self.params.on_error == "stop":
                    raise BadInput(place, samples.why)
            else:
                if len(samples) < self.least:
                    short.append(place)
                yield place, samples
            if progress is not None:
                progress(place + 1, len(inputs), what)

    def _rows(self, inputs: Audio) -> np.ndarray:
        """The output before anything is heard: float32 [n, d], all NaN."""
        return np.full((len(inputs), self.dim), np.nan, np.float32)

    def _nothing_heard(self, inputs: Audio) -> InputError:
        return InputError(
            f"{self.name}: none of {len(inputs)} audio files can be read: `on_error: stop` says what is wrong with the first"
        )

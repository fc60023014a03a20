"""What is kept of a 30 s preview: numbers or a picture made of it at once, the sound itself only where it is asked for.

A source with previews has three fields of tracks: `audio_features` (the eleven of `toolkit.encoders.audio.audio_features`, librosa's scale),
`cqt` (the constant-Q transform of the middle 15 s as a grey PNG that image encoders read) and `audio` (the file). Unless `audio` is
among the fields asked for, nothing of the sound is written anywhere.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from collectors.source import Blocked, Http, Transient
from toolkit.catalogue.records import FieldValue

if TYPE_CHECKING:
    import numpy as np

FIELDS = {"audio_features": "track", "cqt": "track", "audio": "track"}
MAX_BYTES = 8 << 20
"""A 30 s preview is half a megabyte; of more than this nothing is read."""
RATE, SECONDS, CQT_SECONDS = 22050, 30.0, 15.0


def heard(http: Http, url: str, fields: Iterable[str]) -> dict[str, FieldValue]:
    """The fields asked for of the preview at `url`. Raises as `kept`, and `Transient` for an address that ran out."""
    sound = http.get(url, expect="audio", max_bytes=MAX_BYTES)
    if sound.status != 200:
        raise Transient("the preview's address ran out", status=sound.status)
    return kept(sound.content, fields)


def kept(audio: bytes, fields: Iterable[str]) -> dict[str, FieldValue]:
    """The fields asked for of one preview.

    Raises `Transient` for a file that is no audio, `Blocked` for good where reading its kind needs what is not installed.
    """
    wanted = set(fields) & set(FIELDS)
    values: dict[str, FieldValue] = {}
    if wanted - {"audio"}:
        samples = _samples(audio)
        if "audio_features" in wanted:
            from toolkit.encoders.audio.audio_features import described

            values["audio_features"] = [float(number) for number in described(samples, RATE)]
        if "cqt" in wanted:
            values["cqt"] = picture(samples)
    if "audio" in wanted:
        values["audio"] = audio
    return values


def picture(samples: np.ndarray) -> bytes:
    """Samples float32 [s] at 22,050 Hz -> PNG of 96 bins (low notes below) x 323 frames: 0 is 80 dB under the loudest, 255 the loudest."""
    import numpy as np
    import torch
    from PIL import Image

    from toolkit.encoders.audio.cqt_transform import Cqt

    size = round(CQT_SECONDS * RATE)
    start = max(0, (len(samples) - size) // 2)
    middle = np.pad(samples[start : start + size], (0, max(0, size - len(samples))))
    level = (
        Cqt(rate=RATE, hop=1024).decibels(torch.from_numpy(np.ascontiguousarray(middle))[None])[0].numpy()
    )  # (bins, frames)
    file = io.BytesIO()
    Image.fromarray(np.round(level[::-1] * 255).astype(np.uint8), mode="L").save(file, format="PNG")
    return file.getvalue()


def _samples(audio: bytes) -> np.ndarray:
    """float32 [s], decoded in a process of its own."""
    from toolkit.encoders.audio import decode_worker
    from toolkit.encoders.audio.waveforms import waveforms
    from toolkit.encoders.contract.input_faults import BadInput

    if (missing := decode_worker.lacking(audio)) is not None:
        raise Blocked(f"the preview has {missing}, or take previews from deezer", for_good=True)
    (samples,) = waveforms([audio], rate=RATE, seconds=SECONDS, workers=1)
    if isinstance(samples, BadInput):
        raise Transient(f"the preview {samples.why}")
    return samples

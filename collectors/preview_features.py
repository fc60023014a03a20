"""Fields computed from a 30 s preview, which is stored only if the field `audio` is requested.

A source with previews has three fields of tracks:

- `audio_features`: the eleven numbers of `toolkit.encoders.audio.audio_features`, on the scale of librosa.
- `cqt`: constant-Q transform of the middle 15 s, as a grey PNG for image encoders.
- `audio`: the audio file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

from collectors.source import Blocked, Entity, Http, Transient
from toolkit.catalogue.records import FieldValue

FIELDS: dict[str, Entity] = {"audio_features": "track", "cqt": "track", "audio": "track"}
MAX_BYTES = 8 << 20
"""Of a preview; usually it has half a megabyte."""
RATE, SECONDS, CQT_SECONDS = 22050, 30.0, 15.0


def fetch(http: Http, url: str, fields: Iterable[str]) -> dict[str, FieldValue]:
    """Return requested fields of the preview at `url`. Raises `Transient` for an expired URL, or like `compute`."""
    reply = http.get(url, expect="audio", max_bytes=MAX_BYTES)
    if reply.status != 200:
        raise Transient(f"the preview URL has expired (HTTP {reply.status})", status=reply.status)
    return compute(reply.content, fields)


def compute(audio: bytes, fields: Iterable[str]) -> dict[str, FieldValue]:
    """Return requested fields of a preview file.

    Raises `Transient` if the file is not audio, `Blocked` if no decoder for the format is installed.
    """
    requested = set(fields) & set(FIELDS)
    values: dict[str, FieldValue] = {"audio": audio} if "audio" in requested else {}
    if requested - {"audio"}:
        samples = _samples(audio)
        if "audio_features" in requested:
            from toolkit.encoders.audio.audio_features import measure

            values["audio_features"] = [float(number) for number in measure(samples, RATE)]
        if "cqt" in requested:
            values["cqt"] = cqt_png(samples)
    return values


def cqt_png(samples: np.ndarray) -> bytes:
    """Return the constant-Q transform of the middle `CQT_SECONDS` as a grey PNG of 323 x 96 pixels.

    - samples: float32 [s] at 22,050 Hz.

    Low notes are at the bottom. 255 is the loudest value, 0 is 80 dB below it.
    """
    import torch
    from PIL import Image

    from toolkit.encoders.audio.cqt_transform import Cqt

    size = round(CQT_SECONDS * RATE)
    start = max(0, (len(samples) - size) // 2)
    middle = np.pad(samples[start : start + size], (0, max(0, size - len(samples))))
    batch = torch.from_numpy(np.ascontiguousarray(middle))[None]
    level = Cqt(rate=RATE, hop=1024).decibels(batch)[0].numpy()  # (bins, frames)
    file = io.BytesIO()
    Image.fromarray(np.round(level[::-1] * 255).astype(np.uint8), mode="L").save(file, format="PNG")
    return file.getvalue()


def _samples(audio: bytes) -> np.ndarray:
    """Return samples, float32 [s], decoded in a separate process."""
    from toolkit.encoders.audio import decode_worker
    from toolkit.encoders.audio.waveforms import waveforms
    from toolkit.encoders.contract.input_faults import BadInput

    if (missing := decode_worker.missing_package(audio)) is not None:
        raise Blocked(f"the preview has {missing}, or collect previews from `deezer`", for_good=True)
    (samples,) = waveforms([audio], rate=RATE, seconds=SECONDS, workers=1)
    if isinstance(samples, BadInput):
        raise Transient(f"the preview {samples.why}")
    return samples

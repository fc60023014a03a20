"""Audio files in formats that libsndfile does not read, written by PyAV."""

from __future__ import annotations

import io

import numpy as np


def encoded(samples: np.ndarray, rate: int, codec: str = "aac", form: str = "ipod") -> bytes:
    """Encode samples [channels, s] in -1…1 as a file.

    - codec: `aac`, or one of the lossless codecs `alac` and `wavpack` with 16 bits.
    """
    import av

    fits = ("fltp", np.float32(samples)) if codec == "aac" else ("s16p", np.int16(np.round(samples * 32767)))
    out = io.BytesIO()
    with av.open(out, "w", format=form) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono" if len(samples) == 1 else "stereo")
        stream.codec_context.format = fits[0]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(fits[1]), format=fits[0], layout=stream.layout.name)
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return out.getvalue()

"""One audio file to samples; run as a program, a worker that does so for whoever writes to its standard input.

A request is `HEADER` (rate, seconds, bytes to come) and the file; an answer is `ANSWER` (whether it went well, bytes to come) and
float32 samples, or why not as UTF-8. The program imports nothing of the toolkit, so that it starts quickly and by its path alone; it ends
with its input.
"""

from __future__ import annotations

import io
import os
import struct
import sys
from typing import IO

import numpy as np

HEADER = struct.Struct("<Idq")
ANSWER = struct.Struct("<?q")
MOST_SAMPLES = 1 << 27
"""Samples of all channels that are decoded for one file, half a gigabyte; more is refused."""


class Unreadable(Exception):
    """Why a file gives no samples; reads on from `has`."""


def decode(data: bytes, *, rate: int, seconds: float) -> np.ndarray:
    """The middle `seconds` of an audio file, or all of a shorter one, at `rate`, channels averaged: float32 [samples].

    Reads what libsndfile does (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, …); resampled by soxr at its high quality, as librosa does.
    Raises `Unreadable`.
    """
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            wanted = round(seconds * file.samplerate)
            if min(wanted, file.frames) * file.channels > MOST_SAMPLES:
                raise Unreadable(f"{file.channels} channels at {file.samplerate} Hz, more than {MOST_SAMPLES:,} samples in {seconds:g} s")
            if file.frames > wanted:
                file.seek((file.frames - wanted) // 2)
            # a header may promise more than there is: frames beyond the end are not read
            samples = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
            native = file.samplerate
    except (RuntimeError, ValueError, OSError) as error:  # libsndfile's own word, without the address of the buffer
        raise Unreadable(f"no audio that can be read: {getattr(error, 'error_string', error)}") from None
    if not len(samples):
        raise Unreadable("audio of no length")
    if not np.isfinite(samples).all():
        raise Unreadable("audio with samples that are not finite numbers")
    resampled = samples if native == rate else soxr.resample(samples, native, rate, quality="soxr_hq")
    return np.ascontiguousarray(resampled[: max(1, round(seconds * rate))], np.float32)


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until their end."""
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        rate, seconds, size = HEADER.unpack(header)
        try:
            good, answer = True, decode(requests.read(size), rate=rate, seconds=seconds).tobytes()
        except Unreadable as why:
            good, answer = False, str(why).encode("utf-8", "replace")
        answers.write(ANSWER.pack(good, len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    # what a decoding library prints must not come between the answers
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    serve(sys.stdin.buffer, channel)

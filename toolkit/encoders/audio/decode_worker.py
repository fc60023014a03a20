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
from collections.abc import Iterator
from importlib.util import find_spec
from typing import IO, Any

import numpy as np

HEADER = struct.Struct("<Idq")
ANSWER = struct.Struct("<?q")
MOST_SAMPLES = 1 << 27
"""Samples of all channels that are decoded for one file, half a gigabyte; more is refused."""


class Unreadable(Exception):
    """Why a file gives no samples; reads on from `has`."""


def decode(data: bytes, *, rate: int, seconds: float) -> np.ndarray:
    """The middle `seconds` of an audio file, or all of a shorter one, at `rate`, channels averaged: float32 [samples].

    Reads what libsndfile does (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, …), and AAC, MPEG-4 (AAC, ALAC) and WavPack by FFmpeg's
    libraries, where PyAV is installed; resampled by soxr at its high quality, as librosa does. Raises `Unreadable`.
    """
    import soxr

    samples, native = _by_libsndfile(data, seconds) if _libav_form(data) is None else _by_libav(data, seconds)
    if not len(samples):
        raise Unreadable("audio of no length")
    if not np.isfinite(samples).all():
        raise Unreadable("audio with samples that are not finite numbers")
    resampled = samples if native == rate else soxr.resample(samples, native, rate, quality="soxr_hq")
    return np.ascontiguousarray(resampled[: max(1, round(seconds * rate))], np.float32)


def lacking(data: bytes) -> str | None:
    """What is missing here to read a file of this kind, and how to get it; reads on from `has`. None where nothing is."""
    if _libav_form(data) is None or find_spec("av") is not None:
        return None
    return "audio in AAC, MPEG-4 or WavPack, which needs PyAV: pip install 'segue[aac]'"


def _libav_form(data: bytes) -> str | None:
    """FFmpeg's name of a form that libsndfile does not read, by a file's first bytes."""
    if data[4:8] == b"ftyp":
        return "mov"
    if data[:4] == b"wvpk":
        return "wv"
    # twelve bits of one, then, two bits on, a layer of zero, which MP3 has not
    return "aac" if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0 else None


def _by_libsndfile(data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    """float32 [samples] of the middle, and their rate."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            wanted = round(seconds * file.samplerate)
            _check_size(min(wanted, file.frames), file.channels, file.samplerate, seconds)
            if file.frames > wanted:
                file.seek((file.frames - wanted) // 2)
            # a header may promise more than there is: frames beyond the end are not read
            return file.read(wanted, dtype="float32", always_2d=True).mean(axis=1), file.samplerate
    except (RuntimeError, ValueError, OSError) as error:  # libsndfile's own word, without the address of the buffer
        raise Unreadable(f"no audio that can be read: {getattr(error, 'error_string', error)}") from None


def _by_libav(data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    """The same by PyAV (https://pyav.basswood.io). The file is bytes and its form is named: nothing in it leads to another file."""
    if (missing := lacking(data)) is not None:
        raise Unreadable(missing)
    import av
    import av.error

    parts: list[np.ndarray] = []
    read, native = 0, 1
    try:
        with av.open(io.BytesIO(data), format=_libav_form(data)) as file:
            if not file.streams.audio:
                raise Unreadable("no audio that can be read: no track of sound")
            for samples, native in _middle(file, file.streams.audio[0], seconds):
                wanted = round(seconds * native)
                parts.append(samples[:, : wanted - read].mean(axis=0))
                read += len(parts[-1])
                _check_size(read, len(samples), native, seconds)
                if read >= wanted:
                    break
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise Unreadable(f"no audio that can be read: {getattr(error, 'strerror', None) or error}") from None
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), native


def _middle(file: Any, stream: Any, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """float32 [channels, samples] and their rate, piece by piece from where the middle begins."""
    import av

    begins = float((stream.start_time or 0) * stream.time_base)
    lasts = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if (start := begins + max(0.0, (lasts - seconds) / 2)) > begins:
        file.seek(int(start / stream.time_base), stream=stream)  # to the packet that holds it, or one before
    floats = av.AudioResampler(format="fltp")
    for decoded in file.decode(stream):
        early = 0 if decoded.time is None else round((start - decoded.time) * decoded.sample_rate)
        for frame in floats.resample(decoded):
            yield frame.to_ndarray()[:, max(0, early) :], frame.sample_rate


def _check_size(samples: int, channels: int, rate: int, seconds: float) -> None:
    if samples * channels > MOST_SAMPLES:
        raise Unreadable(f"{channels} channels at {rate} Hz, more than {MOST_SAMPLES:,} samples in {seconds:g} s")


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

"""Decodes one audio file to samples.

Run as a program, it is a worker that decodes the files written to its standard input. A request is `HEADER` (rate,
seconds, number of bytes) and the file. An answer is `ANSWER` (whether it succeeded, number of bytes) and float32
samples, or the reason as UTF-8. The program imports nothing of the toolkit, so it starts quickly and by its path alone.
It ends with its input.
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
"""Most samples of all channels that are decoded of one file, half a gigabyte; more is refused."""


class Unreadable(Exception):
    """A file cannot be decoded; the message ends the sentence "track x has …"."""


def decode(data: bytes, *, rate: int, seconds: float) -> np.ndarray:
    """Decode the middle `seconds` of an audio file, or all of a shorter one, to one channel at `rate`: float32 [s].

    libsndfile reads WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF and others. The libraries of FFmpeg read AAC, MPEG-4
    (AAC, ALAC) and WavPack, if PyAV is installed. soxr resamples at its high quality, as in librosa. Raises
    `Unreadable`.
    """
    import soxr

    samples, native = _by_libsndfile(data, seconds) if _libav_format(data) is None else _by_libav(data, seconds)
    if not len(samples):
        raise Unreadable("audio of no length")
    if not np.isfinite(samples).all():
        raise Unreadable("audio with samples that are not finite numbers")
    resampled = samples if native == rate else soxr.resample(samples, native, rate, quality="soxr_hq")
    return np.ascontiguousarray(resampled[: max(1, round(seconds * rate))], np.float32)


def missing_package(data: bytes) -> str | None:
    """The package that is missing to read this file, as in "track x has …"; None if none is missing."""
    if _libav_format(data) is None or find_spec("av") is not None:
        return None
    return "audio in AAC, MPEG-4 or WavPack, which needs PyAV: pip install 'segue[aac]'"


def _libav_format(data: bytes) -> str | None:
    """FFmpeg's name of a format that libsndfile does not read, by the first bytes of a file."""
    if data[4:8] == b"ftyp":
        return "mov"
    if data[:4] == b"wvpk":
        return "wv"
    # twelve bits of 1, and layer 0, which MP3 does not have
    return "aac" if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0 else None


def _by_libsndfile(data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    """Decode by libsndfile: float32 [samples] of the middle, and their rate."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            length = round(seconds * file.samplerate)
            _check_size(min(length, file.frames), file.channels, file.samplerate, seconds)
            if file.frames > length:
                file.seek((file.frames - length) // 2)
            # a header may be wrong: frames beyond the end of the file are not read
            return file.read(length, dtype="float32", always_2d=True).mean(axis=1), file.samplerate
    except (RuntimeError, ValueError, OSError) as error:  # libsndfile's message, without the address of the buffer
        raise Unreadable(f"no audio that can be read: {getattr(error, 'error_string', error)}") from None


def _by_libav(data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    """Decode by PyAV (https://pyav.basswood.io).

    The file is given as bytes with its format, so nothing in it can lead to another file.
    """
    if (missing := missing_package(data)) is not None:
        raise Unreadable(missing)
    import av
    import av.error

    parts: list[np.ndarray] = []
    read, native = 0, 1
    try:
        with av.open(io.BytesIO(data), format=_libav_format(data)) as file:
            if not file.streams.audio:
                raise Unreadable("no audio that can be read: no audio track")
            for samples, native in _middle(file, file.streams.audio[0], seconds):
                length = round(seconds * native)
                parts.append(samples[:, : length - read].mean(axis=0))
                read += len(parts[-1])
                _check_size(read, len(samples), native, seconds)
                if read >= length:
                    break
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise Unreadable(f"no audio that can be read: {getattr(error, 'strerror', None) or error}") from None
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), native


def _middle(file: Any, stream: Any, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """float32 [channels, samples] and their rate, piece by piece, from the beginning of the middle."""
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
    # output of a decoding library must not mix with the answers
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    serve(sys.stdin.buffer, channel)

"""Decoder for audio files, which also runs as a worker program.

The worker reads requests from standard input and writes answers to standard output. A request is `HEADER` (rate,
seconds, number of bytes) and the file. An answer is `ANSWER` (success, number of bytes) followed by float32 samples, or
by the reason for the failure as UTF-8. The program imports nothing from the toolkit, so it starts quickly and by its
path alone. The worker ends when its input ends.
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
"""Maximum number of samples decoded from a file over all channels, half a gigabyte. Larger files are rejected."""


class Unreadable(Exception):
    """Error for a file that cannot be decoded. The message completes the sentence "track x has …"."""


def decode(data: bytes, *, rate: int, seconds: float) -> np.ndarray:
    """Decode the middle `seconds` of an audio file to one channel at `rate`, float32 [s].

    A shorter file is decoded whole. libsndfile reads WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF and others. The FFmpeg
    libraries read AAC, MPEG-4 (AAC, ALAC) and WavPack if PyAV is installed. soxr resamples at high quality, as in
    librosa. Raises `Unreadable` for a file that cannot be decoded.
    """
    import soxr

    samples, native = _by_libsndfile(data, seconds) if _libav_format(data) is None else _by_libav(data, seconds)
    if not len(samples):
        raise Unreadable("audio of length 0: replace the file")
    if not np.isfinite(samples).all():
        raise Unreadable("audio with NaN or infinite samples: replace the file")
    resampled = samples if native == rate else soxr.resample(samples, native, rate, quality="soxr_hq")
    return np.ascontiguousarray(resampled[: max(1, round(seconds * rate))], np.float32)


def missing_package(data: bytes) -> str | None:
    """Return a message about the package required to read this file, or None if no package is missing."""
    if _libav_format(data) is None or find_spec("av") is not None:
        return None
    return "audio in AAC, MPEG-4 or WavPack, which needs PyAV: pip install 'segue[aac]'"


def _libav_format(data: bytes) -> str | None:
    """Return the FFmpeg name of a format that libsndfile does not read, detected from the first bytes of a file."""
    if data[4:8] == b"ftyp":
        return "mov"
    if data[:4] == b"wvpk":
        return "wv"
    # twelve bits of 1, and layer 0, which MP3 does not have
    return "aac" if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0 else None


def _by_libsndfile(data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    """Decode the middle of a file with libsndfile. Returns float32 [samples] and the sampling rate."""
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
        raise Unreadable(
            f"audio that cannot be read ({getattr(error, 'error_string', error)}): replace the file"
        ) from None


def _by_libav(data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    """Decode a file with PyAV (https://pyav.basswood.io).

    The file is passed as bytes with an explicit format, so its content cannot open another file.
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
                raise Unreadable("audio that cannot be read (no audio track): replace the file")
            for samples, native in _middle(file, file.streams.audio[0], seconds):
                length = round(seconds * native)
                parts.append(samples[:, : length - read].mean(axis=0))
                read += len(parts[-1])
                _check_size(read, len(samples), native, seconds)
                if read >= length:
                    break
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise Unreadable(
            f"audio that cannot be read ({getattr(error, 'strerror', None) or error}): replace the file"
        ) from None
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), native


def _middle(file: Any, stream: Any, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """Yield blocks of the middle of a stream, float32 [channels, samples], with the sampling rate."""
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
        raise Unreadable(
            f"{channels} channels at {rate} Hz, above the limit of {MOST_SAMPLES:,} samples in {seconds:g} s: reduce "
            "seconds"
        )


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer decoding requests until the input ends."""
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

"""Decoder for audio files, which also runs as a worker program.

The worker reads requests from standard input and writes answers to standard output. A request is `HEADER` (rate,
seconds, whether a path follows, number of bytes) and the path or the content of a file. An answer is `ANSWER` (one of
the results below, number of bytes) followed by float32 samples, or by the reason for the failure as UTF-8. The program
imports nothing from the toolkit, so it starts quickly and by its path alone. The worker ends when its input ends.

Only the excerpt is read, in blocks, so memory and time do not grow with the file. A file that is cut short on disk, as
by a broken download, is used as far as it plays.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

import numpy as np

HEADER = struct.Struct("<Id?q")
ANSWER = struct.Struct("<Bq")
UNREADABLE, WHOLE, CUT_SHORT = 0, 1, 2
"""Results of a request."""
MOST_SAMPLES = 1 << 27
"""Maximum number of samples of an excerpt over all channels. They are decoded, though never in memory together."""
MOST_RATE = 768_000
"""Maximum sampling rate of a file, twice the highest rate at which music is sold."""
MOST_LEVEL = 2.0**31
"""Maximum size of a sample, where full scale is 1. Some programs write 32-bit integers as floats."""
MOST_MEMORY = 512 << 20
"""Memory in bytes that a worker may take for a file, in addition to the result."""
BLOCK = 1 << 14
"""Number of samples over all channels that are decoded at a time. After an error, a block is lost as a whole."""
LIBSNDFILE_FORMATS = frozenset(("AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV", "WAVEX"))
"""Formats read by libsndfile, by its names. It knows others, of old samplers and of measurements."""
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b"caff", b".snd", b"ID3")
"""First bytes of these formats, except for an MP3 without tags."""
LIBAV_CODECS = ("aac", "alac", "flac", "mp3", "mp3float", "opus", "wavpack")
"""Codecs read by FFmpeg, which knows hundreds."""
_CUT = re.compile(r": (\d+) \(should be (\d+)\)|lacks an end-of-stream bit")
"""Log lines of libsndfile about a header that states more than the file has, and an Ogg file without its last page."""

_UNKNOWN = 1 << 62
"""Frame counts above this value mean that libsndfile does not know the count."""


class Unreadable(Exception):
    """Error for a file that cannot be decoded. The message completes the sentence "track x has …"."""


@dataclass(frozen=True)
class Excerpt:
    """Middle of an audio file.

    - samples: float32 [s].
    - cut_short: whether a part of the file is missing on disk.
    """

    samples: np.ndarray
    cut_short: bool


def decode(file: bytes | str, *, rate: int, seconds: float) -> np.ndarray:
    """Return the samples of `excerpt`, float32 [s]."""
    return excerpt(file, rate=rate, seconds=seconds).samples


def excerpt(file: bytes | str, *, rate: int, seconds: float) -> Excerpt:
    """Decode the middle `seconds` of an audio file to one channel at `rate`.

    A shorter file is decoded whole. libsndfile reads WAV, AIFF, FLAC, Ogg Vorbis and Opus, MP3, AU and CAF. The FFmpeg
    libraries read AAC, MPEG-4 and WavPack if PyAV is installed. soxr resamples at high quality, as in librosa.

    - file: content or path. A file on disk is not read whole.

    Raises `Unreadable` for a file that cannot be decoded.
    """
    with contextlib.ExitStack() as stack, _as_unreadable():
        sound = _opened(file, stack)
        if not 0 < sound.rate <= MOST_RATE:
            raise Unreadable(f"audio at {sound.rate} Hz, but the rate must be 1 to {MOST_RATE:,} Hz: replace the file")
        length = max(1, round(seconds * sound.rate))
        _check_size(min(length, sound.frames or length), sound.channels, sound.rate, seconds)
        end, cut = sound.frames, sound.incomplete
        # files whose end is missing by less than that count as whole
        margin = min(sound.rate, end // 20)
        if end > length and not _plays(sound, end - margin - 1):
            end, cut = _last_frame(sound), cut or not sound.estimated
        samples, read, damaged = _read(sound, max(0, (end - length) // 2), length, rate)
        if not read:
            raise Unreadable("audio of length 0: replace the file")
        cut = cut or damaged or (not sound.estimated and read < min(length, end) - margin)
        return Excerpt(samples[: max(1, round(seconds * rate))], cut)


def missing_package(data: bytes) -> str | None:
    """Return a message about the package required to read this file, or None if no package is missing."""
    if _libav_format(data) is None or find_spec("av") is not None:
        return None
    return "audio in AAC, MPEG-4 or WavPack, which needs PyAV: pip install 'segue[aac]'"


@contextlib.contextmanager
def _as_unreadable() -> Iterator[None]:
    """Raise `Unreadable` for every error of a decoder, of whatever class."""
    try:
        yield
    except Unreadable:
        raise
    except MemoryError:
        raise Unreadable("audio that takes too much memory to read: replace the file") from None
    except Exception as error:
        # libsndfile's message without the address of the buffer, and FFmpeg's without its number
        text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        reason = (text.strip() or type(error).__name__).splitlines()[0]
        raise Unreadable(f"audio that cannot be read ({reason}): replace the file") from None


def _read(sound: _Sound, start: int, length: int, rate: int) -> tuple[np.ndarray, int, bool]:
    """Decode `length` frames from `start` and resample them.

    Returns float32 [s], the number of frames before resampling, and whether a damaged place ended the reading.
    """
    import soxr

    resampler = None
    if sound.rate != rate:
        resampler = soxr.ResampleStream(sound.rate, rate, 1, dtype="float32", quality="soxr_hq")
    parts, read, damaged = [np.zeros(0, np.float32)], 0, False
    try:
        for block in sound.blocks(start):
            part = np.ascontiguousarray(block[: length - read], np.float32)
            if not np.isfinite(part).all():
                raise Unreadable("audio with NaN or infinite samples: replace the file")
            if np.abs(part).max() > MOST_LEVEL:
                raise Unreadable(f"audio with samples above {MOST_LEVEL:.0f} times full scale: replace the file")
            read += len(part)
            parts.append(part if resampler is None else resampler.resample_chunk(part))
            if read >= length:
                break
    except (Unreadable, MemoryError):
        raise
    except Exception:
        if not read:
            raise
        damaged = True
    if resampler is not None:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts), read, damaged


def _plays(sound: _Sound, frame: int) -> bool:
    """Return whether there is sound at `frame`."""
    try:
        return next(sound.blocks(frame), None) is not None
    except MemoryError:
        raise
    except Exception:
        return False


def _last_frame(sound: _Sound) -> int:
    """Return the last playable position, to a tenth of a second, by bisection."""
    low, high = 0, sound.frames
    while high - low > max(1, sound.rate // 10):
        middle = (low + high) // 2
        low, high = (middle, high) if _plays(sound, middle) else (low, middle)
    return low


class _Sound(ABC):
    """An open audio file.

    - rate, channels: of the file.
    - frames: number of samples of a channel according to the header, which may be wrong.
    - estimated: whether `frames` is an estimate because the format has no such number.
    - incomplete: whether the container lacks its end.
    """

    rate: int
    channels: int
    frames: int
    estimated = False
    incomplete = False

    @abstractmethod
    def blocks(self, start: int) -> Iterator[np.ndarray]:
        """Yield the mean of the channels from frame `start` to the end, in blocks, float32 [> 0].

        Raises exceptions of any class at a damaged place.
        """


def _opened(file: bytes | str, stack: contextlib.ExitStack) -> _Sound:
    """Open a file, which `stack` closes."""
    content: IO[bytes] = io.BytesIO(file) if isinstance(file, bytes) else stack.enter_context(_regular(file))
    head = content.read(16)
    name = _libav_format(head)
    if name is not None:
        if (missing := missing_package(head)) is not None:
            raise Unreadable(missing)
        return _LibavSound(content, name)
    if not (head.startswith(MAGIC) or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)):
        raise Unreadable("audio that cannot be read (unknown format): replace the file")
    return _LibsndfileSound(content, stack)


def _regular(path: str) -> IO[bytes]:
    """Open a file. Raises `OSError` for a device, and for a pipe without waiting for its other end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = open(descriptor, "rb", buffering=1 << 16)  # noqa: SIM115 (the caller closes it)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def _libav_format(data: bytes) -> str | None:
    """Return the FFmpeg name of a format that libsndfile does not read, detected from the first bytes of a file."""
    if data[4:8] == b"ftyp":
        return "mov"
    if data[:4] == b"wvpk":
        return "wv"
    # twelve bits of 1, and layer 0, which MP3 does not have
    return "aac" if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0 else None


class _LibsndfileSound(_Sound):
    """A file read by libsndfile from an open file, so that it does not look for others next to it."""

    def __init__(self, content: IO[bytes], stack: contextlib.ExitStack) -> None:
        self.content, self.stack = content, stack
        counted = _counts_frames(content)
        self.file: Any = self._open()
        if self.file.format not in LIBSNDFILE_FORMATS:
            raise Unreadable(f"audio that cannot be read (in the format {self.file.format}): replace the file")
        self.rate, self.channels, self.frames = self.file.samplerate, self.file.channels, self.file.frames
        logged = _CUT.finditer(self.file.extra_info)
        self.incomplete = any(not each[1] or _promised(int(each[1])) > int(each[2]) for each in logged)
        self.estimated = self.frames > _UNKNOWN or (self.file.format == "MP3" and not counted)

    def _open(self) -> Any:
        import soundfile

        self.content.seek(0)
        if isinstance(self.content, io.BytesIO):
            return self.stack.enter_context(soundfile.SoundFile(self.content))
        # the descriptor is faster than calls back to Python
        os.lseek(self.content.fileno(), 0, os.SEEK_SET)
        return self.stack.enter_context(soundfile.SoundFile(self.content.fileno(), closefd=False))

    def blocks(self, start: int) -> Iterator[np.ndarray]:
        size = max(1, BLOCK // self.channels)
        if self.file is None:
            self.file = self._open()
        try:
            self.file.seek(start)
            while len(block := self.file.read(size, dtype="float32", always_2d=True)):
                yield block.mean(axis=1)
        except GeneratorExit:
            raise
        except BaseException:
            self.file = None  # after an error some decoders read nothing any more
            raise


def _promised(size: int) -> int:
    """Return the size in a header, or 0 for the largest numbers. Programs that do not know the size write these."""
    return size if size % (1 << 31) < (1 << 31) - 4096 else 0


def _counts_frames(content: IO[bytes]) -> bool:
    """Return whether an MP3 has the number of its frames, in the first frame after the tags."""
    content.seek(0)
    head = content.read(10)
    begin = 0
    if head[:3] == b"ID3" and len(head) == 10:
        begin = 10 + sum((byte & 127) << 7 * (3 - place) for place, byte in enumerate(head[6:]))
    content.seek(begin)
    frame = content.read(4096)
    return any(sign in frame for sign in (b"Xing", b"Info", b"VBRI"))


class _LibavSound(_Sound):
    """A file read by PyAV (https://pyav.basswood.io).

    FFmpeg gets an open file, its format and a list of codecs. Nothing in the file can make it open another file, an
    address, or a codec outside the list.
    """

    def __init__(self, content: IO[bytes], name: str) -> None:
        self.content, self.name = content, name
        with self._open() as file:
            if not file.streams.audio:
                raise Unreadable("audio that cannot be read (no audio track): replace the file")
            stream = file.streams.audio[0]
            if stream.codec_context.name not in LIBAV_CODECS:
                raise Unreadable(
                    f"audio that cannot be read (in the codec {stream.codec_context.name}): replace the file"
                )
            self.begins = float((stream.start_time or 0) * stream.time_base)
            lasts = float(stream.duration * stream.time_base) if stream.duration else 0.0
            # the header has half the rate of some streams
            first = next(file.decode(stream), None)
            if first is None:
                raise Unreadable("audio of length 0: replace the file")
            self.rate, self.channels = first.sample_rate, first.layout.nb_channels
            self.frames = round(lasts * self.rate)
        self.estimated = name == "aac"

    def _open(self) -> Any:
        import av

        self.content.seek(0)
        limits = {"codec_whitelist": ",".join(LIBAV_CODECS), "protocol_whitelist": "none"}
        return av.open(self.content, format=self.name, options=limits)

    def blocks(self, start: int) -> Iterator[np.ndarray]:
        import av

        with self._open() as file:
            stream = file.streams.audio[0]
            if start:
                # to the packet that holds the frame, or one before
                file.seek(int((self.begins + start / self.rate) / stream.time_base), stream=stream)
            floats = av.AudioResampler(format="fltp")
            for decoded in file.decode(stream):
                early = 0 if decoded.time is None else start - round((decoded.time - self.begins) * self.rate)
                for frame in floats.resample(decoded):
                    if frame.sample_rate != self.rate:
                        raise ValueError(f"the rate changes to {frame.sample_rate} Hz")
                    samples = frame.to_ndarray()[:, max(0, early) :]
                    if samples.shape[1]:
                        yield samples.mean(axis=0)


def _check_size(samples: int, channels: int, rate: int, seconds: float) -> None:
    if samples * channels > MOST_SAMPLES:
        raise Unreadable(
            f"{channels} channels at {rate} Hz, above the limit of {MOST_SAMPLES:,} samples in {seconds:g} s: reduce "
            "seconds"
        )


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer decoding requests until the input ends."""
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        rate, seconds, is_path, size = HEADER.unpack(header)
        content = requests.read(size)
        _limit_memory(MOST_MEMORY + 16 * round(rate * seconds))
        try:
            found = excerpt(os.fsdecode(content) if is_path else content, rate=rate, seconds=seconds)
            result, answer = CUT_SHORT if found.cut_short else WHOLE, found.samples.tobytes()
        except Unreadable as why:
            result, answer = UNREADABLE, str(why).encode("utf-8", "replace")
        answers.write(ANSWER.pack(result, len(answer)) + answer)
        answers.flush()


def _limit_memory(growth: int) -> None:
    """Limit this process to `growth` more bytes of memory, where the system supports it (Linux)."""
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        with open("/proc/self/status", encoding="ascii") as status:
            held = int(status.read().split("VmData:")[1].split()[0]) * 1024
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = held + growth
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


if __name__ == "__main__":
    # output of a decoding library must not mix with the answers
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    serve(sys.stdin.buffer, channel)

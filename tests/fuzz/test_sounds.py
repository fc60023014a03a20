"""Damaged audio files in every accepted format through the decoder, the features and the reader of tags."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from collectors.local_files import audio_files
from collectors.sources.local_covers import embedded_cover
from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit.encoders.audio.decode_worker import MOST_LEVEL
from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.input_faults import BadInput

pytestmark = pytest.mark.fuzz

FORMATS = {
    "pcm.wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "MS_ADPCM"),
    "rf64.wav": ("RF64", "PCM_16"),
    "x.w64": ("W64", "PCM_16"),
    "x.aiff": ("AIFF", "PCM_16"),
    "x.flac": ("FLAC", "PCM_16"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "opus.ogg": ("OGG", "OPUS"),
    "x.mp3": ("MP3", "MPEG_LAYER_III"),
    "x.caf": ("CAF", "PCM_16"),
    "x.au": ("AU", "PCM_16"),
}
CODECS = {"x.m4a": ("aac", "ipod"), "alac.m4a": ("alac", "ipod"), "x.aac": ("aac", "adts"), "x.wv": ("wavpack", "wv")}
RATE, SECONDS = 8000, 0.5


def samples() -> dict[str, bytes]:
    """Return short sounds in many formats."""
    wave = (0.3 * np.sin(np.arange(16_000) / 5)).astype(np.float32)
    found = {}
    for name, (form, subtype) in FORMATS.items():
        out = io.BytesIO()
        soundfile.write(out, wave, 16_000, format=form, subtype=subtype)
        found[name] = out.getvalue()
    if find_spec("av") is not None:
        from tests.encoders.audio.mpeg4 import encoded

        found |= {name: encoded(wave[None], 16_000, codec, form) for name, (codec, form) in CODECS.items()}
    return found


def _decode(data: bytes) -> None:
    (found,) = waveforms([data], rate=RATE, seconds=SECONDS, workers=1)
    if isinstance(found, BadInput):
        raise found
    assert found.dtype == np.float32 and 0 < len(found) <= RATE * SECONDS
    assert np.isfinite(found).all() and np.abs(found).max() <= 2 * MOST_LEVEL


def test_sounds_damaged_files_are_decoded_or_refused_in_one_line(tries: Callable[[int], int]) -> None:
    number = tries(400)
    extra = (b"\x7f\x80\x00\x00", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"moov", b"OggS", b"data", b"\xff\xfb")

    result = attempt(_decode, mutations(samples(), number, extra=extra), megabytes=300)

    print(result)
    assert not result.faults
    assert result.counts.total() == number
    assert result.counts["passed"] > number / 10 and result.counts["refused"] > number / 10


def test_sounds_damaged_tags_give_a_file_with_bounded_values(tries: Callable[[int], int], tmp_path: Path) -> None:
    number = tries(200)

    def read(named: tuple[str, bytes]) -> None:
        name, data = named
        path = tmp_path / name
        path.write_bytes(data)
        (file,) = audio_files(tmp_path, tags=True)
        path.unlink()
        assert file.title and (file.duration_s is None or 0 < file.duration_s < float("inf"))

    def cover(named: tuple[str, bytes]) -> None:
        read(named)
        path = tmp_path / named[0]
        path.write_bytes(named[1])
        data = embedded_cover(path)
        path.unlink()
        assert data is None or isinstance(data, bytes)

    tagged = _tagged(tmp_path)
    inputs = ((name, (name.split(" ")[0], data)) for name, data in mutations(tagged, number))
    result = attempt(cover, inputs, megabytes=300)

    print(result)
    assert not result.faults
    assert result.counts["passed"] == number


def _tagged(folder: Path) -> dict[str, bytes]:
    """Return sounds with tags and a picture."""
    from mutagen.flac import FLAC, Picture
    from mutagen.id3 import APIC, ID3, TIT2, TSRC
    from mutagen.oggvorbis import OggVorbis

    found = {name: data for name, data in samples().items() if name in ("x.flac", "x.mp3", "vorbis.ogg", "x.m4a")}
    for name, data in found.items():
        (folder / name).write_bytes(data)
    tags = ID3()
    tags.add(TIT2(encoding=3, text="title"))
    tags.add(TSRC(encoding=3, text="USRC17607839"))
    tags.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=bytes(200)))
    tags.save(folder / "x.mp3")
    flac = FLAC(folder / "x.flac")
    picture = Picture()
    picture.type, picture.data = 3, bytes(200)
    flac["title"] = "title"
    flac.add_picture(picture)
    flac.save()
    ogg = OggVorbis(folder / "vorbis.ogg")
    ogg["title"], ogg["artist"] = "title", "artist"
    ogg.save()
    result = {name: (folder / name).read_bytes() for name in found}
    for name in found:
        (folder / name).unlink()
    return result

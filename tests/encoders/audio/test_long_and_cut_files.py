"""Tests of excerpts of huge files, and of files of which a part is missing on disk."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.encoders.audio.loud import Loud
from tests.encoders.conftest import sound
from toolkit.catalogue.blobs import BlobStore, BlobValues
from toolkit.encoders.audio import decode_worker
from toolkit.encoders.audio.decode_worker import Unreadable, decode, excerpt
from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues, Files
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import InputError

RATE = 22050
TONE_BYTES = 4 << 20

MEASURE = """
import json, sys
from pathlib import Path
from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.field_values import Files
from toolkit.encoders.audio.waveforms import _idle, waveforms

def kilobytes(name, pid="self"):
    with open(f"/proc/{pid}/status") as status:
        return int(status.read().split(name + ":")[1].split()[0])

files = Files([Path(sys.argv[1])])
list(waveforms([b"RIFF"], rate=22050, seconds=1, workers=1))
before = kilobytes("VmRSS")
(samples,) = waveforms(files, rate=22050, seconds=20, workers=1)
if sys.argv[2] == "hash":
    digests("audio", files)
worker = kilobytes("VmHWM", _idle[0].process.pid)
print(json.dumps([len(samples), (kilobytes("VmHWM") - before) / 1000, worker / 1000]))
"""


def long_wav(path: Path, size: int) -> None:
    """Write a sparse stereo file of `size` bytes with a tone in the middle, as RF64 from 4 GB."""
    head = io.BytesIO()
    soundfile.write(head, np.zeros((0, 2)), 44100, format="WAV", subtype="PCM_16")
    header = bytearray(head.getvalue()[:44])
    header[4:8], header[40:44] = struct.pack("<I", size + 36), struct.pack("<I", size)
    tone = np.int16(8000 * np.sin(np.arange(TONE_BYTES // 4) / 10)).repeat(2).tobytes()
    with path.open("wb") as file:
        file.write(header)
        file.seek(44 + (size - TONE_BYTES) // 8 * 4)
        file.write(tone)
        file.truncate(44 + size)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_excerpt_of_a_huge_file_takes_little_memory_and_time(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    huge = bool(request.config.getoption("--long"))
    long_wav(tmp_path / "x.wav", (3 << 30) if huge else (700 << 20))

    began = time.perf_counter()
    found = excerpt(str(tmp_path / "x.wav"), rate=RATE, seconds=20)
    lasted = time.perf_counter() - began

    assert len(found.samples) == 20 * RATE and not found.cut_short
    assert np.abs(found.samples).max() == pytest.approx(8000 / 32768, rel=0.01)
    assert lasted < 10  # 0.1 s on an idle machine
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "x.wav"), "" if huge else "hash"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    samples, here, worker = json.loads(result.stdout)
    assert samples == 20 * RATE
    assert here < 50 and worker < 300


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)])
def test_excerpt_of_a_path_equals_that_of_its_content(form: str, subtype: str | None, tmp_path: Path) -> None:
    data = encoded(form, subtype)
    (tmp_path / "x").write_bytes(data)

    found = excerpt(str(tmp_path / "x"), rate=RATE, seconds=3)

    assert not found.cut_short
    np.testing.assert_array_equal(found.samples, decode(data, rate=RATE, seconds=3))


def encoded(form: str, subtype: str | None = None, *, seconds: int = 12) -> bytes:
    """Return noise whose level rises by a tenth each second."""
    rng, out = np.random.default_rng(0), io.BytesIO()
    level = np.arange(seconds * 44100) // 44100 / (10 * seconds / 12)
    soundfile.write(
        out, (0.5 * level * rng.uniform(-1, 1, len(level))).astype(np.float32), 44100, format=form, subtype=subtype
    )
    return out.getvalue()


CUT = [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None), ("W64", "PCM_16")]


@pytest.mark.parametrize(("form", "subtype"), CUT)
@pytest.mark.parametrize("seconds", [2.0, 30.0])
def test_cut_file_is_used_as_far_as_it_plays(form: str, subtype: str | None, seconds: float) -> None:
    data = encoded(form, subtype)
    whole, cut = (excerpt(part, rate=RATE, seconds=seconds) for part in (data, data[: len(data) // 2]))

    assert not whole.cut_short and cut.cut_short
    assert np.isfinite(cut.samples).all()
    if seconds == 2.0:
        # the middle of the half that plays, not the middle of the whole, which is gone
        assert len(cut.samples) == 2 * RATE
        assert np.abs(cut.samples).mean() < 0.75 * np.abs(whole.samples).mean()
    else:
        assert 2 * RATE < len(cut.samples) < 0.75 * len(whole.samples)


@pytest.mark.parametrize(("codec", "form"), [("aac", "mp4"), ("alac", "ipod"), ("wavpack", "wv")])
def test_cut_file_of_ffmpeg_is_used_as_far_as_it_plays(codec: str, form: str) -> None:
    data = _index_first(codec, form)
    for seconds in (2.0, 30.0):
        whole, cut = (excerpt(part, rate=8000, seconds=seconds) for part in (data, data[: len(data) * 8 // 10]))
        assert not whole.cut_short and cut.cut_short
        assert 0 < len(cut.samples) <= len(whole.samples)
        assert np.abs(cut.samples).max() > 0.01


def _index_first(codec: str, form: str) -> bytes:
    av = pytest.importorskip("av", reason="AAC needs pip install 'segue[aac]'")
    path = io.BytesIO()
    wave = (0.3 * np.sin(np.arange(12 * 8000) / 5)).astype(np.float32)[None]
    kind, samples = ("fltp", wave) if codec == "aac" else ("s16p", np.int16(wave * 32767))
    with av.open(
        path, "w", format=form, options={"movflags": "faststart+frag_keyframe"} if form != "wv" else {}
    ) as file:
        stream = file.add_stream(codec, rate=8000, layout="mono")
        stream.codec_context.format = kind
        for start in range(0, wave.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + 1024]), kind, "mono")
            frame.sample_rate, frame.pts = 8000, start
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return path.getvalue()


def test_header_of_ten_hours_over_two_seconds_of_sound_is_decoded() -> None:
    data = bytearray(encoded("FLAC", "PCM_16", seconds=2))
    place = data.index(b"fLaC") + 4 + 4 + 13  # the low 32 of the 36 bits with the number of samples
    data[place + 1 : place + 5] = struct.pack(">I", 10 * 3600 * 44100)

    found = excerpt(bytes(data), rate=RATE, seconds=1)

    assert found.cut_short and len(found.samples) == RATE


def _wav(samples: np.ndarray, rate: int, subtype: str = "FLOAT") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_wav(np.full(900, 1e38, np.float32), 8000), "samples above 2147483648 times full scale"),
        (_wav(np.full(900, np.nan, np.float32), 8000), "NaN or infinite samples"),
        (_wav(np.zeros(900), 2**31 - 1), "audio at 2147483647 Hz, but the rate must be 1 to 768,000 Hz"),
        (b"%!PS-Adobe-3.0", "unknown format"),
        (b"#EXTM3U\nhttp://127.0.0.1:9/x.ts\n", "unknown format"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "unknown format"),
    ],
)
def test_unusable_audio_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(data, rate=8000, seconds=1)


@pytest.mark.parametrize("rate", [1, 100, 768_000])
def test_unusual_rates_are_resampled_to_a_bounded_result(rate: int) -> None:
    found = decode(_wav(np.ones(3 * rate), rate), rate=8000, seconds=2)

    assert len(found) == 16_000 and np.isfinite(found).all()


def test_formats_of_old_samplers_are_not_decoded() -> None:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(900), 8000, format="VOC", subtype="PCM_16")
    with pytest.raises(Unreadable, match="unknown format"):
        decode(out.getvalue(), rate=8000, seconds=1)
    form = io.BytesIO()
    soundfile.write(form, np.zeros(900), 8000, format="SVX", subtype="PCM_16")
    with pytest.raises(Unreadable, match="in the format SVX"):
        decode(form.getvalue(), rate=8000, seconds=1)


def test_pipes_devices_and_folders_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    files = Files([tmp_path / "pipe", Path("/dev/zero"), tmp_path])

    found = list(waveforms(files, rate=8000, seconds=1, workers=1))

    assert all(isinstance(each, BadInput) and "cannot be read" in each.why for each in found)
    for index in range(3):
        with pytest.raises(BadInput, match="has a file that cannot be read"):
            files[index]
        with pytest.raises(BadInput, match="has a file that cannot be read"):
            files.digest(index, 16)


def test_missing_memory_in_a_worker_is_a_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decode_worker, "_read", fail)

    with pytest.raises(Unreadable, match="takes too much memory"):
        decode(sound(0), rate=8000, seconds=1)


def test_cut_files_are_counted_in_a_warning_also_from_the_cache(tmp_path: Path) -> None:
    whole = sound(1, seconds=4)
    files = [sound(0, seconds=4), whole[: len(whole) // 2]]
    field = FieldValues("sound", ["local:a", "local:b"], np.ones(2, bool), files)

    for _ in ("computed", "from the cache"):
        with pytest.warns(RuntimeWarning, match="sound: 1 of 2 files are cut short on disk .*: 'local:b'"):
            modality = encode(Loud(), field, cache=tmp_path)
        assert modality.cut_short is not None and modality.cut_short.tolist() == [False, False, True]
        assert modality.present.tolist() == [False, True, True]


def test_files_of_a_catalogue_are_given_to_the_decoder_by_path(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    keys = [store.put(sound(number)) for number in range(3)]
    files = Files(Files(BlobValues(store, keys)), [2, 0])

    assert [files.source(index) for index in range(2)] == [store.path(keys[2]), store.path(keys[0])]
    assert files[1] == sound(0)
    store.path(keys[0]).unlink()
    with pytest.raises(InputError, match="blob .* is missing in .*: collect or read the data again"):
        files.source(1)


def test_file_above_the_limit_is_hashed_but_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(1001))
    files = Files([tmp_path / "x", bytes(1001)], limit=1000)

    assert files.digest(0, 16) == files.digest(1, 16)
    for index in range(2):
        with pytest.raises(BadInput, match="has a file of more than 0 MB: reduce its size"):
            files[index]

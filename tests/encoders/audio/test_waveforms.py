"""Tests of decoding audio files to samples, including unreadable files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import librosa
import numpy as np
import pytest
import soundfile

from segue.checks.check_encoder import check_encoder
from tests.encoders.audio.loud import Loud
from tests.encoders.conftest import sound
from toolkit.catalogue.readers.m3u import M3uParams, M3uReader
from toolkit.catalogue.store import Catalogue
from toolkit.encoders.audio import decode_worker
from toolkit.encoders.audio import waveforms as module
from toolkit.encoders.audio.decode_worker import Unreadable, decode
from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues, Files
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import DataError, InputError

BAD = {
    "empty": b"",
    "text": b"<html>not found</html>",
    "cut": sound(1, form="OGG")[:60],
    "no samples": sound(1, seconds=0),
    "infinite": sound(1)[:44],
}


def written(samples: np.ndarray, rate: int, form: str = "WAV", **options) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "rate", "channels"), [("WAV", 22050, 1), ("FLAC", 44100, 2), ("OGG", 48000, 2), ("MP3", 16000, 1)]
)
def test_decoded_samples_equal_librosa_load(form, rate, channels, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(sound(3, rate=rate, form=form, channels=channels))
    expected, _ = librosa.load(path, sr=22050, mono=True)
    found = decode(path.read_bytes(), rate=22050, seconds=30)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-6)
    assert abs(len(found) - len(expected)) <= 1


def test_decoding_a_long_file_returns_its_middle():
    ramp = np.arange(5000) / 8000
    found = decode(written(ramp, 1000, subtype="FLOAT"), rate=1000, seconds=2)
    np.testing.assert_allclose(found, ramp[1500:3500], atol=1e-7)


def test_too_many_samples_raise_unreadable_before_decoding(monkeypatch):
    monkeypatch.setattr(decode_worker, "MOST_SAMPLES", 1999)
    with pytest.raises(Unreadable, match="1 channels at 1000 Hz, above the limit of 1,999 samples in 2 s"):
        decode(written(np.zeros(9000), 1000), rate=1000, seconds=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [(BAD["empty"], "audio that cannot be read"), (BAD["text"], "cannot be read"), (BAD["no samples"], "of length 0")],
)
def test_file_that_is_not_audio_raises_unreadable_with_a_reason(data, why):
    with pytest.raises(Unreadable, match=why) as caught:
        decode(data, rate=22050, seconds=5)
    assert " object at 0x" not in str(caught.value)


def test_nan_samples_raise_unreadable():
    with pytest.raises(Unreadable, match="NaN or infinite samples"):
        decode(written(np.array([0.1, np.inf, 0.2]), 1000, subtype="FLOAT"), rate=1000, seconds=5)


@pytest.mark.parametrize("workers", [1, 3])
def test_waveforms_keep_the_file_order_with_errors_in_place(workers, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(sound(7))
    files = Files([sound(0), BAD["text"], path, tmp_path / "missing.wav", *[sound(number) for number in range(1, 9)]])
    found = list(waveforms(files, rate=8000, seconds=1, workers=workers))
    assert [type(each) is BadInput for each in found] == [False, True, False, True, *[False] * 8]
    assert found[1].index == 1 and "cannot be read" in found[1].why
    assert found[3].index == 3 and "cannot be read" in found[3].why
    for each, number in zip(found[4:], range(1, 9), strict=True):
        np.testing.assert_array_equal(each, decode(sound(number), rate=8000, seconds=1))


def test_waveforms_read_only_a_few_files_ahead():
    class Watched(list):
        read = 0

        def __getitem__(self, place):
            Watched.read += 1
            return super().__getitem__(place)

    found = waveforms(Watched([sound(0, seconds=0.2)] * 40), rate=8000, seconds=1, workers=2)
    next(found)
    assert Watched.read <= 2 * module.BEFOREHAND + 2
    assert sum(1 for _ in found) == 39


def test_crashed_decoder_loses_only_one_file(monkeypatch):
    """A signal kills a real worker in the middle of a file, as a decoder crash would."""
    original = module.Worker.decode

    def ask(self, data, rate, seconds):
        if data == b"kill":
            os.kill(self.process.pid, signal.SIGKILL)
        return original(self, data, rate, seconds)

    monkeypatch.setattr(module.Worker, "decode", ask)
    found = list(waveforms([sound(0), b"kill", sound(1)], rate=8000, seconds=1, workers=1))
    assert isinstance(found[1], BadInput) and "crashed the decoder (exit code -9)" in found[1].why
    np.testing.assert_array_equal(found[2], decode(sound(1), rate=8000, seconds=1))


def test_hanging_decoder_is_killed(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)
    sleeper = [sys.executable, "-c", "import sys; sys.stdin.buffer.read(20000); import time; time.sleep(60)"]
    worker = module.Worker()
    worker.close()
    worker.process = subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert "crashed the decoder" in worker.decode(b"x" * 30_000, 8000, 1)
    assert worker.process.poll() is not None


def test_waveforms_of_no_files_are_empty():
    assert list(waveforms([], rate=8000, seconds=1)) == []


def tracks(*values):
    return [f"local:{place}" for place in range(len(values))], np.ones(len(values), bool), list(values)


def test_unreadable_file_makes_its_track_absent_with_a_warning(tmp_path):
    given = tracks(sound(0), BAD["text"], sound(1), BAD["empty"])
    expected = Loud().transform([sound(0), sound(1)])
    for _ in ("made", "from the cache"):
        with pytest.warns(
            RuntimeWarning,
            match="sound: 2 of 4 tracks have an input that cannot be read or is .*: 'local:1', 'local:3'",
        ):
            made = encode(Loud(), FieldValues("sound", *given), cache=tmp_path)
        assert made.present.tolist() == [False, True, False, True, False]
        np.testing.assert_array_equal(made.matrix[[1, 3]], expected)
        assert not made.matrix[[0, 2, 4]].any()


def test_on_error_stop_raises_with_track_and_reason(tmp_path):
    with pytest.raises(DataError, match="sound: track 'local:1' has audio that cannot be read"):
        encode(Loud(Loud.Params(on_error="stop")), FieldValues("sound", *tracks(sound(0), BAD["text"])), cache=tmp_path)


def test_encoding_without_readable_files_raises_input_error(tmp_path):
    with pytest.raises(InputError, match="sound: none of 2 inputs can be read"):
        encode(Loud(), FieldValues("sound", *tracks(BAD["text"], BAD["empty"])), cache=tmp_path)


def test_minimal_audio_encoder_passes_check_encoder(sounds):
    check_encoder(Loud, sounds)


def test_check_encoder_rejects_vectors_for_unreadable_files(sounds):
    class Hiding(Loud):
        def transform(self, inputs, *, progress=None):
            return np.nan_to_num(super().transform(inputs))

    with pytest.raises(AssertionError, match="must have a row of NaN"):
        check_encoder(Hiding, sounds)


def test_audio_files_of_a_catalogue_are_encoded(tmp_path):
    """Audio files next to a playlist are stored in the catalogue and encoded."""
    for number in range(3):
        (tmp_path / f"{number}.flac").write_bytes(sound(number, form="FLAC"))
    (tmp_path / "3.flac").write_bytes(BAD["text"])
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n" + "".join(f"#EXTINF:2,Artist - {n}\n{n}.flac\n" for n in range(4)))
    with Catalogue.open(tmp_path / "c.sqlite") as catalogue:
        catalogue.add(M3uReader(tmp_path, M3uParams(audio=True)).read())
        ids = catalogue.track_ids()
        present, values = catalogue.field_values("audio", ids)
        with pytest.warns(RuntimeWarning, match="1 of 4 tracks"):
            made = encode(Loud(), FieldValues("sound", ids, present, values), cache=tmp_path / "cache")
    assert made.present.sum() == 3
    np.testing.assert_allclose(sorted(made.matrix[made.present][:, 1]), [44100] * 3)

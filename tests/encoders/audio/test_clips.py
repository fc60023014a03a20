"""Tests of audio encoders on clips of real music with open licences."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch

from segue_papers.encoders.mfcc_words import MfccWordsEncoder, MfccWordsParams
from toolkit.constants import AUDIO_FEATURES
from toolkit.encoders.audio.audio_features import AudioFeaturesEncoder
from toolkit.encoders.audio.cqt_transform import Cqt
from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues, Files

pytestmark = pytest.mark.data
FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "clips"


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Path]]:
    """Return the audio files by package."""
    if not (FOLDER / "clips.csv").is_file():
        pytest.skip(f"no clips: put clips.csv and its files into {FOLDER}")
    found: dict[str, list[Path]] = {}
    with (FOLDER / "clips.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            found.setdefault(row["package"], []).append(FOLDER / "clips" / f"{row['clip_id']}.ogg")
    return found


def test_cqt_of_music_clips_equals_librosa(clips):
    files = [files[0] for files in clips.values()]
    signals = np.stack([samples[: 15 * 22050] for samples in waveforms(Files(files), rate=22050, seconds=15)])
    found = Cqt()(torch.from_numpy(signals)).numpy()
    assert found.shape == (len(clips), 96, 323)
    for row, signal in zip(found, signals, strict=True):
        expected = librosa.cqt(signal, sr=22050, hop_length=1024, n_bins=96, bins_per_octave=12)
        assert np.linalg.norm(row - expected) <= 1e-5 * np.linalg.norm(expected)


def test_halves_of_one_clip_have_similar_vectors(clips, tmp_path):
    """Most of the 24 halves of 12 clips are nearest to the other half, and an invalid file is absent."""
    files = [file for names in clips.values() for file in names[:2]]
    halves = []
    for samples in waveforms(Files(files), rate=22050, seconds=20):
        for half in np.array_split(samples, 2):
            out = io.BytesIO()
            soundfile.write(out, half, 22050, format="WAV", subtype="FLOAT")
            halves.append(out.getvalue())
    params = MfccWordsParams(words=100, frames=10_000)
    n = len(halves)
    ids = [f"local:{place}" for place in range(n + 1)]
    with pytest.warns(RuntimeWarning, match=f"1 of {n + 1} tracks"):
        made = encode(
            MfccWordsEncoder(params),
            FieldValues("sound", ids, np.ones(n + 1, bool), [*halves, files[0].read_bytes()[:40]]),
            cache=tmp_path,
        )
    assert made.present.tolist() == [False, *[True] * n, False]
    rows = made.matrix[1 : n + 1]
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2) + np.diag(np.full(n, np.inf))
    assert (apart.argmin(axis=1) // 2 == np.arange(n) // 2).mean() > 0.6


def test_audio_features_of_music_are_in_plausible_ranges(clips):
    found = AudioFeaturesEncoder().measured(Files([files[1] for files in clips.values()]))
    values = dict(zip(AUDIO_FEATURES, found.T, strict=True))
    assert ((values["tempo"] > 40) & (values["tempo"] < 260)).all()
    assert ((values["loudness"] > -45) & (values["loudness"] < 0)).all()
    assert set(values["mode"]) <= {0, 1}
    assert found[:, AUDIO_FEATURES.index("energy")].std() > 0.01

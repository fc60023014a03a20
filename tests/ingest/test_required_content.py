"""The filter `require`: tracks without the content that a study demands are left out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from segue import read_playlists
from toolkit.errors import InputError

TEXTS = {"a": "x" * 50, "b": f"  {'x' * 49} ", "c": "", "d": "y" * 60, "e": "z" * 51}
TAGS = {"a": "rock", "b": "rock, pop", "c": "rock", "d": " , ", "e": "jazz,  blues, soul"}
SECONDS = {"a": 15.0, "b": 15.5, "c": 16.0, "d": 20.0, "e": 14.5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for name, seconds in SECONDS.items():
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(int(seconds * 8000), np.float32) + 0.1, 8000)
    with (tmp_path / "lists.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["playlist_id", "track_id"])
        writer.writerows((f"p{n}", track) for n in range(4) for track in "abcde")
    with (tmp_path / "tracks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "bio", "tags", "sound", "duration", "tempo"])
        writer.writerows([name, TEXTS[name], TAGS[name], f"{name}.wav", SECONDS[name], 1.0] for name in "abcde")
    return tmp_path / "lists.csv"


def kept(path: Path, **require: dict[str, object]) -> str:
    tracks = {
        "file": "tracks.csv",
        "fields": {"biography": "bio", "tags": "tags"},
        "audio": {"audio": "sound"},
        "features": {"audio_features": ["tempo"]},
    }
    data = read_playlists(path, tracks=tracks, filters={"require": require}, cache=path.parent / "cache")
    return "".join(name.removeprefix("local:") for name in data.tracks()["id"].tolist())


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        ({"biography": {"min_length": 50}}, "ade"),
        ({"biography": {}}, "abde"),
        ({"tags": {"min_count": 1}}, "abce"),
        ({"tags": {"min_count": 2}}, "be"),
        ({"tags": {"min_count": 2, "min_length": 10}}, "e"),
        ({"audio": {"min_seconds": 15}}, "abcd"),
        ({"duration": {"min_seconds": 15.5}}, "bcd"),
        ({"audio_features": {}}, "abcde"),
        ({"biography": {"min_length": 50}, "tags": {"min_count": 1}, "audio": {"min_seconds": 15}}, "a"),
    ],
)
def test_tracks_without_the_required_content_are_left_out(
    require: dict[str, dict[str, object]], expected: str, path: Path
) -> None:
    if expected in ("a", "e"):  # one track a playlist
        require, expected = {**require}, expected
        with pytest.raises(InputError, match="the filters leave none of 4 playlists with min_playlist_length=2 tracks"):
            kept(path, **require)
        return
    assert kept(path, **require) == expected


@pytest.mark.parametrize(
    ("require", "message"),
    [
        ({"biografy": {}}, "the catalogue has no field 'biografy': did you mean 'biography'"),
        ({"audio": {"min_length": 3}}, "require.audio must be a rule for files: `min_length` and `min_count`"),
        (
            {"audio_features": {"min_count": 3}},
            "must be a rule for vectors: `min_length` and `min_count`",
        ),
        ({"tags": {"min_seconds": 3}}, "filters.require.tags must be a rule for texts: `min_seconds` requires sounds"),
        ({"tags": {"min_count": 9}}, r"filters.require.tags leaves no track \(min_count=9\): reduce the minimum"),
        ({"tags": {"min_words": 9}}, r"min_words.* is not a key: "),
        ({"tags": {"min_seconds": 9, "min_count": 1}}, "`min_seconds` requires a sound, and `min_length`"),
    ],
)
def test_wrong_rule_is_one_line_with_its_field(require: dict[str, dict[str, object]], message: str, path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        kept(path, **require)
    assert "\n" not in str(caught.value)


def test_sound_that_cannot_be_decoded_is_not_long_enough(path: Path) -> None:
    (path.parent / "d.wav").write_bytes(b"RIFF and no more")

    assert kept(path, audio={"min_seconds": 15}) == "abc"

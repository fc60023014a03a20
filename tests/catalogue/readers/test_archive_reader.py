from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from toolkit.catalogue.readers.archive import ArchiveReader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.errors import DataError
from toolkit.vocabulary import AUDIO_FEATURES

VECTOR = [0.1, 0.2, 3.0, -4.5, 1.0, 0.06, 0.7, 0.08, 0.9, 0.1, 110.5]


def test_versions_and_described_tracks(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(ArchiveReader(files / "archive").read()))

    a, b, unknown = "spotify:track:t1", "spotify:track:t2", "spotify:track:t9"
    assert playlists == [
        PlaylistRecord("AAA@2019-05-25", [a, b], "Chill", None, "AAA", "train"),
        PlaylistRecord("AAA@2019-06-25", [b, a], "Chill", None, "AAA", "train"),
        PlaylistRecord("BBB@2019-05-25", [b, b, unknown], "Chill", None, "BBB", "test"),
    ]
    assert tracks[a] == TrackRecord(
        a,
        "Rain",
        ("Ann", "Bo"),
        album="First",
        duration_s=201.0,
        fields={
            "audio_features": Field(VECTOR, "spotify/p93all", match_score=1.0, train_allowed=False),
            "genres": Field("synth pop, r b", "archive", train_allowed=False),
        },
        source="spotify",
        train_allowed=False,
    )
    assert list(tracks[b].fields) == ["audio_features"]
    assert tracks[b].fields["audio_features"].match_score == 0.8
    assert list(tracks) == [a, b, "spotify:track:t3"]


def test_large_form_has_ids_and_features_of_their_own(files: Path) -> None:
    records = list(ArchiveReader(files / "archive-large").read())

    assert records[0] == TrackRecord(
        "spotify:track:t1",
        "Rain",
        ("Ann", "Bo"),
        ("spotify:artist:aaa", "spotify:artist:bbb"),
        "First",
        "spotify:album:fff",
        201.0,
        source="spotify",
        train_allowed=False,
    )
    assert records[2] == TrackRecord(
        "spotify:track:t1", fields={"audio_features": Field(VECTOR, "spotify/p93all", match_score=1.0, train_allowed=False)}
    )
    assert records[3] == PlaylistRecord("AAA@2019-05-25", ["spotify:track:t1", "spotify:track:t2"], "Chill", None, "AAA")


def test_feature_order_is_the_files() -> None:
    assert AUDIO_FEATURES[0] == "danceability"
    assert AUDIO_FEATURES[-1] == "tempo"
    assert len(AUDIO_FEATURES) == 11


def test_bad_list_is_named_by_its_line(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "archive" / "tracks.csv.gz", tmp_path)
    whole = gzip.decompress((files / "archive" / "playlists.jsonl.gz").read_bytes())
    with gzip.open(tmp_path / "playlists.jsonl.gz", "wb") as file:
        file.write(whole + b'{"list_id": 3}\n')
    skipping = ArchiveReader(tmp_path, on_error="skip")

    with pytest.raises(DataError, match=r"playlists\.jsonl\.gz, line 4: Object missing required field `playlist_id`"):
        list(ArchiveReader(tmp_path).read())
    assert sum(isinstance(record, PlaylistRecord) for record in skipping.read()) == 3
    assert skipping.skipped.count == 1

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from toolkit.catalogue.readers.archive import ArchiveParams, ArchiveReader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import DataError, InputError

VECTOR = [0.1, 0.2, 3.0, -4.5, 1.0, 0.06, 0.7, 0.08, 0.9, 0.1, 110.5]


def test_archive_playlists_are_versions_with_track_metadata(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(ArchiveReader(files / "archive").read()))

    a, b, unknown = "spotify:track:t1", "spotify:track:t2", "spotify:track:t9"
    assert playlists == [
        PlaylistRecord("AAA@2019-05-25", [a, b], "Chill", None, "AAA", "train", time=1558742400),
        PlaylistRecord("AAA@2019-06-25", [b, a], "Chill", None, "AAA", "train", time=1561420800),
        PlaylistRecord("BBB@2019-05-25", [b, b, unknown], "Chill", None, "BBB", "test", time=1558742400),
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


def test_large_archive_has_artist_and_album_ids_and_separate_features(files: Path) -> None:
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
        "spotify:track:t1",
        fields={"audio_features": Field(VECTOR, "spotify/p93all", match_score=1.0, train_allowed=False)},
    )
    assert records[3] == PlaylistRecord(
        "AAA@2019-05-25", ["spotify:track:t1", "spotify:track:t2"], "Chill", None, "AAA", time=1558742400
    )


def test_audio_features_have_the_order_of_the_archive() -> None:
    assert AUDIO_FEATURES[0] == "danceability"
    assert AUDIO_FEATURES[-1] == "tempo"
    assert len(AUDIO_FEATURES) == 11


def test_bad_archive_playlist_raises_with_line_number(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "archive" / "tracks.csv.gz", tmp_path)
    whole = gzip.decompress((files / "archive" / "playlists.jsonl.gz").read_bytes())
    with gzip.open(tmp_path / "playlists.jsonl.gz", "wb") as file:
        file.write(whole + b'{"list_id": 3}\n')
    skipping = ArchiveReader(tmp_path, on_error="skip")

    with pytest.raises(DataError, match=r"playlists\.jsonl\.gz, line 4: Object missing required field `playlist_id`"):
        list(ArchiveReader(tmp_path).read())
    assert sum(isinstance(record, PlaylistRecord) for record in skipping.read()) == 3
    assert skipping.skipped.count == 1


def test_splits_can_be_read_from_another_file(files: Path) -> None:
    """Read the splits of the large archive, which has none, from the small archive."""
    params = ArchiveParams(splits=Path("../archive/playlists.jsonl.gz"))

    lists = [
        record for record in ArchiveReader(files / "archive-large", params).read() if isinstance(record, PlaylistRecord)
    ]

    assert [(entry.group, entry.split) for entry in lists] == [("AAA", "train")]


def test_playlists_without_a_split_are_in_train(files: Path, tmp_path: Path) -> None:
    for file in ("tracks.csv.gz", "playlists.jsonl.gz"):
        shutil.copy(files / "archive" / file, tmp_path)
    with gzip.open(tmp_path / "other.gz", "wt") as file:
        file.write('{"list_id": 0, "playlist_id": "AAA", "date": "2020-01-01", "tracks": [], "split": "valid"}\n')
    params = ArchiveParams(splits=Path("other.gz"))

    lists = [record for record in ArchiveReader(tmp_path, params).read() if isinstance(record, PlaylistRecord)]

    assert [(entry.group, entry.split) for entry in lists] == [("AAA", "valid"), ("AAA", "valid"), ("BBB", "train")]


def test_split_file_without_splits_raises(files: Path) -> None:
    params = ArchiveParams(splits=Path("playlists_jaccard050.jsonl.gz"))

    with pytest.raises(InputError, match=r"must have playlists with a split: set data\.options\.splits"):
        list(ArchiveReader(files / "archive-large", params).read())


def test_archive_list_with_a_repeated_key_is_a_bad_record(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files / "archive", tmp_path / "archive")
    (lists,) = (tmp_path / "archive").glob("playlists*.jsonl.gz")
    line = b'{"list_id": 1, "playlist_id": "A", "date": "2019-05-25", "tracks": ["a"], "tracks": ["b"]}\n'
    lists.write_bytes(gzip.compress(line))

    with pytest.raises(DataError, match="line 1: has the key 'tracks' twice"):
        list(ArchiveReader(tmp_path / "archive").read())

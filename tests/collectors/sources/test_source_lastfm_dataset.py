"""Tests of the source `lastfm-dataset`, and of the Million Song Dataset's own database as a table of tracks."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import pytest

from collectors.source import Absent, Request
from collectors.sources.lastfm_dataset import LastfmDataset
from segue.checks.check_source import check_source
from toolkit.catalogue.readers.triplets import TripletsParams, TripletsReader
from toolkit.catalogue.records import PlaylistRecord
from toolkit.errors import DataError

FIRST, SECOND, BARE = "TRAAAAV128F421A322", "TRAABJV128F1460C49", "TRAAABD128F429CF47"
SONG, OTHER = "SOAKIMP12A8C130995", "SOBBMDR12A8C13253B"
TAGS = {FIRST: [("rock", 100), ("indie, pop", 34), ("seen live", 3)], SECOND: [("rock", 40), ("80s", 34)], BARE: []}
SONGS = """CREATE TABLE songs (track_id text PRIMARY KEY, title text, song_id text, release text, artist_id text,
artist_mbid text, artist_name text, duration real, artist_familiarity real, artist_hotttnesss real, year int,
track_7digitalid int, shs_perf int, shs_work int)"""


def tags_of(track: str) -> Request:
    return Request("track", track, ("tags",))


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    path = tmp_path / "track_metadata.db"
    with sqlite3.connect(path) as database:
        database.execute(SONGS)
        about = ("AR1", "", "Mira Oss", 200.5, 0.5, 0.4, 2001, 7, -1, 0)
        rows = [(FIRST, "Sea", SONG, "Quay", *about), (SECOND, "Sea (live)", SONG, "Quay", *about)]
        rows.append((BARE, "Bare", OTHER, "Quay", *about))
        database.executemany(f"INSERT INTO songs VALUES ({', '.join('?' * 14)})", rows)
    database.close()
    return path


@pytest.fixture(params=["db", "folder", "zip"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / ("lastfm_tags.db" if request.param == "db" else f"lastfm_{request.param}")
    documents = {
        f"A/{track}.json": json.dumps(
            {
                "artist": "x",
                "timestamp": "2011-08-16 01:34:38",
                "similars": [[SECOND, 0.5]],
                "tags": [[tag, str(weight)] for tag, weight in tags],
                "track_id": track,
                "title": "t",
            }
        )
        for track, tags in TAGS.items()
    }
    if request.param == "db":
        names = sorted({tag for tags in TAGS.values() for tag, _ in tags})
        with sqlite3.connect(path) as database:
            for table, column, values in (("tids", "tid", list(TAGS)), ("tags", "tag", names)):
                database.execute(f"CREATE TABLE {table} ({column} TEXT)")
                database.executemany(f"INSERT INTO {table} VALUES (?)", [(value,) for value in values])
            database.execute("CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT)")
            tracks = list(TAGS)
            pairs = [(tracks.index(t) + 1, names.index(tag) + 1, val) for t, tags in TAGS.items() for tag, val in tags]
            database.executemany("INSERT INTO tid_tag VALUES (?, ?, ?)", pairs)
        database.close()
    elif request.param == "folder":
        for name, text in documents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in documents.items():
                archive.writestr(name, text)
    return path


def test_tags_are_sorted_by_weight_in_every_form_of_the_dataset(dataset: Path, metadata: Path, http, tmp_path) -> None:
    source = LastfmDataset(LastfmDataset.Params(paths=[dataset], songs=metadata))
    with source.opened(tmp_path / "index"):
        assert source.collect(tags_of(f"msd:{FIRST}"), http).values == {"tags": "rock, indie pop, seen live"}
        # a song has the tags of its two tracks, with the larger weight
        assert source.collect(tags_of(f"local:{SONG}"), http).values == {"tags": "rock, 80s, indie pop, seen live"}
        assert isinstance(source.collect(tags_of(f"local:{OTHER}"), http), Absent)
        assert isinstance(source.collect(tags_of("spotify:track:x"), http), Absent)
    light = LastfmDataset(LastfmDataset.Params(paths=[dataset], min_weight=34, tags_kept=1))
    with light.opened(tmp_path / "index"):
        assert light.collect(tags_of(FIRST), http).values == {"tags": "rock"}
        assert isinstance(light.collect(tags_of(SONG), http), Absent)


def test_lastfm_dataset_passes_the_contract(dataset: Path) -> None:
    check_source(LastfmDataset, {"paths": [dataset]}, known=tags_of(f"msd:{FIRST}"), unknown=tags_of("msd:none"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lastfm_tags.db", b"no database, but some text that is long enough", "is not a database of the dataset"),
        (
            "folder/a.json",
            b'{"tags": []}',
            r"a\.json is not a file of the dataset .*track_id.*: download",
        ),
        ("folder/a.json", b'{"track_id": "x", "tags": [["rock", "much"]]}', "is not a file of the dataset"),
    ],
)
def test_other_file_is_one_line_with_its_path(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    source = LastfmDataset(LastfmDataset.Params(paths=[path if path.suffix == ".db" else path.parent]))
    with pytest.raises(DataError, match=message), source.opened(tmp_path / "index"):
        pass


def test_database_of_the_million_song_dataset_describes_the_songs_of_the_taste_profile(
    metadata: Path, tmp_path: Path
) -> None:
    (tmp_path / "train_triplets.txt").write_text(f"ann\t{SONG}\t2\nann\t{OTHER}\t1\n")
    tracks = {
        "file": "track_metadata.db",
        "track": "song_id",
        "artist": "artist_name",
        "artist_id": "artist_id",
        "album": "release",
        "fields": {"year": "year"},
    }
    reader = TripletsReader(tmp_path / "train_triplets.txt", TripletsParams(scheme="msd", tracks=tracks))

    *songs, playlist = reader.read()

    assert [(song.id, song.title, song.artists, song.artist_ids, song.album) for song in songs] == [
        (f"msd:{SONG}", "Sea", ("Mira Oss",), ("msd:artist:AR1",), "Quay"),
        (f"msd:{OTHER}", "Bare", ("Mira Oss",), ("msd:artist:AR1",), "Quay"),
    ]
    assert songs[0].duration_s == 200.5 and songs[0].fields["year"].value == "2001"
    assert playlist == PlaylistRecord("ann", [f"msd:{SONG}", f"msd:{OTHER}"], plays=[2.0, 1.0])
    # the second recording of the song has another title
    assert reader.doubles.count == 1

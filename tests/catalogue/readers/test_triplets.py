"""Tests of the reader for user, item and play count rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.catalogue.readers.triplets import TripletsParams, TripletsReader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.errors import DataError
from toolkit.recipe import Filters

PLAYS = "ann\tS1\t3\nbob\tS2\t1\nann\tS2\t10\nbob\tS3\t2\nann\tS4\t1\n"
SONGS = (
    "song_id\ttitle\tartist\tartist_id\nS1\tOne\tThe Ones\tA1\nS2\tTwo\tThe Twos\tA2\n"
    "S3\tThree\tThe Ones\tA1\nS9\tNine\tNobody\t\n"
)
ARTISTS = (
    "artist_id\tbiography\ttags\nA1\tOnes since 1990.\trock, live\nA2\t\tpop\n"
    "A1\tOnes since 1890.\trock, live\nA2\t\tpop\n"
)
TABLES = {"tracks": {"file": "songs.tsv", "track": "song_id"}, "artists": {"file": "artists.tsv"}}


def reader(folder: Path, text: str | bytes = PLAYS, on_error: Any = "stop", **options: Any) -> TripletsReader:
    path = folder / "train_triplets.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "songs.tsv").write_text(SONGS)
    (folder / "artists.tsv").write_text(ARTISTS)
    return TripletsReader(path, TripletsParams(**options), on_error=on_error)


def playlists(found: TripletsReader) -> dict[str, dict[str, float]]:
    records = [record for record in found.read() if isinstance(record, PlaylistRecord)]
    return {record.id: dict(zip(record.tracks, record.plays or (), strict=True)) for record in records}


def test_triplets_in_any_order_give_users_with_plays(tmp_path: Path) -> None:
    assert playlists(reader(tmp_path)) == {
        "ann": {"local:S1": 3, "local:S2": 10, "local:S4": 1},
        "bob": {"local:S2": 1, "local:S3": 2},
    }


def test_four_column_triplets_give_artists_by_name(tmp_path: Path) -> None:
    text = "u\tm-1\tThe Ones\t5\nu\t\tThe Others\t2\nv\tm-1\tThe Ones\t1\n"
    found = reader(tmp_path, text, artists={"file": "artists.tsv", "fields": {"tags": "tags"}})
    tracks = {record.id: record for record in found.read() if isinstance(record, TrackRecord)}
    assert playlists(found) == {"u": {"local:m-1": 5, "local:The Others": 2}, "v": {"local:m-1": 1}}
    assert (tracks["local:m-1"].title, tracks["local:m-1"].artists) == ("The Ones", ("The Ones",))


def test_repeated_items_are_summed_and_reported(tmp_path: Path) -> None:
    found = reader(tmp_path, PLAYS + "ann\tS1\t4\n")
    assert playlists(found)["ann"]["local:S1"] == 7
    assert found.doubles.examples == [
        f"{found.path}, user 'ann': 1 items are listed more than once: their plays are summed"
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ann\tS1", "has 2 columns and must have user, item, plays"),
        ("ann,S1,2", "has 1 columns .*set options.delimiter"),
        ("ann\tS1\tmany", "plays 'many' must be a number above 0"),
        ("ann\tS1\t-2", "plays '-2' must be a number above 0"),
        ("ann\tS1\t" + 400 * "9", "plays '9{78}… must be a number above 0"),
        ("ann\tS1\tinf", "plays 'inf' must be a number above 0"),
        ("\tS1\t2", "must have a value for user"),
        ("ann\t\t2", "must have a value for item"),
        (b"ann\tS\xe91\t2", "is not UTF-8.*set `options.encoding: latin-1`"),
    ],
)
def test_bad_triplets_raise_or_are_skipped_and_counted(line: str | bytes, why: str, tmp_path: Path) -> None:
    text = PLAYS.encode() + (line if isinstance(line, bytes) else line.encode()) + b"\n"
    with pytest.raises(DataError, match=f"train_triplets.txt, line 6: {why}"):
        playlists(reader(tmp_path, text))
    found = reader(tmp_path, text, on_error="skip")
    assert len(playlists(found)) == 2 and found.skipped.count == 1


@pytest.mark.parametrize(("encoding", "option"), [("utf-16", "auto"), ("latin-1", "latin-1"), ("utf-8-sig", "auto")])
def test_triplets_in_other_encodings_are_read(encoding: str, option: str, tmp_path: Path) -> None:
    found = reader(tmp_path, "zoë\tS1\t2\n".encode(encoding), encoding=option)
    assert playlists(found) == {"zoë": {"local:S1": 2}}


def test_truncated_utf_16_error_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train_triplets.txt is not UTF-16 \(.*set options.encoding"):
        playlists(reader(tmp_path, PLAYS.encode("utf-16")[:-1]))


def test_side_tables_add_song_and_artist_fields(tmp_path: Path) -> None:
    found = reader(tmp_path, **TABLES)
    with Catalogue.open(tmp_path / "c.sqlite") as catalogue:
        build(found, catalogue, tmp_path / "corpus")
        ids = ["local:S1", "local:S2", "local:S3", "local:S4"]
        present, texts = catalogue.field_values("biography", ids)
        assert present.tolist() == [True, False, True, False] and texts == ["Ones since 1990."] * 2
        assert catalogue.field_values("tags", ids)[1] == ["rock, live", "pop", "rock, live"]
    assert found.doubles.examples == [
        f"{tmp_path}/artists.tsv, line 4: artist 'A1' came before with other biography, tags: the first stays"
    ]


def test_corpus_keeps_plays_after_filters_and_rereading(tmp_path: Path) -> None:
    corpus = build(
        reader(tmp_path), None, tmp_path / "corpus", filters=Filters(min_track_plays=2, min_playlist_length=1)
    )
    names = corpus.tracks["id"].to_pylist()
    assert [names[item - 1] for item in corpus.items] == ["local:S2", "local:S2"] and corpus.plays is not None
    assert corpus.plays.tolist() == [10, 1]
    whole = build(reader(tmp_path), None, tmp_path / "whole")
    again = build(CorpusReader(tmp_path / "whole"), None, tmp_path / "again")
    assert whole.plays is not None and again.plays is not None and whole.plays.tolist() == [3, 10, 1, 1, 2]
    np.testing.assert_array_equal(again.plays, whole.plays)
    assert Corpus.load(tmp_path / "whole").plays.tolist() == [3, 10, 1, 1, 2]  # type: ignore[union-attr]


def test_comma_separated_side_tables_are_read(tmp_path: Path) -> None:
    found = reader(
        tmp_path,
        tracks={"file": "songs.csv", "track": "song_id"},
        artists={"file": "artists.csv", "fields": {"biography": "bio"}},
    )
    (tmp_path / "songs.csv").write_text("song_id,title,artist,artist_id\nS1,One,The Ones,A1\n")
    (tmp_path / "artists.csv").write_text('artist_id,bio\nA1,"Ones, since 1990"\n')
    tracks = {record.id: record for record in found.read() if isinstance(record, TrackRecord)}
    assert tracks["local:S1"].title == "One" and tracks["local:S1"].fields["biography"].value == "Ones, since 1990"

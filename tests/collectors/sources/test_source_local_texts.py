"""Tests of the source `local-texts`: lyrics and biographies from files and tables of the user."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from collectors.source import Absent, Ambiguous, Found, Request
from collectors.sources.local_texts import MAX_BYTES, LocalTexts
from segue.checks.check_source import check_source
from toolkit.errors import DataError, InputError

SEA = "Over the sea,\nover"
ROWS = [
    {
        "id": "spotify:track:4iV5W9uYEdYUVa79Axb7Rh",
        "artist": "Mira Oss",
        "title": "Sea Above",
        "text": "Over the sea,\nover",
    },
    {"id": None, "artist": "Bo", "title": "Below", "text": "Under"},
    {"id": "GBABC0100001", "artist": None, "title": None, "text": "By code"},
    {"id": "none", "artist": "Bo", "title": "Empty", "text": " "},
]


def track(id: str = "local:1", title: str | None = None, artist: str | None = None, **ids: str) -> Request:
    return Request("track", id, ("lyrics",), ids, title, (artist,) if artist else ())


def artist(id: str, name: str) -> Request:
    return Request("artist", id, ("biography",), artists=(name,))


@pytest.fixture(params=["folder", "csv", "jsonl", "parquet", "db"])
def lyrics(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"lyrics.{request.param}"
    if request.param == "folder":
        path.mkdir()
        (path / "spotify_track_4iV5W9uYEdYUVa79Axb7Rh.txt").write_text(ROWS[0]["text"])
        (path / "Bo - Below.txt").write_text("\ufeffUnder\n")
        (path / "GBABC0100001.txt").write_text("By code")
        (path / "Bo - Empty.txt").write_text("\n")
        (path / "notes.md").write_text("not lyrics")
    elif request.param == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
    elif request.param == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif request.param == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE lyrics (id, artist, title, text)")
            database.executemany("INSERT INTO lyrics VALUES (?, ?, ?, ?)", [tuple(row.values()) for row in ROWS])
        database.close()
    return path


def test_files_and_tables_give_the_same_lyrics(lyrics: Path, http, tmp_path: Path) -> None:
    source = LocalTexts(LocalTexts.Params(lyrics=lyrics, train_allowed=True, licence="bought"))
    with source.opened(tmp_path / "index"):
        by_id = source.collect(track("spotify:track:4iV5W9uYEdYUVa79Axb7Rh"), http)
        by_service = source.collect(track("local:x", spotify="4iV5W9uYEdYUVa79Axb7Rh"), http)
        by_code = source.collect(track("local:x", isrc="GBABC0100001"), http)
        by_name = source.collect(track("local:x", "below", "BO"), http)
        assert isinstance(source.collect(track("local:x", "Empty", "Bo"), http), Absent)
        assert isinstance(source.collect(track("local:x", "Below", "Someone"), http), Absent)
        assert isinstance(source.collect(track("local:x"), http), Absent)
    if lyrics.suffix == ".folder":
        assert by_id.values == {"lyrics": "Over the sea,\nover"}
    assert by_id.values["lyrics"].split() == ["Over", "the", "sea,", "over"] and by_id.score == 1
    assert (by_code.values, by_name.values) == ({"lyrics": "By code"}, {"lyrics": "Under"})
    assert isinstance(by_service, Found) and by_service.values == by_id.values
    assert (source.terms.train_allowed, source.terms.licence, LocalTexts.terms.train_allowed) == (True, "bought", None)


def test_biographies_are_found_by_id_and_by_a_name_that_one_artist_has(http, tmp_path: Path) -> None:
    (tmp_path / "bios").mkdir()
    (tmp_path / "bios" / "spotify_artist_7.txt").write_text("By id")
    (tmp_path / "bios" / "03 Mira Oss.txt").write_text("A singer")
    source = LocalTexts(LocalTexts.Params(biographies=tmp_path / "bios"))
    with source.opened(tmp_path / "index"):
        assert source.collect(artist("spotify:artist:7", "Someone"), http).values == {"biography": "By id"}
        assert source.collect(artist("name:x", "03 Mira Oss"), http).values == {"biography": "A singer"}
        assert isinstance(source.collect(artist("name:x", "Mira Oss"), http), Absent)
    table = tmp_path / "bios.csv"
    table.write_text("name,bio\nTwins,One\nTwins,Two\nBo,A man\n")
    source = LocalTexts(LocalTexts.Params(biographies=table, artist="name", text="bio"))
    with source.opened(tmp_path / "index"):
        assert isinstance(source.collect(artist("a", "Twins"), http), Ambiguous)
        assert source.collect(artist("b", "bo"), http).values == {"biography": "A man"}


def test_local_texts_pass_the_contract(lyrics: Path) -> None:
    known = track("spotify:track:4iV5W9uYEdYUVa79Axb7Rh", "Sea Above", "Mira Oss")
    check_source(LocalTexts, {"lyrics": lyrics}, known=known, unknown=track("local:none", "No Such Song", "Nobody"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,words\n1,la\n", r"has no column 'text' \(`text`\): columns: id, words"),
        (
            "a.csv",
            b"ids,text\n1,la\n",
            r"must have the column 'id' \(`key`\), or 'artist' and 'title': did you",
        ),
        ("a.parquet", b"no", r"a\.parquet must be a valid Parquet file"),
        ("lyrics/b.txt", b"\xe9t\xe9", r"b\.txt is not UTF-8: save the file as UTF-8"),
        ("lyrics/b.txt", b" " * (MAX_BYTES + 1), r"b\.txt has more than 10 MB: remove the file"),
    ],
)
def test_bad_file_is_one_line_with_its_path(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    source = LocalTexts(LocalTexts.Params(lyrics=path.parent if path.suffix == ".txt" else path))
    with pytest.raises((InputError, DataError), match=message), source.opened(tmp_path / "index"):
        pass


def test_one_of_lyrics_and_biographies_is_required() -> None:
    with pytest.raises(ValidationError, match="set `lyrics`, `biographies` or both"):
        LocalTexts.Params()

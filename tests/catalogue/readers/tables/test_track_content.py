"""Content of tracks in other tables, for readers whose playlists name the tracks."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.checks.check_reader import check_reader
from toolkit import plugins
from toolkit.catalogue.readers.reader import OnError, Reader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.errors import DataError, InputError
from toolkit.validation import validated

PLACES = {
    "mpd": "mpd",
    "m3u": "m3u",
    "jspf": "jspf/mix.jspf",
    "xspf": "xspf/mix.xspf",
    "recbole": "recbole/tiny.inter",
    "archive": "archive",
}
Rows = Sequence[dict[str, object]]


def as_csv(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=2)


def as_sqlite(path: Path, rows: Rows) -> None:
    columns = ", ".join(f'"{name}"' for name in rows[0])
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE tracks ({columns})")
        marks = ", ".join("?" for _ in rows[0])
        database.executemany(f"INSERT INTO tracks VALUES ({marks})", [tuple(row.values()) for row in rows])
    database.close()


FORMS = {"content.csv": as_csv, "content.jsonl": as_jsonl, "content.parquet": as_parquet, "content.db": as_sqlite}
CONTENT = {"fields": {"lyrics": "words"}, "features": {"audio_features": ["energy", "tempo"]}}


def reader_of(name: str, path: Path, tables: object, on_error: OnError = "stop") -> Reader:
    cls = plugins.load("segue.readers", name)
    return cls(path, validated(cls.Params, {"tracks": tables}, "data.options."), on_error=on_error)


def ids_of(name: str, path: Path) -> list[str]:
    """Return the ids of the tracks in playlists."""
    records = plugins.load("segue.readers", name)(path).read()
    return list(
        dict.fromkeys(track for record in records if isinstance(record, PlaylistRecord) for track in record.tracks)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PLACES)
def test_content_of_a_table_is_added_to_the_tracks_of_any_reader(
    name: str, form: str, files: Path, tmp_path: Path
) -> None:
    shutil.copytree(files / PLACES[name].split("/")[0], tmp_path / "data")
    path = tmp_path / "data" / "/".join(PLACES[name].split("/")[1:])
    first, *_, last = ids = ids_of(name, path)
    rows = [
        {"track_id": first, "words": " la la ", "energy": 0.5, "tempo": 120},
        {"track_id": "spotify:track:elsewhere", "words": "not here", "energy": 1, "tempo": 2},
        {"track_id": last, "words": None, "energy": 0.25, "tempo": 90},
    ]
    FORMS[form](tmp_path / "data" / form, rows)
    table = {"file": form, **CONTENT, "source": "mine", "train_allowed": True}
    plain = list(plugins.load("segue.readers", name)(path).read())

    reader = reader_of(name, path, table)
    read = list(reader.read())

    vectors = {first: [0.5, 120.0], last: [0.25, 90.0]}
    assert read == [
        *plain,
        TrackRecord(
            first,
            fields={
                "lyrics": Field("la la", "mine", train_allowed=True),
                "audio_features": Field(vectors[first], "mine", train_allowed=True),
            },
        ),
        TrackRecord(last, fields={"audio_features": Field(vectors[last], "mine", train_allowed=True)}),
    ]
    assert len(ids) > 1
    assert reader.fields_offered() is not None and {"lyrics", "audio_features"} <= reader.fields_offered()
    check_reader(lambda on_error: reader_of(name, path, table, on_error))


def test_bare_ids_and_links_are_spotify_tracks_of_the_mpd(files: Path, tmp_path: Path) -> None:
    rows = [{"id": "a", "bio": "A"}, {"id": "https://open.spotify.com/track/b?si=1", "bio": "B"}]
    as_csv(tmp_path / "t.csv", rows)
    table = {"file": str(tmp_path / "t.csv"), "track": "id", "fields": {"biography": "bio"}}

    read = list(reader_of("mpd", files / "mpd", table).read())

    assert [record.id for record in read[-2:]] == ["spotify:track:a", "spotify:track:b"]


def test_several_tables_with_their_own_terms_and_pictures_are_read(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "csv" / "cover.png", tmp_path / "a.png")
    as_csv(tmp_path / "covers.csv", [{"track_id": "a", "image": "a.png"}])
    as_csv(tmp_path / "lyrics.csv", [{"track_id": "b", "words": "la"}])
    tables = [
        {"file": str(tmp_path / "covers.csv"), "images": {"cover": "image"}, "train_allowed": True},
        {"file": str(tmp_path / "lyrics.csv"), "fields": {"lyrics": "words"}, "source": "genius"},
    ]

    cover, lyrics = list(reader_of("mpd", files / "mpd", tables).read())[-2:]

    assert cover.fields == {"cover": Field((tmp_path / "a.png").read_bytes(), "table", train_allowed=True)}
    assert lyrics.fields == {"lyrics": Field("la", "genius", train_allowed=None)}


def test_first_of_two_rows_of_a_track_stays_and_the_other_is_reported(files: Path, tmp_path: Path) -> None:
    as_csv(tmp_path / "t.csv", [{"track_id": "a", "w": "one"}, {"track_id": "a", "w": "two"}])
    reader = reader_of("mpd", files / "mpd", {"file": str(tmp_path / "t.csv"), "fields": {"lyrics": "w"}})

    assert [record.fields["lyrics"].value for record in reader.read() if getattr(record, "fields", None)] == ["one"]
    assert "track 'spotify:track:a' came before with other values" in reader.doubles.examples[0]


@pytest.mark.parametrize("form", FORMS)
def test_unknown_column_is_named_with_the_nearest_before_the_playlists_are_read(
    form: str, files: Path, tmp_path: Path
) -> None:
    FORMS[form](tmp_path / form, [{"track_id": "a", "lyrics": "la"}])
    reader = reader_of("mpd", files / "mpd", {"file": str(tmp_path / form), "fields": {"lyrics": "lyric"}})

    for use in (reader.check_source, lambda: next(reader.read())):
        with pytest.raises(
            InputError, match=r"has no column 'lyric' \(option fields.lyrics\): did you mean 'lyrics'\?"
        ):
            use()


def test_table_without_a_track_of_the_playlists_raises_with_both_ids(files: Path, tmp_path: Path) -> None:
    as_csv(tmp_path / "t.csv", [{"track_id": "TRAAA", "w": "la"}])
    reader = reader_of("mpd", files / "mpd", {"file": str(tmp_path / "t.csv"), "fields": {"lyrics": "w"}})

    message = "has no track of the playlists: column 'track_id' has ids such as 'TRAAA'.*'spotify:track:a'"
    with pytest.raises(InputError, match=message):
        list(reader.read())


def test_table_without_content_is_refused() -> None:
    with pytest.raises(InputError, match=r"file='t.csv' requires the columns to read: set `fields`, `features`"):
        reader_of("mpd", Path("mpd"), {"file": "t.csv"})


def test_bad_cell_stops_or_is_counted(files: Path, tmp_path: Path) -> None:
    as_csv(tmp_path / "t.csv", [{"track_id": "a", "e": "loud"}, {"track_id": "b", "e": "1"}])
    table = {"file": str(tmp_path / "t.csv"), "features": ["e"]}

    with pytest.raises(DataError, match=r"t\.csv, line 2: feature 'loud' of e must be a finite number"):
        list(reader_of("mpd", files / "mpd", table).read())
    skipping = reader_of("mpd", files / "mpd", table, "skip")
    assert list(skipping.read())[-1].fields["features"].value == [1.0]
    assert skipping.skipped.count == 1


def test_sqlite_table_is_chosen_by_name_and_other_files_raise(files: Path, tmp_path: Path) -> None:
    as_sqlite(tmp_path / "two.db", [{"track_id": "a", "w": "la"}])
    with sqlite3.connect(tmp_path / "two.db") as database:
        database.execute("CREATE TABLE others (x)")
    database.close()
    (tmp_path / "text.db").write_text("no database, but some text that is long enough to be taken for a header")
    content = {"fields": {"lyrics": "w"}}

    def read(**table: str) -> list[object]:
        return list(reader_of("mpd", files / "mpd", {**table, **content}).read())

    two = str(tmp_path / "two.db")
    assert read(file=two, table="tracks")[-1].fields["lyrics"].value == "la"
    with pytest.raises(InputError, match=r"has 2 tables: set tracks.table to one of others, tracks"):
        read(file=two)
    with pytest.raises(InputError, match=r"has no table 'track' \(option tracks.table\): did you mean 'tracks'"):
        read(file=two, table="track")
    with pytest.raises(DataError, match=r"text\.db must be a valid SQLite database"):
        read(file=str(tmp_path / "text.db"))


def test_memory_does_not_grow_with_rows_of_other_tracks(files: Path, tmp_path: Path) -> None:
    def sized(n: int) -> Reader:
        rows = [{"track_id": "a" if row == 0 else f"other{row}", "w": "la " * 100} for row in range(10 * n)]
        as_csv(tmp_path / "t.csv", rows)
        return reader_of("mpd", files / "mpd", {"file": str(tmp_path / "t.csv"), "fields": {"lyrics": "w"}})

    check_reader(lambda on_error: sized(1), sized=sized)

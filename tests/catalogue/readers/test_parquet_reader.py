"""Tests of Parquet files and in-memory tables against CSV files with the same rows."""

from __future__ import annotations

import datetime
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolkit.catalogue.readers.auto import detect
from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.readers.jsonl import JsonlParams, JsonlReader
from toolkit.catalogue.readers.parquet import ParquetParams, ParquetReader
from toolkit.catalogue.readers.tables.arrow_tables import ArrowParams, ArrowReader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.errors import DataError, InputError
from toolkit.timestamps import NO_TIME


def reader(folder: Path, columns: dict | pa.Table, on_error: str = "stop", **options) -> ParquetReader:
    path = folder / "lists.parquet"
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)
    return ParquetReader(path, ParquetParams(**options), on_error=on_error)


def rows(seed: int, n: int = 500) -> pd.DataFrame:
    draw = random.Random(seed)
    tracks = [draw.randrange(30) for _ in range(n)]
    return pd.DataFrame(
        {
            "playlist_id": [f"p{draw.randrange(9)}" for _ in tracks],
            "track_id": [f"t{track}" if track % 3 else f"isrc:GBAAA00000{track:02d}" for track in tracks],
            "position": [draw.randrange(40) for _ in tracks],
            "title": [f"Song {track}" if track % 4 else None for track in tracks],
            "artist": [f"Ann{track % 5}; Bo" for track in tracks],
            "energy": [track / 8 for track in tracks],
            "added": [1_500_000_000 + draw.randrange(10**6) for _ in tracks],
            "playlist_title": [draw.choice(["Morning ", "", "Evening"]) for _ in tracks],
        }
    )


OPTIONS = [
    {},
    {"time": "added"},
    {"position": "added", "features": ["energy"]},
    {"features": {"sound": ["energy", "added"]}, "fields": {"words": "title"}, "train_allowed": True, "scheme": "mine"},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("group", [7, 10_000])
def test_parquet_rows_in_any_order_equal_csv_records(options: dict, group: int, tmp_path: Path) -> None:
    frame = rows(0)
    frame.to_csv(tmp_path / "lists.csv", index=False)
    frame.to_parquet(tmp_path / "lists.parquet", row_group_size=group)

    expected = list(CsvReader(tmp_path / "lists.csv", CsvParams(**options, source="it")).read())

    assert list(ParquetReader(tmp_path / "lists.parquet", ParquetParams(**options, source="it")).read()) == expected
    table = pa.Table.from_pandas(frame)
    assert list(ArrowReader(table, None, ArrowParams(**options, source="it")).read()) == expected
    assert list(ArrowReader(table.to_reader(10), None, ArrowParams(**options, source="it")).read()) == expected


def test_integer_ids_equal_csv_ids(tmp_path: Path) -> None:
    frame = pd.DataFrame({"playlist_id": [3, 3, 1], "track_id": pd.array([7, 12, 7], "int64"), "pos": [2, 1, 1]})
    frame.to_csv(tmp_path / "lists.csv", index=False)

    found = list(reader(tmp_path, pa.Table.from_pandas(frame)).read())

    assert found == list(CsvReader(tmp_path / "lists.csv").read())
    assert found == [PlaylistRecord("3", ["local:12", "local:7"]), PlaylistRecord("1", ["local:7"])]
    with_gap = {"playlist_id": [3, 3, 1], "track_id": [7.0, float("nan"), 8.0], "pos": [2, 1, 1]}
    skipping = reader(tmp_path, with_gap, "skip")
    assert list(skipping.read()) == [PlaylistRecord("3", ["local:7"]), PlaylistRecord("1", ["local:8"])]
    assert skipping.skipped.count == 1


def test_folder_of_parts_can_contain_the_track_file(tmp_path: Path) -> None:
    frame = rows(1)[["playlist_id", "track_id", "position"]]
    for part in range(3):
        frame[part * 200 : (part + 1) * 200].to_parquet(tmp_path / f"part-{part}.parquet")
    tracks = pa.table(
        {
            "id": ["t1", "t2", "t1"],
            "name": ["One", "Two", "Uno"],
            "vector": pa.array([[0.5, 1.0], None, [3.0, 4.0]], pa.list_(pa.float32())),
            "artist": [["Ann", "Bo"], [], None],
        }
    )
    pq.write_table(tracks, tmp_path / "tracks.parquet")
    options = {"tracks": {"file": "tracks.parquet", "track": "id", "title": "name", "features": {"sound": ["vector"]}}}
    found = ParquetReader(tmp_path, ParquetParams(**options))
    records = list(found.read())

    assert detect(tmp_path) == "parquet"
    assert records[:2] == [
        TrackRecord("local:t1", "One", ("Ann", "Bo"), fields={"sound": Field([0.5, 1.0], "parquet")}, source="parquet"),
        TrackRecord("local:t2", "Two", source="parquet"),
    ]
    assert found.doubles.count == 1
    frame.to_csv(tmp_path / "lists.csv", index=False)
    assert records[2:] == list(CsvReader(tmp_path / "lists.csv").read())


LISTS = {
    "playlist_id": ["m", "e"],
    "track_id": [["a", "b"], ["b", "isrc:GBAAA0000001"]],
    "title": [["Ay", None], ["Bee", "See"]],
    "playlist_title": ["Morning", None],
    "split": ["train", "test"],
}


def test_list_column_of_tracks_equals_jsonl_records(tmp_path: Path) -> None:
    lines = (
        '{"id": "m", "title": "Morning", "split": "train", "tracks": [{"id": "a", "title": "Ay"}, {"id": "b"}]}\n'
        '{"id": "e", "split": "test", "tracks": [{"id": "b", "title": "Bee"},'
        ' {"id": "isrc:GBAAA0000001", "title": "See"}]}\n'
    )
    (tmp_path / "lists.jsonl").write_text(lines)

    expected = list(JsonlReader(tmp_path / "lists.jsonl", JsonlParams(source="parquet")).read())

    assert list(reader(tmp_path, LISTS).read()) == expected
    # the names that JSON Lines has by default: the title is the playlist's, its tracks are only ids
    plain = {"id": ["m", "e"], "tracks": LISTS["track_id"], "title": LISTS["playlist_title"]}
    assert list(reader(tmp_path, plain, playlist="id").read()) == [
        PlaylistRecord("m", ["local:a", "local:b"], "Morning"),
        PlaylistRecord("e", ["local:b", "isrc:GBAAA0000001"]),
    ]


def test_list_columns_have_times_and_positions(tmp_path: Path) -> None:
    table = {
        "playlist_id": ["m"],
        "track_id": [["a", "b", "c"]],
        "position": [[2, 3, 1]],
        "added": pa.array([[datetime.datetime(2020, 1, day) for day in (1, 2, 3)]], pa.list_(pa.timestamp("us"))),
        "made": [datetime.date(2020, 1, 1)],
    }
    day = 86_400
    first = 1_577_836_800

    assert list(reader(tmp_path, table, time="added").read()) == [
        PlaylistRecord("m", ["local:c", "local:a", "local:b"], times=[first + 2 * day, first, first + day])
    ]
    del table["position"]
    assert list(reader(tmp_path, table, time="made").read()) == [
        PlaylistRecord("m", ["local:a", "local:b", "local:c"], time=first)
    ]


@pytest.mark.parametrize(
    "moment",
    [
        pa.array(["2020-07-01", "2020-07-01T12:00:00Z"]),
        pa.array([1_593_561_600, 1_593_604_800]),
        pa.array([1_593_561_600.75, 1_593_604_800.25]),
        pa.array([20_200_701, 1_593_604_800]),
        pa.array(
            [datetime.datetime(2020, 7, 1, 0, 0, 0, 5), datetime.datetime(2020, 7, 1, 12)], pa.timestamp("ns", "UTC")
        ),
        pa.array(["2020-07-01", "2020-07-01T12:00:00Z"]).dictionary_encode(),
    ],
)
def test_times_of_all_column_types_are_read(moment: pa.Array, tmp_path: Path) -> None:
    found = list(
        reader(tmp_path, {"playlist_id": ["m", "m"], "track_id": ["a", "b"], "when": moment}, time="when").read()
    )

    assert found == [PlaylistRecord("m", ["local:a", "local:b"], times=[1_593_561_600, 1_593_604_800])]


def test_nan_null_and_blank_are_missing_values(tmp_path: Path) -> None:
    table = {
        "playlist_id": ["m", " m ", "m"],
        "track_id": ["a", "b", "c"],
        "title": pa.array(["Ay", None, "  "]),
        "album": [float("nan")] * 3,
        "group": pa.nulls(3),
    }

    assert list(reader(tmp_path, table).read()) == [
        TrackRecord("local:a", "Ay", source="parquet"),
        TrackRecord("local:b", source="parquet"),
        TrackRecord("local:c", source="parquet"),
        PlaylistRecord("m", ["local:a", "local:b", "local:c"]),
    ]


GOOD = {"playlist_id": ["m", "m"], "track_id": ["a", "b"]}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"track_id": ["a", None]}, {}, r"lists\.parquet, row 1: must have a value for track_id \(on_error: skip"),
        ({"playlist_id": ["m", " "]}, {}, r"lists\.parquet, row 1: must have a value for playlist_id \("),
        ({"pos": ["1", "x"]}, {}, r"lists\.parquet, row 1: position 'x' must be a number"),
        ({"pos": [1.0, None]}, {}, r"lists\.parquet, row 1: position None must be a number"),
        ({"when": ["2020-01-01", "soon"]}, {"time": "when"}, r"lists\.parquet, row 1: time 'soon' must be ISO 8601"),
        ({"when": [1, 1e18]}, {"time": "when"}, r"lists\.parquet, row 1: time 1e\+18 must be ISO 8601"),
    ],
)
def test_bad_parquet_rows_raise_or_are_skipped_and_counted(
    columns: dict, options: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        list(reader(tmp_path, GOOD | columns, **options).read())
    skipping = reader(tmp_path, GOOD | columns, "skip", **options)
    assert [record.tracks for record in skipping.read()] == [["local:a"]]
    assert skipping.skipped.count == 1
    list(skipping.blocks())
    assert skipping.skipped.count == 2


def test_bad_track_cell_raises_with_row_and_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lists\.parquet, row 1: duration 'long' must be a number >= 0"):
        list(reader(tmp_path, GOOD | {"duration": ["3", "long"]}).read())
    with pytest.raises(DataError, match=r"lists\.parquet, row 0: feature inf of v must be a finite number"):
        list(reader(tmp_path, GOOD | {"v": [[1.0, float("inf")], [1.0, 2.0]]}, features=["v"]).read())
    with pytest.raises(DataError, match=r"lists\.parquet, row 0, track 1: must have a value for track_id"):
        list(reader(tmp_path, {"playlist_id": ["m"], "track_id": [["a", None]]}).read())
    with pytest.raises(DataError, match=r"lists\.parquet, row 1: 'title' has 1 entries, 'track_id' has 2"):
        list(reader(tmp_path, LISTS | {"title": [["Ay", None], ["Bee"]]}).read())
    with pytest.raises(DataError, match=r"lists\.parquet, row 1: 'track_id' must be a list of tracks"):
        list(reader(tmp_path, {"playlist_id": ["m", "n"], "track_id": [["a", "b"], None]}).read())
    with pytest.raises(
        InputError, match=r"lists\.parquet, row 1: 'track_id' is 1\.5 and must be text or a whole number"
    ):
        list(reader(tmp_path, GOOD | {"track_id": [1.0, 1.5]}).read())


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {},
            {"title": "titel"},
            r"lists\.parquet has no column 'titel' \(option title\): columns: playlist_id, track_id",
        ),
        ({}, {"playlist": "playlist"}, r"has no column 'playlist' \(option playlist\): did you mean 'playlist_id'"),
        (
            {"title": [{"a": 1}, {"a": 2}]},
            {},
            r"lists\.parquet, column 'title' \(option title\) holds struct<a: int64> and must hold texts",
        ),
        ({"title": [True, False]}, {}, r"column 'title' \(option title\) holds bool and must hold texts or numbers"),
        ({"title": [["x"], ["y"]]}, {}, r"column 'title' \(option title\) holds list<.* and must hold texts"),
        (
            {"track_id": [b"a", b"b"]},
            {},
            r"column 'track_id' \(option track\) holds binary and must hold texts or whole numbers",
        ),
        ({"track_id": [[["a"]], [["b"]]]}, {}, r"column 'track_id' \(option track\) holds list<.* and must hold texts"),
        (
            {"v": [[[1.0]], [[2.0]]]},
            {"features": ["v"]},
            r"column 'v' \(option features\.features\) holds list<element: list.*and must hold numbers or lists",
        ),
        (
            {"when": [True, False]},
            {"time": "when"},
            r"column 'when' \(option time\) holds bool and must hold timestamps",
        ),
        ({"pos": [[1], [2]]}, {}, r"column 'pos' \(option position\) holds list<.* and must hold numbers"),
        (
            LISTS | {"name": ["x", "y"]},
            {"title": "name"},
            r"column 'name' \(option title\) holds string and must hold lists like the tracks",
        ),
    ],
)
def test_wrong_columns_raise_even_with_skip(columns: dict, options: dict, message: str, tmp_path: Path) -> None:
    for take in ("read", "blocks"):
        with pytest.raises(InputError, match=message):
            list(getattr(reader(tmp_path, GOOD | columns, "skip", **options), take)())


def test_damaged_or_non_parquet_file_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "lists.parquet").write_text("playlist_id,track_id\n")
    with pytest.raises(DataError, match=r"lists\.parquet must be a valid Parquet file \(.*$"):
        list(ParquetReader(tmp_path / "lists.parquet").read())
    whole = reader(tmp_path, GOOD)
    content = whole.path.read_bytes()
    whole.path.write_bytes(content[:20] + b"\xff" * 20 + content[40:])
    with pytest.raises(DataError, match=r"lists\.parquet must be a valid Parquet file"):
        list(whole.read())
    with pytest.raises(DataError, match=r"lists\.parquet must contain a playlist"):
        list(reader(tmp_path, pa.table({name: pa.array([], pa.string()) for name in GOOD})).read())
    pq.write_table(pa.table({"playlist_id": ["a"], "track": ["b"]}), tmp_path / "more.parquet")
    reader(tmp_path, GOOD)
    with pytest.raises(
        InputError, match=r"more\.parquet has no column 'track_id' \(option track\): did you mean 'track'"
    ):
        list(ParquetReader(tmp_path).read())


def test_covers_are_read_from_paths_bytes_and_hugging_face_images(files: Path, tmp_path: Path) -> None:
    picture = (files / "csv" / "cover.png").read_bytes()
    (tmp_path / "cover.png").write_bytes(picture)
    kinds = [
        ["cover.png", None],
        [picture, None],
        [{"bytes": picture, "path": None}, {"bytes": None, "path": "cover.png"}],
    ]
    for cells in kinds:
        tracks = list(reader(tmp_path, GOOD | {"art": cells}, images={"cover": "art"}).read())[:2]
        assert [track.fields["cover"].value for track in tracks if track.fields] == [picture] * (
            1 + isinstance(cells[0], dict)
        )
    with pytest.raises(DataError, match=r"row 0: cover 'art' is not a picture"):
        list(reader(tmp_path, GOOD | {"art": [b"<html>", None]}, images={"cover": "art"}).read())


def test_two_in_memory_tables_share_the_options(tmp_path: Path) -> None:
    placements = pa.table({"playlist_id": ["m", "m"], "track_id": ["a", "b"], "rank": [2, 1]})
    tracks = pa.table({"id": ["a", "b"], "name": ["Ay", "Bee"], "tempo": [1.0, 2.0], "energy": np.float32([0.5, 0.25])})
    params = ArrowParams(position="rank", title="name", features={"sound": ["tempo", "energy"]})

    found = list(ArrowReader(placements, tracks, params).read())

    assert found == [
        TrackRecord("local:a", "Ay", fields={"sound": Field([1.0, 0.5], "table")}, source="table"),
        TrackRecord("local:b", "Bee", fields={"sound": Field([2.0, 0.25], "table")}, source="table"),
        PlaylistRecord("m", ["local:b", "local:a"], time=NO_TIME),
    ]
    with pytest.raises(
        InputError, match=r"column 'nam' \(option title\) is missing in playlists and tracks: did you mean 'name'"
    ):
        ArrowReader(placements, tracks, ArrowParams(title="nam"))
    with pytest.raises(InputError, match=r"features\.x: the columns rank, tempo must be in one table"):
        ArrowReader(placements, tracks, ArrowParams(features={"x": ["rank", "tempo"]}))
    with pytest.raises(InputError, match=r"tracks, column 'id' \(option tracks\.track\) holds bool"):
        list(ArrowReader(placements, tracks.set_column(0, "id", [[True, False]]), params).read())

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.errors import DataError, InputError

TRACKS = {
    "file": "tracks.csv",
    "track": "id",
    "title": "name",
    "artist": "performers",
    "duration": "length_ms",
    "duration_unit": "ms",
    "features": ["energy", "tempo"],
    "fields": {"lyrics": "lyrics"},
    "images": {"cover": "cover"},
}
OPTIONS = {
    "playlist": "list",
    "track": "track",
    "position": "pos",
    "source": "mine",
    "train_allowed": True,
    "tracks": TRACKS,
}


def reader(path: Path, on_error: str = "stop", **options) -> CsvReader:
    return CsvReader(path, CsvParams(**options), on_error=on_error)


def table(folder: Path, text: str) -> Path:
    path = folder / "lists.csv"
    path.write_text(text)
    return path


def test_columns_of_two_files_are_set_by_options(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(reader(files / "csv" / "playlists.csv", **OPTIONS).read()))

    assert playlists == [
        PlaylistRecord("7", ["local:2", "local:1"]),
        PlaylistRecord("8", ["local:3", "local:1", "local:1"]),
    ]
    assert tracks["local:1"] == TrackRecord(
        "local:1",
        "Rain, again",
        ("Ann", "Bo"),
        (),
        "First",
        None,
        201.5,
        {
            "lyrics": Field("drip\ndrop", "mine", train_allowed=True),
            "features": Field([0.5, 120.0], "mine", train_allowed=True),
            "cover": Field((files / "csv" / "cover.png").read_bytes(), "mine", train_allowed=True),
        },
        "mine",
        True,
    )
    assert tracks["local:3"] == TrackRecord("local:3", "Night", source="mine", train_allowed=True)
    assert list(tracks) == ["local:1", "local:2", "local:3", "local:4"]


def test_columns_are_found_by_default_names(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(reader(files / "csv" / "described.tsv").read()))

    assert playlists == [
        PlaylistRecord("m1", ["isrc:GBAAA0000001", "isrc:GBAAA0000002"], "Morning", None, "m", "train"),
        PlaylistRecord("e1", ["isrc:GBAAA0000002"], "Evening", None, "e", "test"),
    ]
    assert [(track.title, track.artists) for track in tracks.values()] == [("Rain", ("Ann",)), ("Sun", ("Bo",))]


def test_rows_in_any_order_equal_grouping_in_memory(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [(f"p{draw.randrange(9)}", draw.randrange(40), f"t{draw.randrange(30)}") for _ in range(500)]
    path = tmp_path / "lists.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("playlist_id,position,track_id\n" + "".join(f"{p},{i},{t}\n" for p, i, t in rows))
    expected: dict[str, list[tuple[int, str]]] = {}
    for playlist, position, track in rows:
        expected.setdefault(playlist, []).append((position, f"local:{track}"))

    got = [(record.id, record.tracks) for record in reader(path).read()]

    assert got == [
        (p, [track for _, track in sorted(placed, key=lambda pair: pair[0])]) for p, placed in expected.items()
    ]


def test_sorted_csv_equals_the_spooled_csv(files: Path, tmp_path: Path) -> None:
    path = table(tmp_path, "playlist_id,track_id,pos\nb,1,2\nb,2,1\na,3,10\na,1,9\n")

    assert list(reader(path, sorted=True).read()) == list(reader(path).read())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("playlist_id,track_id\n1,a\n2\n", r"lists\.csv, line 3: has 1 cells and must have 2"),
        ("playlist_id,track_id\n1,a\n,b\n", r"lists\.csv, line 3: must have a value for playlist_id"),
        ("playlist_id,track_id\n1,a\n2, \n", r"lists\.csv, line 3: must have a value for track_id"),
        ("playlist_id,track_id,pos\n1,a,0\n1,b,first\n", r"lists\.csv, line 3: position 'first' must be a number"),
    ],
)
def test_bad_csv_rows_raise_or_are_skipped_and_counted(text: str, message: str, tmp_path: Path) -> None:
    path = table(tmp_path, text)
    skipping = reader(path, "skip")

    with pytest.raises(DataError, match=message):
        list(reader(path).read())
    assert list(skipping.read()) == [PlaylistRecord("1", ["local:a"])]
    assert skipping.skipped.count == 1


def test_line_that_is_not_utf8_raises_with_line_number(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_bytes(b"playlist_id,track_id\n1,a\n1,caf\xe9\n")
    skipping = reader(path, "skip")

    with pytest.raises(DataError, match=r"lists\.csv, line 3: is not UTF-8"):
        list(reader(path).read())
    assert list(skipping.read()) == [PlaylistRecord("1", ["local:a"])]


def test_header_that_is_not_utf8_raises_even_with_skip(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_bytes("playlist_id,träck_id\n1,a\n".encode("latin-1"))

    with pytest.raises(
        DataError,
        match=r"lists\.csv, line 1: is not UTF-8 \(.*: set `options\.encoding: latin-1` or save the file as UTF-8$",
    ):
        list(reader(path, "skip").read())


def test_unknown_column_raises_with_the_nearest_name(tmp_path: Path) -> None:
    path = table(tmp_path, "playlist_id,track_id,title\n1,a,x\n")

    with pytest.raises(InputError, match=r"no column 'titel' \(option title\): did you mean 'title'"):
        list(reader(path, title="titel").read())
    with pytest.raises(InputError, match=r"no column 'playlist' \(option playlist\): did you mean 'playlist_id'"):
        list(reader(path, playlist="playlist").read())


@pytest.mark.parametrize("cell", ["nan", "inf", "", "loud", "1e39"])
def test_bad_feature_drops_only_the_field(cell: str, tmp_path: Path) -> None:
    path = table(tmp_path, f"playlist_id,track_id,title,energy,tempo\n1,a,Ay,0.5,{cell}\n")
    skipping = reader(path, "skip", features={"sound": ["energy", "tempo"]})

    with pytest.raises(DataError, match=r"lists\.csv, line 2: feature .* of energy, tempo must be a finite number"):
        list(reader(path, features={"sound": ["energy", "tempo"]}).read())
    assert list(skipping.read()) == [TrackRecord("local:a", "Ay", source="csv"), PlaylistRecord("1", ["local:a"])]


@pytest.mark.parametrize(("content", "why"), [(b"<html>", "is not a picture"), (None, "does not exist")])
def test_cover_that_is_not_an_image_is_dropped(content: bytes | None, why: str, tmp_path: Path) -> None:
    path = table(tmp_path, "playlist_id,track_id,art\n1,a,x.jpg\n")
    if content:
        (tmp_path / "x.jpg").write_bytes(content)
    skipping = reader(path, "skip", images={"cover": "art"})

    with pytest.raises(DataError, match=rf"lists\.csv, line 2: .*'x\.jpg' {why}"):
        list(reader(path, images={"cover": "art"}).read())
    assert next(skipping.read()) == TrackRecord("local:a", source="csv")


@pytest.mark.parametrize("option", ["images", "audio"])
def test_too_long_file_name_is_a_bad_record(option: str, tmp_path: Path) -> None:
    path = table(tmp_path, f"playlist_id,track_id,words\n1,a,{'la ' * 200}\n")
    skipping = reader(path, "skip", **{option: {"cover": "words"}})

    with pytest.raises(DataError, match=r"lists\.csv, line 2: file 'la la .{70,80}… does not exist"):
        list(reader(path, **{option: {"cover": "words"}}).read())
    assert list(skipping.read()) == [TrackRecord("local:a", source="csv"), PlaylistRecord("1", ["local:a"])]


def test_unreadable_cover_is_a_bad_record(tmp_path: Path) -> None:
    path = table(tmp_path, "playlist_id,track_id,art\n1,a,/proc/self/mem\n")

    with pytest.raises(DataError, match=r"lists\.csv, line 2: cover '/proc/self/mem' cannot be read \(Input/output"):
        list(reader(path, images={"cover": "art"}).read())


def test_damaged_gzip_raises(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv.gz"
    path.write_bytes(gzip.compress(b"playlist_id,track_id\n" + b"1,a\n" * 1000)[:-20])

    with pytest.raises(DataError, match=r"lists\.csv\.gz is a damaged or truncated gzip"):
        list(reader(path).read())


def test_unclosed_quote_raises_with_line_number(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('playlist_id,track_id\n1,a\n1,"b\n1,c\n')
    with pytest.raises(DataError, match=r'line 3: has a quote \("\) that is never closed'):
        list(CsvReader(path).read())


@pytest.mark.parametrize(("encoding", "option"), [("utf-16", "auto"), ("latin-1", "latin-1"), ("utf-8-sig", "auto")])
def test_csv_in_other_encodings_is_read(encoding: str, option: str, tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_bytes("playlist_id,track_id,title\r\n1,a,Zoë\r\n".encode(encoding))
    assert list(reader(path, encoding=option).read()) == [
        TrackRecord("local:a", "Zoë", source="csv"),
        PlaylistRecord("1", ["local:a"]),
    ]


@pytest.mark.parametrize("rows", ["playlist_id,track_id\r1,a\r", "playlist_id,track_id\n1,a\rb\n"])
def test_carriage_return_in_an_unquoted_cell_raises(rows: str, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"lists\.csv, line \d: has a carriage return \(CR\) inside a cell without quotes: end lines"
    ):
        list(reader(table(tmp_path, rows)).read())

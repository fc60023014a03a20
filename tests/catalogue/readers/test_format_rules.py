"""Tests that text is split and values are checked by the rules of each format and of the types that store them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolkit import plugins
from toolkit.catalogue.readers import auto, m3u, open_files, parquet
from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.readers.jsonl import JsonlReader
from toolkit.catalogue.readers.jspf import JspfReader
from toolkit.catalogue.readers.m3u import M3uReader
from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.catalogue.readers.parquet import ParquetReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.arrow_tables import ArrowReader
from toolkit.catalogue.readers.triplets import TripletsReader
from toolkit.catalogue.readers.xspf import XspfReader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.build import build
from toolkit.errors import DataError, InputError
from toolkit.timestamps import to_seconds


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def playlists(reader: Reader) -> list[PlaylistRecord]:
    return [record for record in reader.read() if isinstance(record, PlaylistRecord)]


def skipping(name: str, path: Path) -> tuple[Reader, list[list[str]]]:
    """Return a reader that skipped bad records, and the tracks of the playlists that it read."""
    reader = plugins.load("segue.readers", name)(path, on_error="skip")
    return reader, [playlist.tracks for playlist in playlists(reader)]


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_m3u_line_ends_only_at_line_feed(mark: str, tmp_path: Path) -> None:
    text = f"#PLAYLIST:Best{mark}\n#EXTINF:100,Met - Wait{mark}\nWait{mark} for it.mp3\r\nc.mp3"

    (playlist,) = playlists(M3uReader(saved(tmp_path, "a.m3u8", text.encode())))

    assert playlist.tracks == [f"local:Wait{mark} for it.mp3", "local:c.mp3"]


def test_m3u_ellipsis_of_windows_belongs_to_title_and_file_name(tmp_path: Path) -> None:
    path = saved(tmp_path, "win.m3u", b"#PLAYLIST:Best\x85\n#EXTINF:1,A - Wait\x85\nC:\\Wait\x85 for it.mp3\n")

    track, playlist = M3uReader(path).read()

    assert isinstance(playlist, PlaylistRecord)
    assert isinstance(track, TrackRecord)
    assert (playlist.title, playlist.tracks, track.title) == (
        "Best\x85",
        ["local:C:/Wait\x85 for it.mp3"],
        "Wait\x85",
    )


@pytest.mark.parametrize(
    "data", [b"#EXTM3U\ra.mp3\rb.mp3\r", "a.mp3\nb.mp3\n".encode("utf-16"), b"\xef\xbb\xbfa.mp3\r\nb.mp3"]
)
def test_m3u_of_old_macs_and_of_windows_gives_its_tracks(data: bytes, tmp_path: Path) -> None:
    (playlist,) = playlists(M3uReader(saved(tmp_path, "a.m3u", data)))

    assert playlist.tracks == ["local:a.mp3", "local:b.mp3"]


def test_ids_that_differ_in_a_character_that_unicode_calls_blank_stay_apart(tmp_path: Path) -> None:
    text = "playlist_id,track_id\n1,Wait\x85\n1,Wait\n1, Wait \n"
    rows = pa.table({"playlist_id": ["1", "1", "1"], "track_id": ["Wait\x85", "Wait", " Wait "]})
    line = '{"id": "1", "tracks": ["Wait\x85", "Wait", " Wait "]}'
    expected = [["local:Wait\x85", "local:Wait", "local:Wait"]]

    assert [one.tracks for one in playlists(CsvReader(saved(tmp_path, "a.csv", text.encode())))] == expected
    assert [one.tracks for one in playlists(JsonlReader(saved(tmp_path, "a.jsonl", line.encode())))] == expected
    assert [one.tracks for one in playlists(ArrowReader(rows))] == expected


STRAY = {
    "closed by a later stray quote": (b'1,a,"Heroes\n1,b,x\n1,c,12"\n1,d,y\n', ["b", "c", "d"]),
    "followed by a quoted cell": (b'1,a,"Heroes\n1,b,"x, y"\n1,c,z\n', ["b", "c"]),
    "never closed": (b'1,a,x\n1,b,"Heroes\n1,c,y\n1,d,z\n', ["a", "c", "d"]),
    "text after a closing quote": (b'1,a,"Heroes" live\n1,b,x\n', ["b"]),
    "in the id": (b'1,"a,x\n1,b",y\n1,c,z\n', ['b"', "c"]),
    "too few cells": (b"1,a\n1,b,x\n", ["b"]),
}


@pytest.mark.parametrize("name", STRAY)
def test_csv_stray_quote_costs_only_its_own_line(name: str, tmp_path: Path) -> None:
    rows, tracks = STRAY[name]
    path = saved(tmp_path, "a.csv", b"playlist_id,track_id,note\n" + rows)

    reader, found = skipping("csv", path)

    assert found == [[f"local:{track}" for track in tracks]]
    assert reader.skipped.count == rows.count(b"\n") - len(tracks)
    with pytest.raises(DataError, match=r"a\.csv, line \d: "):
        list(CsvReader(path).read())


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ('p1,"a\np1,b\np1,c"\np1,d\n', ["b", 'c"', "d"]),
        ('p1,"a\np1,b"\np1,c\n', ['b"', "c"]),
        ('"p1,a\np1,b\np1",c\np1,d\n', ["b", "d"]),
        ('p1,a"\np1,"b\np1,c\np1,d"\n', ['a"', "c", 'd"']),
    ],
)
def test_csv_stray_quotes_of_a_table_with_two_columns_lose_one_line(rows: str, ids: list[str], tmp_path: Path) -> None:
    reader, found = skipping("csv", saved(tmp_path, "a.csv", f"playlist_id,track_id\n{rows}".encode()))

    assert found[0] == [f"local:{name}" for name in ids]
    assert reader.skipped.count == 1


@pytest.mark.parametrize("lyrics", ["Hello\none, two, three\nend, of, it", "Oh\nmy, my,\nyou, you, you", "a\n\nb"])
def test_csv_lyrics_with_as_many_commas_as_columns_are_one_cell(lyrics: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", f'playlist_id,track_id,lyrics\np1,a,"{lyrics}"\np1,b,"x"\n'.encode())

    records = list(CsvReader(path, CsvParams(fields={"lyrics": "lyrics"})).read())

    assert [one.fields["lyrics"].value for one in records if isinstance(one, TrackRecord)] == [lyrics, "x"]
    assert [one.tracks for one in records if isinstance(one, PlaylistRecord)] == [["local:a", "local:b"]]


def test_csv_cell_with_line_breaks_and_doubled_quotes_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", b'playlist_id,track_id,title\n1,a,"la ""la"",\nla"\n1,b,12" Mix\n')

    tracks = [record for record in CsvReader(path).read() if isinstance(record, TrackRecord)]

    assert [track.title for track in tracks] == ['la "la",\nla', '12" Mix']


def test_csv_with_quoted_false_reads_quotes_as_text(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.tsv", b'playlist_id\ttrack_id\ttitle\n1\ta\t"Heroes" live\n1\tb\t"Heroes\n')

    records = list(CsvReader(path, CsvParams(quoted=False)).read())

    assert [record.title for record in records if isinstance(record, TrackRecord)] == ['"Heroes" live', '"Heroes']


def test_csv_file_of_stray_quotes_is_read_in_linear_time(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", b"playlist_id,track_id,note\n1,a,x\n" + b'1,a","c\n' * 50_000)

    reader, found = skipping("csv", path)

    assert found == [["local:a"]]
    assert reader.skipped.count == 50_000


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id": "1", "tracks": ["a"], "tracks": ["b"]}', "has the key 'tracks' twice"),
        (b'{"id": "1", "tracks": [{"id": "a", "id": "b"}]}', "has the key 'id' twice"),
        (b'{"id": "1", "tracks": ["a"]}{"id": "2", "tracks": ["a"]}', "is not a JSON object"),
        (b'{"id": "1", "tracks": ["a"', "is not a JSON object"),
        (b'{"id": 1e999, "tracks": ["a"]}', "is not a JSON object"),
        (b'{"id": 1.5, "tracks": ["a"]}', "must be text or a whole number"),
        (b'{"id": true, "tracks": ["a"]}', "must be text or a number"),
    ],
)
def test_jsonl_broken_line_is_a_bad_record(line: bytes, why: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jsonl", line + b'\n{"id": "3", "tracks": ["c"], "note": "a\xe2\x80\xa8\\": b"}\n')

    reader, found = skipping("jsonl", path)

    assert found == [["local:c"]]
    assert reader.skipped.count == 1
    with pytest.raises(DataError, match=rf"a\.jsonl, line 1.*{why}"):
        list(JsonlReader(path).read())


def test_jsonl_whole_number_of_any_kind_is_the_same_id(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jsonl", b'{"id": 1.0, "tracks": [1, 1.0, "1", {"id": 1.0}]}')

    (playlist,) = playlists(JsonlReader(path))

    assert (playlist.id, playlist.tracks) == ("1", ["local:1"] * 4)


ENTRY = (
    '{"pos": 0, "track_uri": "spotify:track:a", "track_name": "A", "artist_name": "B", "album_name": "C",'
    ' "artist_uri": "x:y", "album_uri": "x:z", "duration_ms": %s}'
)


@pytest.mark.parametrize("bad", ['"duration_ms": null', '"duration_ms": -5', '"duration_ms": 1e30'])
def test_mpd_bad_value_is_bad_in_every_way_of_reading(bad: str, tmp_path: Path) -> None:
    entry = ENTRY % "1000"
    broken = entry.replace('"duration_ms": 1000', bad)
    text = f'{{"playlists": [{{"pid": 0, "tracks": [{broken}]}}, {{"pid": 1, "tracks": [{entry}]}}]}}'
    path = saved(tmp_path, "mpd.slice.0-1.json", text.encode())

    full, brief = MpdReader(path, on_error="skip"), MpdReader(path, on_error="skip")

    assert len(playlists(full)) == len(list(brief.brief())) == 1
    assert full.skipped.count == brief.skipped.count == 1


def test_mpd_playlist_without_all_its_tracks_and_a_slice_cut_short_are_bad(tmp_path: Path) -> None:
    entry = ENTRY % "1000"
    text = f'{{"playlists": [{{"pid": 0, "num_tracks": 2, "tracks": [{entry}]}}]}}'

    with pytest.raises(DataError, match="playlist 0: has 1 tracks and must have 2 as in num_tracks"):
        list(MpdReader(saved(tmp_path, "mpd.slice.0-1.json", text.encode())).read())
    with pytest.raises(DataError, match="is not a slice .*, with 1 playlists"):
        list(MpdReader(saved(tmp_path, "mpd.slice.0-1.json", text[:-9].encode())).read())


@pytest.mark.parametrize("plays", ["1e39", "1e-50", "1_000", "٣", "nan", "inf", "-1", "0", "true"])
def test_triplets_plays_that_are_not_a_positive_float32_are_bad(plays: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "a_triplets.txt", f"u\ts\t{plays}\nu\tr\t5\nu\tq\t2\n".encode())

    reader, found = skipping("triplets", path)
    corpus = build(TripletsReader(path, on_error="skip"), None, tmp_path / "corpus")

    assert found == [["local:r", "local:q"]]
    assert reader.skipped.count == 1
    assert corpus.plays is not None
    assert corpus.plays.tolist() == [5, 2]


def test_triplets_sum_of_plays_stays_finite_as_float32(tmp_path: Path) -> None:
    path = saved(tmp_path, "a_triplets.txt", b"u\ts\t3e38\nu\ts\t3e38\nu\tr\t1\n")

    corpus = build(TripletsReader(path), None, tmp_path / "corpus")

    assert corpus.plays is not None
    assert np.isfinite(corpus.plays).all()


@pytest.mark.parametrize("position", ["1_0", "٣", "inf", "1e300", "9007199254740993000"])
def test_position_that_float64_cannot_order_is_bad_in_files_and_tables(position: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", f"playlist_id,track_id,position\n1,a,{position}\n1,b,2\n".encode())
    table = pa.table({"playlist_id": ["1", "1"], "track_id": ["a", "b"], "position": [position, "2"]})

    reader, found = skipping("csv", path)

    assert found == [["local:b"]]
    assert [one.tracks for one in playlists(ArrowReader(table, on_error="skip"))] == [["local:b"]]
    assert reader.skipped.count == 1


@pytest.mark.parametrize("number", [1e17, float("inf"), 1.5])
def test_number_that_is_not_an_exact_id_raises(number: float) -> None:
    with pytest.raises(InputError, match=r"row 0: 'track_id' is .* within ±2\^53"):
        list(ArrowReader(pa.table({"playlist_id": ["1"], "track_id": [number]})).read())


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.date64()])
def test_time_after_year_9999_in_a_table_is_bad(kind: pa.DataType) -> None:
    times = pa.array([10**15 - 10**15 % 86_400_000, 0], pa.int64()).cast(kind) if kind == pa.timestamp("s") else None
    times = times if times is not None else pa.array([86_400_000 * 10**8, 0], pa.int64()).view(pa.date64())
    reader = ArrowReader(
        pa.table({"playlist_id": ["1", "1"], "track_id": ["a", "b"], "when": times}),
        params=ArrowReader.Params(time="when"),
        on_error="skip",
    )

    assert [one.tracks for one in playlists(reader)] == [["local:b"]]


@pytest.mark.parametrize("text", ["1_000", "٢٠٢٠", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1e300"])
def test_time_outside_the_rule_is_not_a_time(text: str) -> None:
    assert to_seconds(text) is None


@pytest.mark.parametrize("duration", ["-1", "1e300"])
def test_duration_that_cannot_be_stored_drops_the_value(duration: str, tmp_path: Path) -> None:
    jspf = saved(
        tmp_path, "a.jspf", f'{{"playlist": {{"track": [{{"title": "A", "duration": {duration}}}]}}}}'.encode()
    )
    table = saved(tmp_path, "a.csv", f"playlist_id,track_id,duration\n1,a,{duration}\n".encode())

    for reader in (JspfReader(jspf, on_error="skip"), CsvReader(table, on_error="skip")):
        track = next(iter(reader.read()))
        assert isinstance(track, TrackRecord)
        assert track.duration_s is None
        assert reader.skipped.count == 1


@pytest.mark.parametrize("number", [1e39, -1e39, float("nan"), float("inf")])
def test_catalogue_refuses_a_vector_that_is_not_finite_as_float32(number: float, tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "c.sqlite") as catalogue, pytest.raises(DataError, match="finite as float32"):
        catalogue.add([TrackRecord("local:a", fields={"sound": Field([1.0, number], "x")})])


def test_nul_and_second_byte_order_mark_are_bad_records(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.csv", b"playlist_id,track_id\n1,a\n1,b\0\n\xef\xbb\xbfplaylist_id,track_id\n1,c\n")

    reader, found = skipping("csv", path)

    assert found == [["local:a", "local:c"]]
    assert [why.partition("line ")[2][:20] for why in reader.skipped.examples] == [
        "3: contains NUL, as ",
        "4: begins with a byt",
    ]


BOMBS = {
    "b.m3u.gz": (b"#EXTM3U\n", b"a"),
    "b.jspf.gz": (b'{"playlist": {"track": [{"title": "', b"a"),
    "b.xspf.gz": (b'<playlist xmlns="http://xspf.org/ns/0/"><title>', b"a"),
    "b.jsonl.gz": (b'{"id": "', b"a"),
    "v.jsonl.gz": (b'{"id": "1", "tracks": [', b"1,"),
    "b.csv.gz": (b"playlist_id,track_id\n1,", b"a"),
    "h.csv.gz": (b"playlist_id,track_id,", b"a"),
    "q.csv.gz": (b'playlist_id,track_id\n1,"', b"a\n"),
    "b_triplets.txt.gz": (b"u\ts\t", b"1"),
    "mpd.slice.0-1.json.gz": (b'{"playlists": [{"name": "', b"a"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_compressed_file_beyond_the_bounds_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (open_files, m3u):
        for bound in ("FILE_BYTES", "ROW_CHARACTERS", "JSON_BYTES"):
            if hasattr(module, bound):
                monkeypatch.setattr(module, bound, 1 << 16)
    monkeypatch.setattr(open_files, "JSON_VALUES", 1 << 10)
    start, piece = BOMBS[name]
    path = tmp_path / name
    path.write_bytes(gzip.compress(start + piece * (1 << 18)))

    with pytest.raises(DataError, match=r"split|shorten|closed") as caught:
        list(plugins.load("segue.readers", auto.detect(path))(path).read())

    assert "\n" not in str(caught.value)


def test_long_xspf_of_deep_elements_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.xspf", b'<playlist xmlns="http://xspf.org/ns/0/">' + b"<a>" * 1000)

    with pytest.raises(DataError, match="nested more than 100 deep"):
        list(XspfReader(path).read())


@pytest.mark.parametrize("where", ["path", "tracks", "cover"])
def test_pipe_is_refused_without_waiting(where: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = saved(tmp_path, "a.csv", b"playlist_id,track_id,art\n1,a,pipe\n")
    options: dict[str, dict[str, Any]] = {
        "path": {},
        "tracks": {"tracks": {"file": "pipe"}},
        "cover": {"images": {"cover": "art"}},
    }
    params = CsvParams.model_validate(options[where])

    with pytest.raises(InputError, match=r"pipe"):
        list(CsvReader(tmp_path / "pipe" if where == "path" else path, params).read())


def test_file_name_that_is_not_utf8_is_percent_encoded_in_ids(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / os.fsdecode(b"o\xff.m3u")).write_bytes(b"a.mp3\nb.mp3\n")

    corpus = build(M3uReader(tmp_path), None, tmp_path / "corpus")

    assert corpus.playlists["id"].to_pylist() == ["caf%E9/o%FF.m3u"]
    assert corpus.playlists["title"].to_pylist() == ["o%FF"]
    assert corpus.tracks["id"].to_pylist() == ["local:caf%E9/a.mp3", "local:caf%E9/b.mp3"]


@pytest.mark.parametrize("encoding", ["UTF-81", "x"])
def test_xspf_in_an_unknown_encoding_is_a_bad_record(encoding: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "a.xspf", f'<?xml version="1.0" encoding="{encoding}"?><playlist/>'.encode())

    with pytest.raises(DataError, match=r"a\.xspf: is not XML \(unknown encoding"):
        list(XspfReader(path).read())


def test_parquet_of_few_long_texts_in_many_rows_is_refused(tmp_path: Path) -> None:
    codes = pa.array([0, 1] * 50_000, pa.int32())
    texts = pa.DictionaryArray.from_arrays(codes, pa.array(["a" * 5_000_000, "b"]))
    table = pa.table({"playlist_id": pa.array([1] * 100_000), "track_id": texts})
    pq.write_table(table, tmp_path / "dict.parquet", compression="zstd", store_schema=False)

    with pytest.raises(DataError, match="column 'track_id' repeats texts that are too long"):
        list(ParquetReader(tmp_path / "dict.parquet").read())


def test_parquet_value_of_a_gigabyte_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "VALUE_BYTES", 1 << 10)
    table = pa.table({"playlist_id": ["1", "2"], "track_id": ["a" * 10_000, "b"]})
    pq.write_table(table, tmp_path / "one.parquet", compression="zstd")

    with pytest.raises(DataError, match="a value of column 'track_id' must have at most 1,024 bytes"):
        list(ParquetReader(tmp_path / "one.parquet").read())


def test_mpd_slice_that_shrinks_while_it_is_read_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    entries = ", ".join(f'{{"pid": {pid}, "tracks": [{ENTRY % 1}]}}' for pid in range(20_000))
    path = saved(tmp_path, "mpd.slice.0-1.json", f'{{"playlists": [{entries}]}}'.encode())

    with open_files.opened(path) as file:
        file.read(1 << 20)
        os.truncate(path, 1 << 16)
        assert len(file.read()) < 1 << 16
    with pytest.raises(DataError, match="is not a slice"):
        list(MpdReader(path).read())


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "data",
    [
        MARK + b"#EXTM3U\na.mp3\n" + MARK + b"#EXTM3U\nc.mp3\n",
        MARK * 2 + b"#EXTM3U\na.mp3\n" + MARK + b"c.mp3\n",
        "a.mp3\n".encode("utf-16") + "c.mp3\n".encode("utf-16"),
    ],
)
def test_m3u_files_that_were_joined_have_no_track_of_a_byte_order_mark(data: bytes, tmp_path: Path) -> None:
    (playlist,) = playlists(M3uReader(saved(tmp_path, "a.m3u", data)))

    assert playlist.tracks == ["local:a.mp3", "local:c.mp3"]


def test_m3u_latin_1_letters_of_a_byte_order_mark_stay(tmp_path: Path) -> None:
    (playlist,) = playlists(M3uReader(saved(tmp_path, "a.m3u", b"\xefle.mp3\n\xef\xbbx.mp3\n")))

    assert playlist.tracks == ["local:\xefle.mp3", "local:\xef\xbbx.mp3"]


def test_joined_utf_16_tables_and_a_second_mark_at_the_start_are_bad_records(tmp_path: Path) -> None:
    rows = "playlist_id,track_id\n1,a\n"
    joined = saved(tmp_path, "a.csv", rows.encode("utf-16") + rows.encode("utf-16"))
    doubled = saved(tmp_path, "a_triplets.txt", MARK * 2 + b"u\ta\t1\nu\tb\t1\n")

    for name, path, tracks in (("csv", joined, ["local:a"] * 2), ("triplets", doubled, ["local:b"])):
        reader, found = skipping(name, path)
        assert found == [tracks]
        assert reader.skipped.count == 1
        assert "begins with a byte order mark" in reader.skipped.examples[0]


@pytest.mark.parametrize(
    "attributes",
    [
        ' tvg-id="" tvg-name="Foo, Bar" group-title="x"',
        " tvg-name='Foo, Bar'",
        ' tvg-name="Foo Bar',
        " a=b",
        "",
    ],
)
def test_m3u_attributes_with_commas_are_not_part_of_the_artist(attributes: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "a.m3u8", f'#EXTINF:-1{attributes},Foo, "X" - Bar=1, 2\na.mp3\n'.encode())

    track = next(iter(M3uReader(path).read()))

    assert isinstance(track, TrackRecord)
    assert (track.title, track.artists) == ("Bar=1, 2", ('Foo, "X"',))


@pytest.mark.parametrize(
    "text",
    [
        '{"playlist": {"track": [{"location": "x"}], "track": [{"location": "y"}]}}',
        '{"playlist": {"track": [{"location": "x"}]}, "playlist": {"track": [{"location": "y"}]}}',
        '{"playlist": {"track": [{"location": "x", "location": "y"}]}}',
    ],
)
def test_jspf_repeated_key_is_a_bad_record(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jspf: has the key '\w+' twice in one object"):
        list(JspfReader(saved(tmp_path, "a.jspf", text.encode())).read())


def test_mpd_repeated_lists_are_bad_records(tmp_path: Path) -> None:
    entry = ENTRY % "1000"
    good, twice = f'{{"pid": 1, "tracks": [{entry}]}}', f'{{"pid": 0, "tracks": [{entry}], "tracks": [{entry}]}}'

    reader, found = skipping(
        "mpd", saved(tmp_path, "mpd.slice.0-1.json", f'{{"playlists": [{twice}, {good}]}}'.encode())
    )

    assert (found, reader.skipped.count) == ([["spotify:track:a"]], 1)
    with pytest.raises(DataError, match="has the key 'playlists' twice"):
        text = f'{{"playlists": [{good}], "playlists": [{good}]}}'
        list(MpdReader(saved(tmp_path, "mpd.slice.0-1.json", text.encode())).read())


@pytest.mark.parametrize("track", ['{"location": [""]}', '{"title": "  "}', '{"identifier": " ", "location": "\\n"}'])
def test_jspf_blank_values_are_not_ids(track: str, tmp_path: Path) -> None:
    text = f'{{"playlist": {{"title": " Mix ", "track": [{track}, {{"location": " b.mp3 ", "title": " B "}}]}}}}'

    reader = JspfReader(saved(tmp_path, "a.jspf", text.encode()), on_error="skip")

    assert list(reader.read()) == [
        TrackRecord("local:b.mp3", "B", source="jspf"),
        PlaylistRecord("a.jspf", ["local:b.mp3"], "Mix"),
    ]
    assert reader.skipped.count == 1


def test_xspf_text_of_nested_elements_belongs_to_the_value(tmp_path: Path) -> None:
    text = (
        '<playlist xmlns="http://xspf.org/ns/0/"><title>My <b>best</b> songs</title><trackList><track>'
        "<location>a<b>q</b>c.mp3</location><title>A<i>b<b>c</b></i>d</title>"
        '<extension application="x"><title>other</title></extension></track></trackList></playlist>'
    )

    assert list(XspfReader(saved(tmp_path, "a.xspf", text.encode())).read()) == [
        TrackRecord("local:aqc.mp3", "Abcd", source="xspf"),
        PlaylistRecord("a.xspf", ["local:aqc.mp3"], "My best songs"),
    ]


@pytest.mark.parametrize("number", ["9007199254740993.0", "9007199254740992.0", "-9007199254740993.0"])
def test_float_from_2_to_the_53_is_not_an_id(number: str, tmp_path: Path) -> None:
    reader, found = skipping(
        "jsonl",
        saved(tmp_path, "a.jsonl", f'{{"id": {number}, "tracks": [1]}}\n{{"id": 1, "tracks": [{number}, 2]}}'.encode()),
    )

    assert (found, reader.skipped.count) == ([["local:2"]], 2)
    with pytest.raises(InputError, match=r"within ±2\^53"):
        list(ArrowReader(pa.table({"playlist_id": ["1"], "track_id": [float(number)]})).read())


def test_recbole_blank_id_is_a_bad_record(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.inter", b"u:token\ti:token\n1\t \n1\t b \n")

    reader, found = skipping("recbole", path)

    assert (found, reader.skipped.count) == ([["local:b"]], 1)

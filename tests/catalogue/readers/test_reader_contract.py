"""Tests of the reader contract for built-in and broken readers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.checks.check_reader import check_reader
from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_reader import DemoReader
from tests.catalogue.readers.broken_readers import BROKEN, Columns, Words
from toolkit import plugins
from toolkit.catalogue.readers.auto import detect
from toolkit.catalogue.readers.csv import CsvReader
from toolkit.catalogue.readers.jsonl import JsonlReader
from toolkit.catalogue.readers.parquet import ParquetParams, ParquetReader
from toolkit.catalogue.readers.reader import OnError, Reader
from toolkit.catalogue.readers.tables.arrow_tables import ArrowParams, ArrowReader
from toolkit.catalogue.records import NamedPlaylist, PlaylistRecord, TrackRecord
from toolkit.corpus.build import build
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.errors import DataError, InputError

PLACES = {
    "mpd": "mpd",
    "csv": "csv/described.tsv",
    "jsonl": "jsonl/playlists.jsonl",
    "m3u": "m3u",
    "jspf": "jspf/mix.jspf",
    "xspf": "xspf",
    "recbole": "recbole/tiny.inter",
    "archive": "archive",
    "triplets": "triplets/small_triplets.txt",
}
EMPTY = {
    "mpd": ("mpd.slice.0-0.json", '{"playlists": []}'),
    "csv": ("empty.csv", "playlist_id,track_id\n"),
    "jsonl": ("empty.jsonl", ""),
    "m3u": ("empty.m3u", "#EXTM3U\n"),
    "jspf": ("empty.jspf", '{"playlist": {"track": []}}'),
    "xspf": ("empty.xspf", '<playlist xmlns="http://xspf.org/ns/0/"><trackList/></playlist>'),
    "recbole": ("empty.inter", "playlist_id:token\ttrack_id:token\n"),
    "triplets": ("train_triplets.txt", ""),
}


@pytest.mark.parametrize("name", PLACES)
def test_second_read_gives_the_same_records(name: str, files: Path) -> None:
    reader = plugins.load("segue.readers", name)(files / PLACES[name])

    first, second = list(reader.read()), list(reader.read())

    assert first == second
    assert reader.skipped.count == 0


@pytest.mark.parametrize("name", PLACES)
def test_brief_read_gives_the_same_playlists_and_titles(name: str, files: Path) -> None:
    reader = plugins.load("segue.readers", name)(files / PLACES[name])
    whole = list(reader.read())
    titles = {record.id: record.title for record in whole if isinstance(record, TrackRecord)}
    playlists, named = [], {}
    for record in reader.brief():
        playlist = record.playlist if isinstance(record, NamedPlaylist) else record
        if isinstance(playlist, TrackRecord):
            named[playlist.id] = playlist.title
        else:
            playlists.append(playlist)
        if isinstance(record, NamedPlaylist):
            named |= dict(zip(playlist.tracks, record.names(range(len(playlist.tracks)))[0], strict=True))

    assert playlists == [record for record in whole if isinstance(record, PlaylistRecord)]
    assert {track: title for track, title in named.items() if title} == {
        track: title for track, title in titles.items() if title
    }


@pytest.mark.parametrize("name", PLACES)
def test_all_ids_have_a_scheme_and_tracks_are_unique(name: str, files: Path) -> None:
    records = list(plugins.load("segue.readers", name)(files / PLACES[name]).read())
    tracks = [record.id for record in records if isinstance(record, TrackRecord)]
    placed = [track for record in records if isinstance(record, PlaylistRecord) for track in record.tracks]

    assert [track for track in tracks + placed if ":" not in track] == []
    assert len(set(tracks)) == len(tracks)


@pytest.mark.parametrize("name", PLACES)
def test_detect_returns_the_reader_of_each_format(name: str, files: Path) -> None:
    assert detect(files / PLACES[name]) == name


@pytest.mark.parametrize("name", PLACES)
def test_missing_path_raises_with_the_path(name: str, tmp_path: Path) -> None:
    reader = plugins.load("segue.readers", name)(tmp_path / "nowhere")

    with pytest.raises(InputError, match="nowhere does not exist"):
        list(reader.read())


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("name", EMPTY)
def test_data_without_playlists_raises(name: str, on_error: str, tmp_path: Path) -> None:
    file, text = EMPTY[name]
    (tmp_path / file).write_text(text)

    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        list(plugins.load("segue.readers", name)(tmp_path / file, on_error=on_error).read())


def test_detect_of_a_missing_path_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.csv does not exist"):
        detect(tmp_path / "gone.csv")


def test_detect_of_an_unknown_format_raises_with_all_readers(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk\n")

    message = r"the format of .*notes\.txt is unknown: set `reader` to one of archive, corpus, csv"
    with pytest.raises(InputError, match=message):
        detect(tmp_path / "notes.txt")


def test_detect_of_an_ambiguous_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "a.m3u").write_text("a.ogg\n")
    (tmp_path / "a.jspf").write_text("{}")

    with pytest.raises(InputError, match="could be jspf or m3u"):
        detect(tmp_path)


BAD = {
    "csv": ("lists.csv", "playlist_id,track_id\n1,a\n1,\n"),
    "jsonl": ("lists.jsonl", '{"id": "1", "tracks": ["a", "b"]}\n{"id"\n'),
    "triplets": ("train_triplets.txt", "u\ta\t1\nu\tb\tmany\n"),
    "recbole": ("lists.inter", "playlist_id:token\ttrack_id:token\n1\ta\n1\n"),
}
"""Files with one bad record each."""


@pytest.mark.parametrize("name", PLACES)
def test_built_in_file_reader_passes_the_contract(name: str, files: Path, tmp_path: Path) -> None:
    cls, bad = plugins.load("segue.readers", name), None
    slice_ = "mpd.slice.0-1.json"
    broken = {
        **BAD,
        "mpd": (
            slice_,
            (files / "mpd" / slice_).read_text().replace('"track_uri": "spotify:track:c"', '"track_uri": 7'),
        ),
    }
    if name in broken:
        (tmp_path / broken[name][0]).write_text(broken[name][1])
        bad = lambda on_error: cls(tmp_path / broken[name][0], on_error=on_error)  # noqa: E731
    check_reader(lambda on_error: cls(files / PLACES[name], on_error=on_error), bad=bad)


def test_contract_tests_cover_all_built_in_readers() -> None:
    ours = {
        name
        for name, point in plugins.points("segue.readers").items()
        if point.value.startswith(("toolkit.", "segue."))
    }
    assert ours == {*PLACES, "parquet", "corpus", "demo"}


def test_demo_reader_passes_the_contract() -> None:
    params = DemoParams(tracks=200, artists=20, playlists=20)
    check_reader(lambda on_error: DemoReader(params=params, on_error=on_error))


def test_corpus_reader_passes_the_contract(files: Path, tmp_path: Path) -> None:
    build(JsonlReader(files / PLACES["jsonl"]), None, tmp_path / "corpus")
    check_reader(lambda on_error: CorpusReader(tmp_path / "corpus", on_error=on_error))


def placements(n: int, seed: int = 0) -> pa.Table:
    """Return shuffled rows of n playlists with about 20 tracks each, with names and times."""
    draw = random.Random(seed)
    lists = [draw.randrange(n) for _ in range(20 * n)]
    tracks = [f"t{draw.randrange(40)}" for _ in lists]
    artists = {track: draw.choice(["Ann", "Bo; Ann", None, "Bo;Bo"]) for track in set(tracks)}
    return pa.table(
        {
            "playlist_id": [f"p{each}" for each in lists],
            "track_id": tracks,
            "pos": [draw.randrange(9) for _ in lists],
            "added": [10**9 + draw.randrange(10**6) for _ in lists],
            "title": [f" Song {track} " if track != "t3" else "" for track in tracks],
            "artist": [artists[track] for track in tracks],
            "playlist_title": [draw.choice(["Mix", "", "Mess "]) for _ in lists],
        }
    )


def broken(table: pa.Table) -> pa.Table:
    tracks = table["track_id"].to_pylist()
    tracks[3], tracks[7] = None, " "
    return table.set_column(1, "track_id", pa.array(tracks))


def written(table: pa.Table, path: Path, rows: int = 7) -> Path:
    pq.write_table(table, path, row_group_size=rows)
    return path


OPTIONS = [{}, {"time": "added"}, {"position": "added", "title": "title"}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("described", [True, False])
def test_parquet_reader_passes_the_contract(options: dict[str, str], described: bool, tmp_path: Path) -> None:
    table = placements(6) if described else placements(6).drop_columns(["title", "artist"])
    options = options if described else {name: column for name, column in options.items() if name != "title"}
    path, bad = written(table, tmp_path / "lists.parquet"), written(broken(table), tmp_path / "bad.parquet")
    params = ParquetParams(**options)
    check_reader(
        lambda on_error: ParquetReader(path, params, on_error=on_error),
        bad=lambda on_error: ParquetReader(bad, params, on_error=on_error),
    )


def test_parquet_list_columns_and_two_tables_pass_the_contract(tmp_path: Path) -> None:
    lists = pa.table(
        {
            "playlist_id": ["m", "e", "s"],
            "track_id": [["a", "b"], ["b"], ["c", "a"]],
            "title": [["Ay", None], ["Bee"], ["See", "A"]],
        }
    )
    bad = lists.set_column(1, "track_id", [[["a", "b"], [None], ["c", "a"]]])
    bad = bad.set_column(2, "title", [[["Ay", None], ["Bee"], ["See"]]])
    paths = [written(lists, tmp_path / "lists.parquet", 2), written(bad, tmp_path / "bad.parquet", 2)]
    check_reader(
        lambda on_error: ParquetReader(paths[0], on_error=on_error),
        bad=lambda on_error: ParquetReader(paths[1], on_error=on_error),
    )
    side = pa.table({"id": ["t1", "t2", "t1", "t99"], "name": ["One", None, "Uno", "Last"], "album": ["First"] * 4})
    params = ArrowParams(tracks={"track": "id", "title": "name"})
    for table in (placements(6), placements(6).drop_columns(["title", "artist"])):
        check_reader(lambda on_error, table=table: ArrowReader(table, side, params, on_error=on_error))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_reader_memory_does_not_grow_with_playlists(kind: str, tmp_path: Path) -> None:
    def sized(n: int) -> Reader:
        path = tmp_path / f"lists.{kind}"
        table = placements(n)
        if kind == "parquet":
            return ParquetReader(written(table, path, 1000))
        if kind == "csv":
            table.to_pandas().to_csv(path, index=False)
            return CsvReader(path)
        path.write_text(
            "".join(json.dumps({"id": f"p{place}", "tracks": [f"t{place % 40}"] * 20}) + "\n" for place in range(n))
        )
        return JsonlReader(path)

    make: Callable[[OnError], Reader] = lambda on_error: sized(5)  # noqa: E731
    check_reader(make, sized=sized)


@pytest.fixture
def words(tmp_path: Path) -> tuple[Path, Path]:
    good, bad = tmp_path / "lists.words", tmp_path / "bad.words"
    good.write_text("m a b\ne c a d\n")
    bad.write_text("m a b\ne\n")
    return good, bad


def suite(cls: type[Reader], words: tuple[Path, Path]) -> None:
    """Run all contract checks on files of words."""

    def sized(n: int) -> Reader:
        path = words[0].with_name(f"{n}.words")
        path.write_text(
            "".join(f"p{place} {' '.join(f't{place}x{track}' for track in range(20))}\n" for place in range(n))
        )
        return cls(path)

    good, bad = words
    check_reader(
        lambda on_error: cls(good, on_error=on_error), bad=lambda on_error: cls(bad, on_error=on_error), sized=sized
    )


@pytest.mark.parametrize("cls", [Words, Columns])
def test_contract_checks_pass_for_a_correct_reader(cls: type[Reader], words: tuple[Path, Path]) -> None:
    suite(cls, words)


@pytest.mark.parametrize(("cls", "message"), BROKEN, ids=[cls.__name__ for cls, _ in BROKEN])
def test_contract_checks_fail_for_each_broken_reader(cls: type[Reader], message: str, words: tuple[Path, Path]) -> None:
    with pytest.raises(AssertionError, match=message):
        suite(cls, words)

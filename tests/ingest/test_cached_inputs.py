"""Tests that every input that decides a cached result is in its key, or is checked before the result is used."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segue.playlist_data import of_recipe
from toolkit.catalogue.readers.csv import CsvReader
from toolkit.catalogue.records import Record
from toolkit.errors import DataError
from toolkit.files import file_state
from toolkit.ingest import read_data
from toolkit.ingest.read_data import Ingested, ingest, ingest_from, stamp
from toolkit.progress import Reporter
from toolkit.recipe import Data


class Notes(Reporter):
    """Reporter that keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def read(data: Data, cache: Path, *, described: bool = True, notes: Notes | None = None) -> Ingested:
    return ingest(data, cache, reporter=notes or Reporter(), described=described)


def cover(colour: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(stream, "BMP")  # all of one size
    return stream.getvalue()


TRACKS = ("a", "b", "c")
PLAYLISTS = {"p1": ["a", "b"], "p2": ["b", "c"], "p3": ["c", "a"]}


def as_csv(folder: Path) -> Data:
    rows = [(playlist, track, f"{track}.png") for playlist, tracks in PLAYLISTS.items() for track in tracks]
    frame = pd.DataFrame(rows, columns=["playlist_id", "track_id", "file"])
    frame.to_csv(folder / "lists.csv", index=False)
    return Data(reader="csv", path=folder / "lists.csv", options={"images": {"cover": "file"}})


def as_audio(folder: Path) -> Data:
    data = as_csv(folder)
    return data.model_copy(update={"options": {"audio": {"cover": "file"}}})


def as_parquet(folder: Path) -> Data:
    data = as_csv(folder)
    pd.read_csv(folder / "lists.csv").to_parquet(folder / "lists.parquet")
    return data.model_copy(update={"reader": "parquet", "path": folder / "lists.parquet"})


def as_jsonl(folder: Path) -> Data:
    lists = [
        {"id": name, "tracks": [{"id": track, "file": f"{track}.png"} for track in tracks]}
        for name, tracks in PLAYLISTS.items()
    ]
    (folder / "lists.jsonl").write_text("\n".join(map(json.dumps, lists)))
    return Data(reader="jsonl", path=folder / "lists.jsonl", options={"images": {"cover": "file"}})


def as_track_table(folder: Path) -> Data:
    data = as_csv(folder)
    (folder / "tracks").mkdir()
    rows = "".join(f"{track},../{track}.png\n" for track in TRACKS)
    (folder / "tracks" / "tracks.csv").write_text(f"track_id,file\n{rows}")
    options = {"tracks": {"file": "tracks/tracks.csv", "images": {"cover": "file"}}}
    return data.model_copy(update={"options": options})


def as_m3u(folder: Path) -> Data:
    for name, tracks in PLAYLISTS.items():
        (folder / f"{name}.m3u8").write_text("\n".join(["#EXTM3U", *(f"{track}.png" for track in tracks)]))
    return Data(reader="m3u", path=folder / "p1.m3u8", options={"audio": True}, filters={"min_playlist_length": 1})


SOURCES = [as_csv, as_audio, as_parquet, as_jsonl, as_track_table, as_m3u]


@pytest.fixture(params=SOURCES, ids=lambda source: source.__name__)
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Data:
    """Data whose records name a file for each track."""
    (tmp_path / "data").mkdir()
    for place, track in enumerate(TRACKS):
        (tmp_path / "data" / f"{track}.png").write_bytes(cover(place))
    made: Data = request.param(tmp_path / "data")
    return made


def contents(ingested: Ingested) -> list[bytes]:
    field = "audio" if ingested.content["reader"] == "m3u" else "cover"
    with ingested.open() as catalogue:
        return [bytes(value) for value in catalogue.field_values(field, catalogue.track_ids())[1]]


def replace_in_place(path: Path, content: bytes) -> None:
    """Write as many bytes with the old time of modification."""
    before = path.stat()
    assert len(content) == before.st_size
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_changed_file_that_a_record_names_is_read_again(named: Data, tmp_path: Path) -> None:
    first = read(named, tmp_path / "cache")
    before = contents(first)
    replace_in_place(tmp_path / "data" / "a.png", cover(200))
    notes = Notes()
    second = read(named, tmp_path / "cache", notes=notes)

    assert cover(200) not in before and cover(200) in contents(second)
    assert second.key != first.key and second.content["blake2b"] != first.content["blake2b"]
    assert second.content["data_blake2b"] == first.content["data_blake2b"]
    (note,) = notes.notes
    assert note.startswith("reading the data again because ") and note.endswith("a.png, which the data names, changed")
    assert read(named, tmp_path / "fresh").content == second.content


def test_touched_file_that_a_record_names_is_not_read_again(named: Data, tmp_path: Path) -> None:
    first, notes = read(named, tmp_path / "cache"), Notes()
    os.utime(tmp_path / "data" / "a.png")
    again = read(named, tmp_path / "cache", notes=notes)

    assert again.key == first.key and again.content == first.content and not notes.notes


def test_copy_of_the_data_with_other_files_does_not_share_a_cached_catalogue(named: Data, tmp_path: Path) -> None:
    assert named.path is not None
    read(named, tmp_path / "cache")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    (tmp_path / "copy" / "a.png").write_bytes(cover(99))
    copy = named.model_copy(update={"path": tmp_path / "copy" / named.path.name})

    assert cover(99) in contents(read(copy, tmp_path / "cache"))
    assert cover(99) not in contents(read(named, tmp_path / "cache"))


def test_missing_file_that_appears_later_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for track in "ab":
        (tmp_path / "data" / f"{track}.png").write_bytes(cover(1))
    data = as_csv(tmp_path / "data").model_copy(update={"on_error": "skip"})
    first = read(data, tmp_path / "cache")
    (tmp_path / "data" / "c.png").write_bytes(cover(2))
    second = read(data, tmp_path / "cache")

    assert (first.skipped["count"], second.skipped["count"]) == (1, 0)
    assert cover(2) in contents(second)


def mpd(folder: Path) -> Data:
    """Write 30 playlists, and in every third a track with a bad duration."""
    folder.mkdir()
    keys = ("track_uri", "artist_uri", "album_uri", "track_name", "artist_name", "album_name")
    playlists = [
        {
            "pid": pid,
            "tracks": [
                {"pos": place, "duration_ms": None if pid % 3 == 0 and place == 0 else 1000}
                | {key: f"{key}:{(pid + place) % 9}" for key in keys}
                for place in range(3)
            ],
        }
        for pid in range(30)
    ]
    (folder / "mpd.slice.0-29.json").write_text(json.dumps({"playlists": playlists}))
    return Data(reader="mpd", path=folder, on_error="skip")


@pytest.mark.parametrize("order", [(False, True), (True, False)])
def test_corpus_is_the_same_whatever_filled_the_cache_before(order: tuple[bool, bool], tmp_path: Path) -> None:
    data = mpd(tmp_path / "mpd")
    alone = {described: read(data, tmp_path / f"alone {described}", described=described) for described in order}
    for described in order:
        found = read(data, tmp_path / "shared", described=described)
        assert found.corpus.digest() == alone[described].corpus.digest()
        assert found.skipped == alone[described].skipped and found.skipped["count"] == 10
        assert len(found.corpus) == 20


def test_playlists_of_a_faulty_reader_are_not_mixed_with_its_catalogue(tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text("playlist_id,track_id\n" + "".join(f"{p},{t}\n" for p in "pqr" for t in "ab"))
    data = Data(reader="tests.ingest.test_cached_inputs:Hasty", path=tmp_path / "lists.csv")
    playlists = of_recipe(data, cache=tmp_path / "cache", reporter=None)
    assert len(playlists) == 2

    with pytest.raises(DataError, match="read as 2 playlists without content and as 3 with it.*check_reader"):
        playlists.field("title")


class Hasty(CsvReader):
    """Reader whose brief reading omits a playlist."""

    name = "hasty"

    def brief(self) -> Iterator[Record]:
        return (record for record in super().brief() if record.id != "r")


class Growing(CsvReader):
    """Reader of a file to which another program writes at the same time."""

    during: Callable[[Path], None] = staticmethod(lambda _: None)

    def brief(self) -> Iterator[Record]:
        yield from super().brief()
        type(self).during(self.path)


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("new,a\nnew,b\n")


def change_a_byte(path: Path) -> None:
    replace_in_place(path, path.read_bytes().replace(b"p,a", b"p,c"))


def swap(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes() + b"new,a\nnew,b\n")
    other.replace(path)


def side_file(path: Path) -> None:
    (path.parent / "tracks.csv").write_text("track_id,title\na,Other\n")


@pytest.mark.parametrize("change", [append, change_a_byte, swap, side_file], ids=lambda change: change.__name__)
def test_data_that_changes_while_it_is_read_is_not_cached(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "lists.csv", tmp_path / "cache"
    path.write_text("playlist_id,track_id\n" + "".join(f"{p},{t}\n" for p in "pqr" for t in "ab"))
    (tmp_path / "tracks.csv").write_text("track_id,title\na,One\n")
    options: dict[str, Any] = {"tracks": {"file": "tracks.csv"}}
    data = Data(reader="tests.ingest.test_cached_inputs:Growing", path=path, options=options)
    before = path.read_bytes()
    monkeypatch.setattr(Growing, "during", staticmethod(change))
    with pytest.raises(DataError, match=r"lists.csv changed while it was read: wait until it is complete, then run"):
        read(data, cache, described=False)

    assert [entry for entry in (cache / "corpora").iterdir() if entry.suffix != ".lock"] == []
    monkeypatch.setattr(Growing, "during", staticmethod(lambda _: None))
    path.write_bytes(before)
    (tmp_path / "tracks.csv").write_text("track_id,title\na,One\n")
    assert len(read(data, cache, described=False).corpus) == 3


def test_state_of_a_file_differs_after_every_change_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_text("playlist_id,track_id\np,a\np,b\n")
    data, before, mark = Data(reader="csv", path=path), file_state(path), stamp(Data(reader="csv", path=path))
    change_a_byte(path)

    assert file_state(path) != before and stamp(data) != mark
    assert file_state(tmp_path / "none") is None


SETTINGS: dict[str, dict[str, Any]] = {
    "on_error": {"on_error": "skip"},
    "level": {"level": "artist"},
    "filters": {"filters": {"min_playlist_length": 3}},
    "options": {"options": {"scheme": "mine"}},
    "reader": {"reader": "tests.ingest.test_cached_inputs:Hasty"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_the_data_is_in_the_key_of_the_corpus(name: str, tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text(
        "playlist_id,track_id,artist\n" + "".join(f"{p},{p}{t},{t}\n" for p in "pqr" for t in "abc")
    )
    base = Data(reader="csv", path=tmp_path / "lists.csv")
    changed = Data.model_validate(base.model_dump() | SETTINGS[name])

    assert read(changed, tmp_path / "cache").key != read(base, tmp_path / "cache").key


def test_code_of_the_reader_is_in_the_key_of_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists.csv").write_text("playlist_id,track_id\n" + "".join(f"{p},{t}\n" for p in "pq" for t in "ab"))
    data, keys = Data(reader="csv", path=tmp_path / "lists.csv"), set[str]()
    for code, own in (("1", {}), ("2", {}), ("2", {"plugin": "3"})):
        monkeypatch.setattr(read_data, "package_source", lambda *_, code=code: code)
        monkeypatch.setattr(read_data, "source_of", lambda *_, own=own: own)
        keys.add(read(data, tmp_path / "cache").key)

    assert len(keys) == 3


DAMAGE: dict[str, Callable[[Path], object]] = {
    "blobs deleted": lambda root: shutil.rmtree(root / "catalogue" / "catalogue.blobs"),
    "blob truncated": lambda root: next(p for p in root.rglob("*.blobs/*/*/*") if p.is_file()).write_bytes(b"x"),
    "database is garbage": lambda root: (root / "catalogue" / "catalogue.sqlite").write_bytes(b"garbage" * 900),
    "byte of the database": lambda root: flip(root / "catalogue" / "catalogue.sqlite"),
    "labels": lambda root: (root / "catalogue" / "labels.json").write_bytes(b"[1]"),
    "list of named files": lambda root: (root / "named_files.json").write_bytes(b"{"),
    "facts": lambda root: replace_in_place(
        root / "ingest.json", (root / "ingest.json").read_bytes().replace(b'"count":0', b'"count":7')
    ),
    "byte of the items": lambda root: flip(root / "corpus" / "items.npy"),
    "byte of the tracks": lambda root: flip(root / "corpus" / "tracks.arrow"),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    replace_in_place(path, bytes(content))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_cache_is_rebuilt_with_a_note(damage: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for place, track in enumerate(TRACKS):
        (tmp_path / "data" / f"{track}.png").write_bytes(cover(place))
    data, notes = as_csv(tmp_path / "data"), Notes()
    first = read(data, tmp_path / "cache")
    items, covers = first.corpus.items.tolist(), contents(first)
    (root,) = (entry for entry in (tmp_path / "cache" / "corpora").iterdir() if entry.is_dir())
    DAMAGE[damage](root)
    again = read(data, tmp_path / "cache", notes=notes)

    assert again.corpus.items.tolist() == items and contents(again) == covers and again.skipped["count"] == 0
    assert [note.partition(":")[0] for note in notes.notes] == [
        "reading the data again because its cached form is damaged"
    ]
    assert "\n" not in notes.notes[0]


def test_content_is_hashed_before_and_after_a_reading(tmp_path: Path) -> None:
    counted: list[int] = []

    def content() -> read_data.Content:
        counted.append(1)
        return {"path": None, "bytes": 0, "blake2b": "same"}

    path = tmp_path / "lists.csv"
    path.write_text("playlist_id,track_id\n" + "".join(f"{p},{t}\n" for p in "pq" for t in "ab"))
    for _ in range(2):
        found = ingest_from(
            lambda: CsvReader(path),
            Data(reader="csv", path=path),
            content,
            tmp_path / "cache",
            reporter=Reporter(),
            described=False,
        )
        assert np.asarray(found.corpus.offsets).tolist() == [0, 2, 4]
    assert len(counted) == 3


def test_tracks_of_recbole_beside_a_file_are_part_of_the_data(tmp_path: Path) -> None:
    inter, item = tmp_path / "d.inter", tmp_path / "d.item"
    inter.write_text("list:token\ttrack:token\n" + "".join(f"p{row // 3}\tt{row % 5}\n" for row in range(30)))
    data = Data.model_validate({"reader": "auto", "path": str(inter)})
    alone = read(data, tmp_path / "cache")
    item.write_text("track:token\ttempo:float\n" + "".join(f"t{row}\t{row}\n" for row in range(5)))
    before, stamped = read(data, tmp_path / "cache"), stamp(data)
    item.write_text("track:token\ttempo:float\n" + "".join(f"t{row}\t{row + 1}\n" for row in range(5)))
    after = read(data, tmp_path / "cache")

    assert len({alone.key, before.key, after.key}) == 3
    assert len({found.content["blake2b"] for found in (alone, before, after)}) == 3
    assert stamp(data) != stamped
    with after.open() as catalogue:
        assert [values[0] for values in catalogue.field_values("tempo", catalogue.track_ids())[1]] == [1, 2, 3, 4, 5]

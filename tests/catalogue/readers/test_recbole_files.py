from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from toolkit.catalogue.readers.recbole_atomic import RecboleReader, write_atomic
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.errors import DataError
from toolkit.timestamps import NO_TIME


def test_recbole_inter_and_item_files_are_read(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(RecboleReader(files / "recbole").read()))

    assert playlists == [PlaylistRecord("p1", ["local:y", "local:x"]), PlaylistRecord("p2", ["local:y", "local:z"])]
    assert tracks["local:x"] == TrackRecord(
        "local:x",
        '"Ex" song',
        ("Ann",),
        fields={
            "genre": Field("rock pop", "recbole"),
            "year": Field([1999.0], "recbole"),
            "vector": Field([0.5, 0.25], "recbole"),
        },
        source="recbole",
    )
    assert tracks["local:y"] == TrackRecord("local:y", "Why", source="recbole")


def corpus(ids: list[str]) -> Corpus:
    n = len(ids)
    names = [None, 'The "B" side\tlive', "Ç"][:n]
    tracks = pa.table(
        {
            "id": ids,
            "title": pa.array(names, pa.string()),
            "artist": pa.array(["Ann", None, "Bo"][:n]),
            "album": pa.nulls(n, pa.string()),
        }
    )
    lists = pa.table(
        {"id": ["p", "q"], "title": ["P", None], "group": pa.nulls(2, pa.string()), "split": pa.nulls(2, pa.string())}
    )
    return Corpus(np.array([2, 1, 3, 3, 2], np.int32), np.array([0, 3, 5]), tracks, lists)


def test_written_atomic_files_have_recbole_columns(tmp_path: Path) -> None:
    folder = write_atomic(corpus(["local:a b", "spotify:track:b", "c:3"]), tmp_path, "mini")

    assert folder == tmp_path / "mini"
    assert (folder / "mini.inter").read_text() == (
        "playlist_id:token\ttrack_id:token\tposition:float\n"
        "p\tspotify:track:b\t0\np\tlocal:a b\t1\np\tc:3\t2\nq\tc:3\t0\nq\tspotify:track:b\t1\n"
    )
    assert (folder / "mini.item").read_text() == (
        "track_id:token\ttitle:token_seq\tartist:token_seq\talbum:token_seq\n"
        "local:a b\t\tAnn\t\nspotify:track:b\tThe B side live\t\t\nc:3\tÇ\tBo\t\n"
    )


def test_recbole_round_trip_keeps_playlists(tmp_path: Path) -> None:
    before = corpus(["local:a b", "spotify:track:b", "isrc:3"])
    write_atomic(before, tmp_path, "mini")

    with Catalogue.open(tmp_path / "c.db") as catalogue:
        after = build(RecboleReader(tmp_path / "mini"), catalogue, tmp_path / "again")

    assert after.items.tolist() == before.items.tolist()
    assert after.offsets.tolist() == before.offsets.tolist()
    assert after.tracks["id"].to_pylist() == before.tracks["id"].to_pylist()


def test_recbole_round_trip_keeps_times(tmp_path: Path) -> None:
    plain = corpus(["local:a b", "spotify:track:b", "isrc:3"])
    times = np.array([5, 1_600_000_000, -3, 7, 2**33])
    folder = write_atomic(replace(plain, times=times), tmp_path, "each")
    assert (folder / "each.inter").read_text().splitlines()[:2] == [
        "playlist_id:token\ttrack_id:token\tposition:float\ttimestamp:float",
        "p\tspotify:track:b\t0\t5",
    ]
    assert (
        build(RecboleReader(folder, RecboleReader.Params(time="timestamp")), None, tmp_path / "again")
        .placement_times(0, 2)
        .tolist()
        == times.tolist()
    )
    lists = plain.playlists.append_column("time", pa.array([11, 12], pa.int64()))
    known = write_atomic(replace(plain, playlists=lists), tmp_path, "lists") / "lists.inter"
    assert [line.rpartition("\t")[2] for line in known.read_text().splitlines()[1:]] == ["11"] * 3 + ["12"] * 2
    # a number for one that is not known would be a wrong one
    half = replace(plain, times=np.array([5, NO_TIME, 7, 8, 9]))
    assert "timestamp" not in (write_atomic(half, tmp_path, "half") / "half.inter").read_text()


def test_exporting_an_id_with_a_tab_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"id 'local:a\\tb' must not contain tabs"):
        write_atomic(corpus(["local:a\tb", "b:b", "c:c"]), tmp_path, "mini")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("playlist_id\ttrack_id\np\tt\n", r"line 1: column 'playlist_id' must be name:type"),
        ("playlist_id:token\tn:float\np\t1\n", "token columns and must have at least 2"),
        ("p:token\tt:token\tposition:float\na\tb\tx\n", r"line 2: position 'x' must be a number"),
        ("p:token\tt:token\na\t\n", "line 2: must have a playlist and a track"),
        ("", "is empty"),
    ],
)
def test_bad_inter_file_raises(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(text)

    with pytest.raises(DataError, match=message):
        list(RecboleReader(tmp_path / "x.inter").read())


def test_recbole_export_can_be_read_by_pandas(tmp_path: Path) -> None:
    folder = write_atomic(corpus(["local:a b", "spotify:track:b", "c:3"]), tmp_path, "mini")

    # the call of recbole.data.dataset.Dataset._load_feat
    inter = pd.read_csv(folder / "mini.inter", delimiter="\t", encoding="utf-8", engine="python")
    item = pd.read_csv(folder / "mini.item", delimiter="\t", encoding="utf-8", engine="python", keep_default_na=False)

    assert inter["track_id:token"].tolist() == ["spotify:track:b", "local:a b", "c:3", "c:3", "spotify:track:b"]
    assert item["title:token_seq"].tolist() == ["", "The B side live", "Ç"]

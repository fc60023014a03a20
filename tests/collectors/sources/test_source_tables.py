"""Tests of the sources that read audio features from tables and dumps."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import threading
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from collectors import dump_archives, file_index
from collectors.source import Absent, Request
from collectors.sources.acousticbrainz import AcousticBrainz
from collectors.sources.feature_table import FeatureTable
from tests.servers.music import mbid
from toolkit.constants import AUDIO_FEATURES
from toolkit.errors import DataError, InputError

ROWS = {
    f"spotify:track:{place}": [round(place + column / 100, 2) for column in range(len(AUDIO_FEATURES))]
    for place in range(5)
}


def request_of(id: str, **ids: str) -> Request:
    return Request("track", id, ("audio_features",), ids)


@pytest.fixture(params=["csv", "csv.gz", "tsv", "parquet"])
def table(request, tmp_path) -> Path:
    names = ["track_id", *AUDIO_FEATURES]
    rows = [[key, *values] for key, values in ROWS.items()] + [["spotify:track:gap", *[None] * 10, 1.0]]
    path = tmp_path / f"features.{request.param}"
    if request.param == "parquet":
        pyarrow.parquet.write_table(
            pyarrow.table({name: [row[place] for row in rows] for place, name in enumerate(names)}), path
        )
        return path
    sign = "\t" if request.param == "tsv" else ","
    text = "\n".join(sign.join("" if cell is None else str(cell) for cell in row) for row in [names, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if request.param == "csv.gz" else text.encode())
    return path


def test_csv_tsv_and_parquet_tables_give_the_same_vectors(table, http, tmp_path):
    source = FeatureTable(FeatureTable.Params(path=table, train_allowed=True, licence="CC0"))
    with source.opened(tmp_path / "index"):
        for key, values in ROWS.items():
            assert source.collect(request_of(key), http).values == {"audio_features": values}
        assert isinstance(source.collect(request_of("spotify:track:gap"), http), Absent)
        assert isinstance(source.collect(request_of("spotify:track:9"), http), Absent)
    assert (source.terms.train_allowed, source.terms.licence, FeatureTable.terms.train_allowed) == (True, "CC0", None)


def test_feature_table_is_read_by_isrc_with_selected_columns(tmp_path, http):
    path = tmp_path / "t.csv"
    path.write_text("isrc,tempo,energy\ngb-abc-01-00001,120,0.5\nGBABC0100002,90,\n")
    source = FeatureTable(FeatureTable.Params(path=path, key="isrc", ids="isrc", columns=["energy", "tempo"]))
    with source.opened(tmp_path / "index"):
        assert source.collect(request_of("t", isrc="GBABC0100001"), http).values == {"audio_features": [0.5, 120.0]}
        assert isinstance(source.collect(request_of("t", isrc="GBABC0100002"), http), Absent)
        assert isinstance(source.collect(request_of("GBABC0100001"), http), Absent)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_missing_feature_column_raises_with_the_column(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    columns = {"track_id": ["a"], "temp": [1.0]}
    if ending == "parquet":
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    else:
        path.write_text("track_id,temp\na,1\n")
    with pytest.raises(InputError, match="no column 'tempo'.*did you mean 'temp'"):
        FeatureTable(FeatureTable.Params(path=path, columns=["tempo"])).opened(tmp_path / "index").__enter__()
    assert not list((tmp_path / "index").glob("*.sqlite"))


def test_file_that_is_not_a_table_raises(tmp_path):
    for name, data in (("t.parquet", b"no parquet at all"), ("t.csv", b'track_id,tempo\na,"1\nb')):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError):
            FeatureTable(FeatureTable.Params(path=tmp_path / name, columns=["tempo"])).opened(
                tmp_path / "index"
            ).__enter__()
    with pytest.raises(InputError, match="cannot be read"):
        FeatureTable(FeatureTable.Params(path=tmp_path / "none.csv")).opened(tmp_path / "index").__enter__()


def low(bpm: float, key: str = "A", scale: str = "minor") -> dict:
    return {
        "rhythm": {"bpm": bpm, "danceability": 1.2, "onset_rate": 4.0},
        "tonal": {"key_key": key, "key_scale": scale, "key_strength": 0.5, "chords_changes_rate": 0.1},
        "lowlevel": {"average_loudness": 0.9, "dynamic_complexity": 3.4, "mfcc": {"mean": list(range(13))}},
    }


def high(share: float) -> dict:
    from collectors.sources.acousticbrainz import HIGHLEVEL

    return {
        "highlevel": {name: {"all": {kind: share, f"not_{kind}": 1 - share}, "value": kind} for name, kind in HIGHLEVEL}
    }


SONG, FLAT, BAD, TWICE = (mbid("ab", name) for name in ("song", "flat", "bad", "twice"))
LOW = {
    f"dump/lowlevel/{SONG[:2]}/{SONG}-0.json": low(120.0),
    f"dump/lowlevel/{FLAT[:2]}/{FLAT}-0.json": low(90.0, "Eb", "major"),
    f"dump/lowlevel/{BAD[:2]}/{BAD}-0.json": {"rhythm": {"bpm": 1}},
    f"dump/lowlevel/{TWICE[:2]}/{TWICE}-1.json": low(61.0),
    f"dump/lowlevel/{TWICE[:2]}/{TWICE}-0.json": low(60.0),
    "dump/lowlevel/README.json": {},
    f"../../../{mbid('evil')}-0.json": low(1.0),
}


def packed(path: Path, documents: dict[str, dict]) -> Path:
    """Write a tar archive, compressed according to the file name."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, document in documents.items():
            data = json.dumps(document).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    data = plain.getvalue()
    path.write_bytes(pyarrow.compress(data, "zstd", asbytes=True) if path.suffix == ".zst" else data)
    return path


@pytest.mark.parametrize("form", ["tar", "tar.zst", "folder"])
def test_acousticbrainz_dump_gives_features_by_mbid(tmp_path, http, form):
    names = {name.removeprefix("../../../"): document for name, document in LOW.items()}
    if form == "folder":
        for name, document in names.items():
            file = tmp_path / "low" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(document))
        dump = tmp_path / "low"
    else:
        dump = packed(tmp_path / f"low.{form}", LOW)
    levels = packed(tmp_path / "high.tar", {f"x/{SONG}.json": high(0.75)})
    source = AcousticBrainz(AcousticBrainz.Params(lowlevel=dump, highlevel=levels))
    both = ("acoustic_lowlevel", "acoustic_highlevel")
    before = sorted(path for path in tmp_path.rglob("*"))
    with source.opened(tmp_path / "index"):
        values = source.collect(Request("track", "t", both, {"mbid": SONG}), http).values
        assert np.allclose(values["acoustic_lowlevel"], [120, 1.2, 4, 0.9, 3.4, 0.5, 0.1, 9, 0, *range(13)])
        assert values["acoustic_highlevel"] == [0.75] * 11
        flat = source.collect(Request("track", "t", both, {"mbid": FLAT}), http).values
        assert list(flat) == ["acoustic_lowlevel"] and flat["acoustic_lowlevel"][7:9] == [3, 1]
        assert source.collect(Request("track", "t", both, {"mbid": TWICE}), http).values["acoustic_lowlevel"][0] == 60
        assert isinstance(source.collect(Request("track", "t", both, {"mbid": BAD}), http), Absent)
    made = {path for path in tmp_path.rglob("*")} - set(before)
    assert all(path.is_relative_to(tmp_path / "index") for path in made)


def test_missing_or_truncated_dump_raises(tmp_path):
    with pytest.raises(ValidationError, match="at least one dump is required"):
        AcousticBrainz.Params()
    dump = packed(tmp_path / "low.tar.zst", LOW)
    dump.write_bytes(dump.read_bytes()[:-50])
    for path in (dump, packed(tmp_path / "cut.tar", LOW)):
        if path.suffix == ".tar":
            path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(DataError, match="damaged or truncated"):
            AcousticBrainz(AcousticBrainz.Params(lowlevel=path)).opened(tmp_path / "index").__enter__()
    with pytest.raises(DataError, match="must contain 'mbdump/recording'"):
        list(dump_archives.lines(packed(tmp_path / "low.tar", LOW), "mbdump/recording"))


def test_index_is_rebuilt_only_when_a_file_changes(tmp_path):
    file = tmp_path / "data"
    file.write_text("one")
    built = []

    def rows():
        built.append(1)
        yield from [("a", b"1"), ("b", b"2"), ("a", b"3")]

    for _ in range(2):
        with file_index.open_index(tmp_path / "i", [file], rows(), version=1) as found:
            assert (found.get("a"), found.get("b"), found.get("c"), len(found)) == ([b"1", b"3"], [b"2"], [], 3)
    assert len(built) == 1
    file.write_text("three")
    with file_index.open_index(tmp_path / "i", [file], rows(), version=1):
        assert len(built) == 2
    assert len(list((tmp_path / "i").glob("*.sqlite"))) == 1


def test_interrupted_build_leaves_no_index(tmp_path):
    file = tmp_path / "data"
    file.write_text("one")

    def rows():
        yield "a", b"1"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), file_index.open_index(tmp_path / "i", [file], rows(), version=1):
        pass
    with file_index.open_index(tmp_path / "i", [file], iter([("b", b"2")]), version=1) as found:
        assert (found.get("a"), found.get("b")) == ([], [b"2"])


def test_index_is_read_only_and_thread_safe(tmp_path):
    file = tmp_path / "data"
    file.write_text("one")
    rows = ((str(place), str(place).encode()) for place in range(500))
    with file_index.open_index(tmp_path / "i", [file], rows, version=1) as found:
        wrong = []
        threads = [
            threading.Thread(
                target=lambda: wrong.extend(n for n in range(500) if found.get(str(n)) != [str(n).encode()])
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            found._connection.execute("DELETE FROM entries")

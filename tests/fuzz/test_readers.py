"""Readers on damaged files: a bad record is reported in one line, and nothing is lost silently."""

from __future__ import annotations

import csv
import io
import itertools
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit import plugins
from toolkit.catalogue.readers.auto import detect
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.delimited import DelimitedFile
from toolkit.catalogue.readers.tables.record_blocks import records
from toolkit.catalogue.records import NamedPlaylist, PlaylistRecord, Record
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.build import build
from toolkit.errors import SegueError

pytestmark = pytest.mark.fuzz

FIXTURES = Path(__file__).parents[1] / "fixtures" / "readers"
EXPORTS = Path(__file__).parents[2].parent / "shared" / "data" / "exports"

SAMPLES = {
    "csv": ("described.tsv", "csv/described.tsv"),
    "jsonl": ("playlists.jsonl", "jsonl/playlists.jsonl"),
    "jspf": ("mix.jspf", "jspf/mix.jspf"),
    "xspf": ("mix.xspf", "xspf/mix.xspf"),
    "m3u": ("road.m3u8", "m3u/road.m3u8"),
    "mpd": ("mpd.slice.0-1.json", "mpd/mpd.slice.0-1.json"),
    "recbole": ("tiny.inter", "recbole/tiny.inter"),
    "triplets": ("small_triplets.txt", "triplets/small_triplets.txt"),
}
"""File name and fixture of each reader."""

PIECES = (b'"\n', b',"', b'1,"a\n', b"\xe2\x80\xa8", b"1_000", "٣".encode(), b'"id":1,', b"1e39", b"1e-50", b"\x1f\x8b")


def _playlists(found: Iterator[Record | NamedPlaylist]) -> list[PlaylistRecord]:
    plain = [record.playlist if isinstance(record, NamedPlaylist) else record for record in found]
    return [record for record in plain if isinstance(record, PlaylistRecord)]


def _read_all(name: str, path: Path) -> None:
    """Read a file in every way, with and without bad records, and build a corpus with a catalogue."""
    cls: type[Reader] = plugins.load("segue.readers", name)
    reader = cls(path, on_error="skip")
    whole = _playlists(reader.read())
    skipped = reader.skipped.count
    brief = cls(path, on_error="skip")
    assert _playlists(brief.brief()) == whole
    if (blocks := cls(path, on_error="skip").blocks()) is not None:
        assert _playlists(records(blocks)) == whole
    try:
        strict = _playlists(cls(path).read())
    except SegueError:
        assert skipped
    else:
        assert strict == whole
        assert not skipped
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder) / "c.sqlite") as catalogue:
        corpus = build(cls(path, on_error="skip"), catalogue, Path(folder) / "corpus")
        assert corpus.plays is None or ((corpus.plays > 0) & (corpus.plays < float("inf"))).all()


def _on_file(name: str, file: str) -> Callable[[bytes], None]:
    def act(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file
            path.write_bytes(data)
            _read_all(name, path)

    return act


@pytest.mark.parametrize("name", SAMPLES)
def test_readers_of_damaged_files_agree_in_every_way_of_reading(name: str, tries: Callable[[int], int]) -> None:
    file, fixture = SAMPLES[name]
    inputs = mutations({name: (FIXTURES / fixture).read_bytes()}, tries(25), extra=PIECES)

    result = attempt(_on_file(name, file), inputs)

    assert not result.faults, result.faults[:3]
    assert result.counts["passed"], result


def test_parquet_reader_of_damaged_files_raises_one_line(tries: Callable[[int], int]) -> None:
    buffer = io.BytesIO()
    rows = {"playlist_id": [1, 1, 2], "track_id": ["a", "b", "a"], "duration": [1.0, 2.0, 3.0]}
    pq.write_table(pa.table(rows), buffer)

    result = attempt(_on_file("parquet", "p.parquet"), mutations({"parquet": buffer.getvalue()}, tries(40)))

    assert not result.faults, result.faults[:3]
    assert result.counts["refused"], result


def test_exports_of_other_programs_are_read_or_refused_in_one_line(tries: Callable[[int], int]) -> None:
    if not EXPORTS.is_dir():
        pytest.skip("needs the exports of other programs in ../shared")
    files = sorted(file for file in EXPORTS.rglob("*") if file.is_file() and file.stat().st_size < 100_000)
    samples = {str(file.relative_to(EXPORTS)): file.read_bytes() for file in files}

    def act(item: tuple[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(item[0]).name
            path.write_bytes(item[1])
            _read_all(detect(path), path)

    damaged = (
        (name, (name.rpartition(" ")[0].rpartition(" ")[0], data)) for name, data in mutations(samples, tries(60))
    )
    whole = ((name, (name, data)) for name, data in samples.items())

    result = attempt(act, itertools.chain(whole, damaged))

    assert not result.faults, result.faults[:3]
    assert result.counts["passed"] >= 10, result


CELLS = st.text(alphabet='ab1",\n\r;\t \u2028\x85é', max_size=6)
TABLES = st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6))


def _rows(data: str) -> tuple[list[list[str]], list[str]]:
    """Return the rows and the reports of bad records of a table in a file."""
    bad: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data.encode())
        table = DelimitedFile(path, lambda where, why: bad.append(f"{where}: {why}"), delimiter=",")
        return [row for _, row in table.rows()], bad


@settings(max_examples=200, deadline=None)
@given(TABLES)
def test_delimited_file_written_by_csv_gives_the_cells_that_were_written(rows: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([[f"c{place}" for place in range(len(rows[0]))], *rows])

    found, bad = _rows(text.getvalue())

    # a row whose lines look like rows is reported, and then its lines are read
    alike = [row for row in rows if _looks_like_rows(row)]
    assert bool(bad) is bool(alike)
    assert alike or found == rows


def _looks_like_rows(row: list[str]) -> bool:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(row)
    lines = text.getvalue().split("\n")
    alike = [_unquoted(line) == len(row) - 1 for line in lines]
    inside = "\n".join(cell for cell in row if "\n" in cell)
    values = len(re.findall(r",[^ \r\n]", inside)) - inside.count(", ")
    return len(lines) > 1 and alike[0] and alike[-1] and sum(alike) > len(alike) / 2 and values > 0


def _unquoted(line: str) -> int:
    """Return the number of commas outside quoted cells, counted letter by letter."""
    count, start, quoted, opened = 0, True, False, 0
    for place, letter in enumerate(line):
        if letter == '"' and (start or quoted):
            opened = place if start and line[place - 1 : place] != '"' else opened
            start, quoted = quoted, not quoted  # a second quote opens the cell again
        else:
            count += letter == "," and not quoted
            start = letter == "," and not quoted
    return count + (line[opened:].count(",") if quoted else 0)


LINES = st.lists(st.sampled_from(["1,a,x", '2,b,"y', '3,c,y"', '4,"d",z', '5,e"f,z', '6,"g""h",z', '7,"i"j,z']))


@settings(max_examples=300, deadline=None)
@given(LINES)
def test_delimited_file_with_stray_quotes_gives_or_reports_every_line(lines: list[str]) -> None:
    found, bad = _rows("n,id,title\n" + "\n".join(lines) + "\n")

    assert len(found) + len(bad) == len(lines)
    broken = [line for line in lines if line[0] in "27"]
    assert len(bad) == len(broken)
    assert [row[0] for row in found] == [line[0] for line in lines if line[0] not in "27"]


WORDS = st.sampled_from(["love", "me", "Oh", "1965", "don't", 'say "yes"', "12"])
PROSE = st.lists(
    st.tuples(st.lists(WORDS, max_size=6), st.sampled_from([" ", ", "]), st.sampled_from(["", ",", "."])).map(
        lambda line: line[1].join(line[0]) + line[2]
    ),
    min_size=2,
    max_size=8,
).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 4), st.lists(PROSE, min_size=1, max_size=4), st.integers(0, 3), st.sampled_from([0, 1]))
def test_delimited_file_of_lyrics_is_read_without_reports(
    columns: int, texts: list[str], place: int, quoting: int
) -> None:
    rows = [[f"c{column}" if column != place % columns else text for column in range(columns)] for text in texts]
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator="\n")
    writer.writerows([[f"h{column}" for column in range(columns)], *rows])

    assert _rows(text.getvalue()) == (rows, [])


VALUES = st.sampled_from(["a", "Love Me Do", "12", "x-y", '"x, y"', '"z"'])


@settings(max_examples=500, deadline=None)
@given(st.data(), st.integers(2, 6), st.integers(2, 8))
def test_delimited_file_with_two_stray_quotes_loses_only_their_lines(data: st.DataObject, columns: int, n: int) -> None:
    # in two columns, a delimiter before an empty cell may also be a comma at the end of a line
    values = st.lists(VALUES if columns == 2 else VALUES | st.just(""), min_size=columns - 1, max_size=columns - 1)
    rows = [[f"t{row}", *data.draw(values)] for row in range(n)]
    one, two = sorted(data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True)))
    place, end, at_start = (data.draw(kind) for kind in (*[st.integers(0, columns - 1)] * 2, st.booleans()))
    rows[one][place] = '"Hello'
    rows[two][end] = '"End' if at_start else 'End"'

    found, bad = _rows("\n".join(",".join(row) for row in [[f"h{column}" for column in range(columns)], *rows]) + "\n")

    assert bad[0].partition(": ")[0].endswith(f"line {one + 2}")
    kept = {row[0] for row in found}
    assert kept >= {f"t{row}" for row in range(n) if row not in (one, two)}

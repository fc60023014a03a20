"""Damaged data read under `on_error: skip` in each of the three ways: whole, in brief and as blocks.

The same records are left out each time. A corpus must not depend on whether its content is read too.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.checks.check_reader import check_blocks, check_brief
from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit import plugins
from toolkit.catalogue.readers.reader import Reader
from toolkit.errors import SegueError

pytestmark = pytest.mark.fuzz

FIXTURES = Path(__file__).parents[1] / "fixtures" / "readers"

DAMAGED = {
    "mpd": ("mpd/mpd.slice.0-1.json", {}),
    "csv": ("csv/described.tsv", {}),
    "csv tracks": (
        "csv/tracks.csv",
        {
            "playlist": "list",
            "track": "track",
            "tracks": {
                "file": "tracks.csv",
                "track": "id",
                "title": "name",
                "artist": "performers",
                "duration": "length_ms",
                "features": ["energy", "tempo"],
                "fields": {"lyrics": "lyrics"},
                "images": {"cover": "cover"},
            },
        },
    ),
    "jsonl": ("jsonl/playlists.jsonl", {"features": {"sound": ["energy"]}}),
    "jsonl tracks": (
        "jsonl/tracks.jsonl",
        {"tracks": {"file": "tracks.jsonl", "fields": {"lyrics": "words"}, "features": {"sound": ["vector"]}}},
    ),
}
"""Damaged file and options by reader and part, for readers with a brief reading of their own."""

PLAYLISTS = {
    "csv tracks": "csv/playlists.csv",
    "jsonl tracks": "jsonl/playlists.jsonl",
}

VALUES = (None, "", "a", "Ann", "A;B", "nan", "1e39", "-1", "3", "7.5", "t1", "t2", "t3", "x\n", True, 2, 1.5, [1], [])


def agree(reader: Callable[[], Reader]) -> None:
    """Check that all ways of reading leave out the same records, or all end in an error."""
    try:
        read = list(reader().read())
    except SegueError:
        with pytest.raises(SegueError):
            list(reader().brief())
        with pytest.raises(SegueError):
            list(reader().blocks() or reader().brief())
        return
    check_brief(reader(), read)
    check_blocks(reader(), read)


def test_readings_of_damaged_files_leave_out_the_same_records(tmp_path: Path, tries: Callable[[int], int]) -> None:
    shutil.copytree(FIXTURES, tmp_path / "files")
    samples = {name: (FIXTURES / place).read_bytes() for name, (place, _) in DAMAGED.items()}

    def act(given: tuple[str, bytes]) -> None:
        name, data = given
        place, options = DAMAGED[name]
        (tmp_path / "files" / place).write_bytes(data)
        cls = plugins.load("segue.readers", name.partition(" ")[0])
        params = cls.Params.model_validate(options)
        path = tmp_path / "files" / PLAYLISTS.get(name, place)
        try:
            agree(lambda: cls(path, params, on_error="skip"))
        finally:
            (tmp_path / "files" / place).write_bytes(samples[name])

    inputs = [(name, (name.rsplit(" ", 2)[0], data)) for name, data in mutations(samples, tries(700))]
    result = attempt(act, inputs)

    assert not result.faults, f"{result}\n{result.faults[0]}"
    assert result.counts["passed"] > len(inputs) // 3


def rows(number: int) -> Iterator[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yield named tables of placements and of tracks with some bad values."""
    for turn in range(number):
        draw = random.Random(turn)
        columns = draw.sample(("title", "artist", "album", "duration", "energy", "mood", "position", "time"), 4)

        def row(track: bool, draw: random.Random = draw, columns: list[str] = columns) -> dict[str, Any]:
            ids = {"track_id": draw.choice(("t1", "t2", "t3", "t4", "", None, " "))}
            ids |= {} if track else {"playlist_id": draw.choice(("p1", "p2", "p3", "", None))}
            return ids | {name: draw.choice(VALUES[:13]) for name in columns if name != "time" or not track}

        yield f"rows {turn}", [row(False) for _ in range(12)], [row(True) for _ in range(6)]


def test_readings_of_tables_with_bad_cells_leave_out_the_same_records(
    tmp_path: Path, tries: Callable[[int], int]
) -> None:
    def act(given: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
        placements, tracks = given
        own = placements[0].keys()
        options: dict[str, Any] = {"features": ["energy"] if "energy" in own else []}
        options |= {"fields": {"mood": "mood"}} if "mood" in own else {}
        options |= {name: name for name in ("position", "time") if name in own}
        side = {"file": "", "features": ["energy"] if "energy" in tracks[0] else []}
        for name, write in (("parquet", pq.write_table), ("csv", write_csv), ("jsonl", None)):
            if write is None:
                lists = [{"id": row["playlist_id"], "tracks": [{"id": row["track_id"], **row}]} for row in placements]
                file = tmp_path / "lists.jsonl"
                file.write_text("\n".join(map(json.dumps, lists)))
                chosen = {key: value for key, value in options.items() if key in ("features", "fields")}
            else:
                file, other = tmp_path / f"lists.{name}", tmp_path / f"tracks.{name}"
                write(pa.Table.from_pylist(placements), file)
                write(pa.Table.from_pylist(tracks), other)
                chosen = options | {"tracks": side | {"file": other.name}}
            cls = plugins.load("segue.readers", name)
            params = cls.Params.model_validate(chosen)
            agree(lambda cls=cls, file=file, params=params: cls(file, params, on_error="skip"))

    inputs = [(name, (placements, tracks)) for name, placements, tracks in rows(tries(100))]
    result = attempt(act, inputs)

    assert not result.faults, f"{result}\n{result.faults[0]}"
    assert result.counts["passed"] > len(inputs) // 2


def write_csv(table: pa.Table, path: Path) -> None:
    table.to_pandas().to_csv(path, index=False)

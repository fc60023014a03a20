"""Tests of tables with several rows for a track."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.readers.jsonl import JsonlParams, JsonlReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.triplets import TripletsParams, TripletsReader
from toolkit.catalogue.records import TrackRecord

ROWS = [
    {"song": "S1", "title": "One", "artist": "Ann", "energy": "0.5"},
    {"song": "S2", "title": "Two", "artist": "Bo", "energy": "0.1"},
    {"song": "S1", "title": "One", "artist": "Ann", "energy": "0.5"},
    {"song": "S1", "title": "One", "artist": "Cy", "energy": "0.5"},
    {"song": "S2", "title": "Two", "artist": "Bo", "energy": "0.9"},
]
COLUMNS = {"track": "song", "features": {"sound": ["energy"]}}


def reader(kind: str, folder: Path) -> Reader:
    (folder / "songs.csv").write_text(
        "\n".join(",".join(row) for row in [list(ROWS[0]), *(row.values() for row in ROWS)]) + "\n"
    )
    (folder / "songs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "lists.csv").write_text("playlist_id,track_id\np,S1\np,S2\n")
    (folder / "lists.jsonl").write_text('{"id": "p", "tracks": ["S1", "S2"]}\n')
    (folder / "plays.tsv").write_text("p\tS1\t1\np\tS2\t1\n")
    table = {"tracks": {"file": f"songs.{'jsonl' if kind == 'jsonl' else 'csv'}", **COLUMNS}}
    if kind == "csv":
        return CsvReader(folder / "lists.csv", CsvParams.model_validate(table))
    if kind == "jsonl":
        return JsonlReader(folder / "lists.jsonl", JsonlParams.model_validate(table))
    return TripletsReader(folder / "plays.tsv", TripletsParams.model_validate(table))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "triplets"])
def test_first_row_of_a_track_is_used_and_a_different_row_is_reported(kind: str, tmp_path: Path) -> None:
    found = reader(kind, tmp_path)
    tracks = [record for record in found.read() if isinstance(record, TrackRecord)]
    assert [(track.id, track.artists, track.fields["sound"].value) for track in tracks] == [
        ("local:S1", ("Ann",), [0.5]),
        ("local:S2", ("Bo",), [0.1]),
    ]
    first = 5 if kind != "jsonl" else 4  # a header is a line too
    assert [message.partition("songs")[2].partition(", ")[2] for message in found.doubles.examples] == [
        f"line {first}: track 'local:S1' came before with other values: the first ones stay",
        f"line {first + 1}: track 'local:S2' came before with other values: the first ones stay",
    ]

"""Tests of sources whose files change between runs, or have other ids than the catalogue."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collectors.engine.engine import Engine, Settings, Summary
from collectors.sources.feature_table import FeatureTable
from collectors.sources.local_covers import LocalCovers
from collectors.sources.msd_a import MsdA
from tests.collectors.engine.test_engine import RecordingReporter
from tests.servers.facts import picture
from toolkit.catalogue.store import Catalogue


def write(path: Path, ids: list[str]) -> None:
    path.write_text("track_id,tempo\n" + "".join(f"{name},{place}.5\n" for place, name in enumerate(ids)))


def collect(library: Catalogue, settings: Settings, source: object, field: str) -> tuple[Summary, list[str]]:
    reporter = RecordingReporter()
    (summary,) = Engine(library, [(source, [field])], settings, reporter=reporter).run()  # type: ignore[list-item]
    return summary, reporter.notes


def table(path: Path, **params: object) -> FeatureTable:
    return FeatureTable(FeatureTable.Params(path=path, columns=["tempo"], **params))  # type: ignore[arg-type]


def test_table_with_other_ids_is_reported_and_the_corrected_table_is_read(
    library: Catalogue, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    write(path, [str(n) for n in range(40)])
    summary, notes = collect(library, settings, table(path), "audio_features")
    assert summary.counts == {"absent": 40}
    assert len(notes) == 1
    assert notes[0].startswith(
        f"feature-table has values for 0 of 40 entities: {path} has '0' in the column 'track_id', and 'local:"
    )
    assert notes[0].endswith("is looked up: put 'local:' in front of the ids of the table")
    assert collect(library, settings, table(path), "audio_features") == (Summary("feature-table", {}, 0), [])

    write(path, [f"local:{n}" for n in range(40)])
    summary, notes = collect(library, settings, table(path), "audio_features")
    assert summary.counts == {"found": 40}
    assert notes == ["feature-table: its files have changed: 40 missing values are looked up again"]
    assert collect(library, settings, table(path), "audio_features") == (Summary("feature-table", {}, 0), [])


def test_table_that_gains_rows_is_read_again_for_missing_tracks_only(
    library: Catalogue, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    write(path, [f"local:{n}" for n in range(30)])
    summary, notes = collect(library, settings, table(path), "audio_features")
    assert (summary.counts, notes) == ({"found": 30, "absent": 10}, [])
    write(path, [f"local:{n}" for n in range(35)])
    assert collect(library, settings, table(path), "audio_features")[0].counts == {"found": 5, "absent": 5}
    os.utime(path, (1, 1))
    assert collect(library, settings, table(path), "audio_features")[0].counts == {"absent": 5}


@pytest.mark.parametrize(
    ("params", "ids", "cure"),
    [
        ({"key": "track_id"}, ["x1", "x2"], "set `key` to the column with these ids, or `ids` to the kind of the ids"),
        (
            {"ids": "isrc"},
            ["GBABC0100001"],
            "tracks have no 'isrc' id: collect ids first, or set `ids` to another kind",
        ),
        ({}, [], "set `key` to the column with these ids"),
    ],
)
def test_table_without_a_match_names_the_cure(
    params: dict[str, object], ids: list[str], cure: str, library: Catalogue, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    write(path, ids)
    _, notes = collect(library, settings, table(path, **params), "audio_features")
    assert len(notes) == 1 and cure in notes[0]


def test_folder_that_gains_a_file_is_read_again(library: Catalogue, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "covers" / "deep"
    folder.mkdir(parents=True)
    (folder / "Artist 0 - Album 0.png").write_bytes(picture(0))

    def source() -> LocalCovers:
        return LocalCovers(LocalCovers.Params(folder=tmp_path / "covers"))

    assert collect(library, settings, source(), "cover")[0].counts == {"found": 1, "absent": 3}
    (folder / "Artist 0 - Album 1.png").write_bytes(picture(1))
    assert collect(library, settings, source(), "cover")[0].counts == {"found": 1, "absent": 2}


def test_file_that_changes_in_a_folder_of_documents_is_indexed_again(
    library: Catalogue, settings: Settings, tmp_path: Path
) -> None:
    """The size and the time of a folder do not change with the content of its files."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "artists").write_text(
        "AR0000000000000001<SEP><SEP>TR<SEP>Artist 0\nAR0000000000000002<SEP><SEP>TR<SEP>Artist 1\n"
    )
    (tmp_path / "texts" / "AR0000000000000001.txt").write_text("")
    (tmp_path / "texts" / "AR0000000000000002.txt").write_text("A life.")

    def source() -> MsdA:
        return MsdA(MsdA.Params(biographies=tmp_path / "texts", artists=tmp_path / "artists"))

    assert collect(library, settings, source(), "biography")[0].counts == {"found": 1, "absent": 1}
    (tmp_path / "texts" / "AR0000000000000001.txt").write_text("Another life.")
    assert collect(library, settings, source(), "biography")[0].counts == {"found": 1}


def test_missing_file_stops_the_source_with_one_line(library: Catalogue, settings: Settings, tmp_path: Path) -> None:
    summary, notes = collect(library, settings, table(tmp_path / "none.csv"), "audio_features")
    assert (
        summary.stopped
        == f"{tmp_path}/none.csv cannot be read (No such file or directory): correct path or permissions"
    )
    assert len(notes) == 1

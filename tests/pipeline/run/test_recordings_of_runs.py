"""Tests of runs on data that has recordings under several ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import segue
from toolkit import pipeline, run_directory
from toolkit.errors import LeakError
from toolkit.evaluation.shared_recordings import SLICE
from toolkit.progress import Reporter
from toolkit.recipe import load

SONGS = 30


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Return a CSV file with 60 playlists over 30 songs under two ids each, and a file with their names.

    Training playlists have ids from 0. Tested playlists have ids from 100 for songs 0 to 9, and otherwise from 0.
    """
    rng, rows = np.random.default_rng(0), []
    for playlist in range(60):
        part = ("train", "train", "valid", "test")[playlist % 4]
        for song in rng.choice(SONGS, size=8, replace=False):
            track = song + 100 if part != "train" and song < 10 else song
            rows.append(f"{playlist},{track},{part}\n")
    path = tmp_path / "lists.csv"
    path.write_text("playlist_id,track_id,split\n" + "".join(rows))
    return path


def recipe(lists: Path, *, doubles: str = "Song {} (feat. B)", seconds: float = 1.5, more: Sequence[str] = ()) -> Any:
    """Return a recipe for the lists. doubles, seconds: title and additional duration of songs under their other id."""
    tracks = pandas.DataFrame(
        [(song, f"Song {song}", "DMA’s, B", 200.0) for song in range(SONGS)]
        + [(song + 100, doubles.format(song), "DMA's, B", 200.0 + seconds) for song in range(10)],
        columns=["track_id", "title", "artist", "duration"],
    )
    tracks.to_csv(lists.parent / "tracks.csv", index=False)
    path = lists.parent / "r.yaml"
    path.write_text(
        f"data:\n  reader: csv\n  path: {lists.name}\n"
        "  options: {split: split, tracks: {file: tracks.csv, track: track_id, title: title, artist: artist,"
        " duration: duration}}\n"
        "  permission: {allowed: true, reason: my own lists}\n"
        "baselines: [popularity, artist-popularity]\n"
        "evaluation: {k: [5], bootstrap: 20, split: {min_tracks: 4}}\nreport: {examples: 0}\nthreads: 1\n"
    )
    return load(path, list(more))


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [row for row in json.loads((run / run_directory.METRICS).read_text()) if row["slice"] == SLICE]


def notes(run: Path) -> list[str]:
    lines = [json.loads(line) for line in (run / run_directory.LOG).read_text().splitlines()]
    return [line["text"] for line in lines if line["event"] == "note" and "recording" in line["text"]]


def test_run_reports_hidden_tracks_with_another_id_in_training(lists: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pipeline.run(recipe(lists), run, cache=tmp_path / "cache")
    data = json.loads((run / run_directory.DATA).read_text())
    hidden = pandas.read_csv(lists).groupby("playlist_id").tail(3)
    counts = {
        part: hidden[(hidden.split == part) & (hidden.track_id >= 100)].track_id.nunique() for part in ("valid", "test")
    }
    assert data["recordings_in_training"] == counts and min(counts.values()) > 3
    assert [note.split(" are ")[0] for note in notes(run)] == [
        f"{counts['test']} hidden test tracks",
        f"{counts['valid']} hidden validation tracks",
    ]
    assert "such as 'local:10" in notes(run)[0] and notes(run)[0].endswith(f"slice {SLICE}")
    kinds = {(row["system"], row["split"], row["metric"]) for row in rows_of(run)}
    assert kinds == {
        (system, part, metric)
        for system in ("popularity", "artist-popularity")
        for part in ("valid", "test")
        for metric in ("recall", "ndcg")
    }
    # popularity never ranks them among the first five: all have no training playlist
    assert {row["value"] for row in rows_of(run) if row["system"] == "popularity"} == {0.0}


@pytest.mark.parametrize(
    "changed", [{"doubles": "Song {} - Live"}, {"seconds": 5.0}, {"doubles": "Another song {}"}], ids=str
)
def test_other_recordings_are_no_false_alarm(changed: dict[str, Any], lists: Path, tmp_path: Path) -> None:
    strict = ["evaluation.split.strict_overlap=true"]
    pipeline.run(recipe(lists, more=strict, **changed), tmp_path / "run", cache=tmp_path / "cache")
    assert not rows_of(tmp_path / "run") and not notes(tmp_path / "run")
    assert "recordings_in_training" not in json.loads((tmp_path / "run" / run_directory.DATA).read_text())


@pytest.mark.parametrize("split", ["playlist_disjoint", "item_cold"])
def test_strict_overlap_stops_a_run_with_recordings_on_both_sides(split: str, lists: Path, tmp_path: Path) -> None:
    keys = [f"evaluation.split={{type: {split}, min_tracks: 4, strict_overlap: true}}"]
    cure = "but `strict_overlap: true` allows none: give each recording a single id in the data, or set"
    with pytest.raises(
        LeakError, match=rf"\d+ hidden test tracks? (is|are) in training under .*'local:\d+' and .*, {cure}"
    ):
        pipeline.run(recipe(lists, more=keys), tmp_path / "run", cache=tmp_path / "cache")


class Notes(Reporter):
    """Reporter that keeps notes."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def note(self, text: str) -> None:
        self.kept.append(text)


def test_split_in_python_notes_and_refuses_recordings_on_both_sides(lists: Path, tmp_path: Path) -> None:
    recipe(lists)
    kept = Notes()
    names = {"file": "tracks.csv", "track": "track_id", "title": "title", "artist": "artist"}
    data = segue.read_playlists(
        lists, reader="csv", split="split", tracks=names, cache=tmp_path / "cache", progress=kept
    )
    data.split("playlist_disjoint", min_tracks=4)
    found = [text for text in kept.kept if "recording" in text]
    assert len(found) == 2 and found[0].endswith(f"slice {SLICE}")
    with pytest.raises(LeakError, match="hidden test tracks? (is|are) in training under another id"):
        data.split("item_cold", min_tracks=4, strict_overlap=True)


def test_artists_of_one_name_are_not_one_recording(lists: Path, tmp_path: Path) -> None:
    artists = pandas.DataFrame({"track_id": range(SONGS), "title": "x", "artist": "Genesis"})
    artists["artist_id"] = artists["track_id"]
    both = pandas.concat([artists, artists.head(10).assign(track_id=range(100, 110))])
    both.to_csv(tmp_path / "tracks.csv", index=False)
    names = {"file": "tracks.csv", "track": "track_id", "title": "title", "artist": "artist", "artist_id": "artist_id"}
    data = segue.read_playlists(
        lists, reader="csv", split="split", tracks=names, cache=tmp_path / "cache", progress=Reporter(), level="artist"
    )
    assert data.corpus.n_items == SONGS and data.corpus.recordings.tolist() == list(range(SONGS + 1))

"""Tests of runs on data with a label of the playlist: the error, the permission, and slices by the label."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from toolkit import pipeline, run_directory
from toolkit.errors import InputError, LeakError
from toolkit.recipe import load

RECIPE = """\
data: {{path: {folder}/lists.csv, options: {{{options}}}{more}}}
baselines: [random, popularity, content-mix]
evaluation: {{bootstrap: 20, split: {{min_tracks: 5}}, k: [10], slices: [{slices}]}}
threads: 1
"""


def write(folder: Path, options: str, *, more: str = "", slices: str = "") -> Path:
    draw = random.Random(0)
    rows = [(p, t) for p in range(60) for t in (*draw.sample(range(30), 4), *range(100 * (p + 1), 100 * (p + 1) + 8))]
    lines = [f"{p},t{t},{('calm', 'party', 'sad')[p % 3]},a{t % 9}\n" for p, t in rows]
    (folder / "lists.csv").write_text("playlist_id,track_id,mood,artist\n" + "".join(lines))
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(folder=folder, options=options, more=more, slices=slices))
    return path


def test_run_with_a_label_as_a_field_of_tracks_stops(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, "fields: {genre: mood}, train_allowed: true"))

    with pytest.raises(LeakError, match="column 'mood' .`fields.genre`. is constant in 60 of 60 playlists"):
        pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache")


def test_reason_is_in_log_manifest_and_report(tmp_path: Path) -> None:
    options, more = "fields: {genre: mood}, train_allowed: true", ", allow_label_leak: measured on purpose"
    pipeline.run(load(write(tmp_path, options, more=more)), tmp_path / "run", cache=tmp_path / "cache")

    assert json.loads((tmp_path / "run" / run_directory.MANIFEST).read_text())["allow_label_leak"] == (
        "measured on purpose"
    )
    assert "Label leak allowed" in (report := (tmp_path / "run" / run_directory.REPORT).read_text())
    assert "measured on purpose" in report and "Allow label leak" not in report


def test_playlist_field_gives_slices_of_its_values(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, "playlist_fields: {mood: mood}", slices='"field:mood"'))
    results = pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache")

    rows = [row for row in results.metrics if row["system"] == "popularity" and row["split"] == "test"]
    sizes = {row["slice"]: row["n"] for row in rows if row["metric"] == "recall"}
    moods = {name: n for name, n in sizes.items() if name.startswith("field:")}
    assert moods.keys() <= {"field:mood:calm", "field:mood:party", "field:mood:sad"} and len(moods) > 1
    assert sum(moods.values()) == sizes["all"]


def test_slice_of_an_unknown_playlist_field_stops_before_training(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, "", slices='"field:mood"'))

    with pytest.raises(InputError, match=r"slices=field:mood is not a field of the playlists: declare it under"):
        pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache")
    with pytest.raises(InputError, match="must be seeds, length, popularity or modalities, or `field:`"):
        load(write(tmp_path, "", slices="moods"))

"""Tests that a run marks systems and encoders that did not learn in its log, files, tables and page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import segue
from toolkit.pipeline import run
from toolkit.recipe import Recipe
from toolkit.report.result_tables import pivot, to_csv

DEAD = {"latent": 8, "hidden": [8], "epochs": 1, "lr": 1e-12}
UNMOVED = "the weights did not change"


def recipe(**encoder: Any) -> Recipe:
    sasrec = {"type": "sasrec", "epochs": 2, "hidden_size": 16, "select": "ndcg@20"}
    return Recipe(
        name="learning",
        data={
            "reader": "demo",
            "options": {"tracks": 200, "artists": 40, "playlists": 150, "fields": ["audio_features"]},
        },
        encoders={"audio": {"encoder": "features-vae", "field": "audio_features", "params": encoder}},
        models=[
            sasrec | {"name": "dead", "modalities": [], "lr": 1e-12},
            sasrec | {"name": "content", "lr": 0.01, "epochs": 8, "batch_tokens": 128},
            sasrec | {"name": "ids", "modalities": [], "lr": 0.01, "epochs": 8, "batch_tokens": 128},
        ],
        baselines=["popularity"],
        evaluation={"split": {"min_tracks": 5}, "k": [20], "bootstrap": 50},
        report={"examples": 0, "map": 0},
        threads=1,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collapsed")
    run(recipe(**DEAD), folder / "run", cache=folder / "cache")
    return folder / "run"


def notes(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["text"] for line in lines if line.get("text")]


def test_log_names_each_collapsed_part_once(finished: Path) -> None:
    found = [text for text in notes(finished) if "collapsed" in text]
    assert [text.partition(":")[0] for text in found] == ["audio", "dead", "content"]
    assert found[0].startswith(f"audio: collapsed ({UNMOVED}): train longer (epochs), raise the learning rate")
    assert found[1] == f"dead: collapsed ({UNMOVED})"
    assert found[2] == f"content: collapsed (audio: {UNMOVED})"


def test_coverage_names_the_collapsed_encoder(finished: Path) -> None:
    (row,) = json.loads((finished / "coverage.json").read_text())
    assert row["collapsed"] == UNMOVED


def test_systems_are_marked_for_themselves_and_for_their_encoders(finished: Path) -> None:
    timings = json.loads((finished / "timings.json").read_text())
    marks = {name: timing["warnings"].get("collapsed", "") for name, timing in timings.items()}
    assert marks == {"dead": UNMOVED, "content": f"audio: {UNMOVED}", "ids": "", "popularity": ""} | {
        name: "" for name in marks if name.startswith("upper")
    }
    table = pivot(json.loads((finished / "metrics.json").read_text()), timings=timings)
    assert "collapsed" in next(row for row in table.rows if row.system == "dead").marks
    (line,) = (each for each in csv.DictReader(io.StringIO(to_csv(table))) if each["system"] == "content")
    assert f"collapsed: audio: {UNMOVED}" in line["warnings"]


def test_page_shows_the_mark_in_table_and_modalities(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert f'<span class="tag warn" title="{UNMOVED}">collapsed</span>' in page
    assert f'<span class="tag warn">collapsed</span><small>{UNMOVED}</small>' in page


def test_resumed_run_and_loaded_model_show_the_mark_again(finished: Path) -> None:
    before = json.loads((finished / "timings.json").read_text())
    (finished / "metrics.json").unlink()
    run(recipe(**DEAD), finished, cache=finished.parent / "cache")
    assert json.loads((finished / "timings.json").read_text()) == before
    assert len([text for text in notes(finished) if "collapsed" in text]) == 6  # three a run
    assert json.loads((finished / "coverage.json").read_text())[0]["collapsed"] == UNMOVED
    assert segue.load(finished, "dead").collapsed == UNMOVED
    assert segue.load(finished, "ids").collapsed == ""


def test_run_with_trained_parts_has_no_marks(tmp_path: Path) -> None:
    plan = recipe(latent=8, hidden=[16], epochs=40, batch=16, lr=5e-3)
    plan = plan.model_copy(update={"models": plan.models[1:]})
    run(plan, tmp_path / "run", cache=tmp_path / "cache")
    timings = json.loads((tmp_path / "run" / "timings.json").read_text())
    assert not any("collapsed" in timing["warnings"] for timing in timings.values())
    assert "collapsed" not in (tmp_path / "run" / "coverage.json").read_text()
    assert not [text for text in notes(tmp_path / "run") if "collapsed" in text]
    assert ">collapsed<" not in (tmp_path / "run" / "report.html").read_text()


def test_encoder_curve_and_seconds_are_in_the_run_also_from_the_cache(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(recipe(**DEAD), tmp_path / name, cache=tmp_path / "cache")
    (first,), (second,) = (json.loads((tmp_path / name / "encoders.json").read_text()) for name in ("one", "two"))
    assert (first["modality"], first["encoder"], first["cached"]) == ("audio", "features-vae", False)
    assert [point["epoch"] for point in first["curve"]] == [1] and first["curve"][0]["loss"] > 0
    assert first["fit_seconds"] >= first["curve"][0]["seconds"] - 0.001 and first["peak_mb"] > 0
    assert second == {**first, "cached": True, "peak_mb": None}
    page = (tmp_path / "two" / "report.html").read_text()
    assert "Training loss of encoders" in page and "an earlier run (cache)" in page

"""Tests of runs with several seeds, which report mean and standard deviation."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from toolkit import pipeline, run_directory
from toolkit.errors import RecipeError
from toolkit.pipeline.run.fit_systems import unpacked
from toolkit.recipe import load

RECIPE = """\
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 150, fields: []}}
baselines: [random, popularity]
evaluation: {bootstrap: 50, split: {min_tracks: 5}, k: [10], metrics: [recall, coverage], slices: [length]}
threads: 1
"""
STOCK = """\
baselines:
  - {{name: recbole-bert4rec-fixed, params: {small}}}
  - {{name: recbole-bert4rec, params: {small}}}
"""


def write(folder: Path, more: str) -> Path:
    path = folder / "seeds.yaml"
    path.write_text(RECIPE + more)
    return path


def test_metrics_have_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    rows = pipeline.run(load(write(tmp_path, "seeds: [3, 4, 9]\n")), tmp_path / "run", cache=tmp_path / "cache").metrics
    names = ["random", "random~seed4", "random~seed9"]
    parts = [unpacked(tmp_path / "run" / run_directory.STAGES / f"evaluate-{name}-test.npz") for name in names]
    every = [float(part.values["all", "recall", 10].mean()) for part in parts]
    (found,) = (
        row
        for row in rows
        if (row["system"], row["split"], row["slice"], row["metric"]) == ("random", "test", "all", "recall")
    )
    assert len(set(every)) == 3
    assert (found["value"], found["sd"], found["seeds"]) == (
        pytest.approx(statistics.mean(every), abs=1e-7), pytest.approx(statistics.stdev(every), abs=1e-7), 3,
    )  # fmt: skip
    assert found["ci_low"] <= found["value"] <= found["ci_high"]
    covered = [part.overall["coverage", 10] for part in parts]
    (coverage,) = (
        row for row in rows if (row["system"], row["split"], row["metric"]) == ("random", "test", "coverage")
    )
    assert coverage["value"] == pytest.approx(statistics.mean(covered), abs=1e-7) and coverage["ci_low"] is None
    assert all("sd" not in row for row in rows if row["system"] != "random")
    assert not (tmp_path / "run" / run_directory.MODEL / "popularity~seed4").exists()
    assert [entry["system"] for entry in json.loads((tmp_path / "run" / run_directory.SYSTEMS).read_text())["systems"]][
        -1
    ] == "upper-bound"
    assert "± " in (tmp_path / "run" / run_directory.REPORT).read_text()
    once = pipeline.run(load(write(tmp_path, "seed: 4\n")), tmp_path / "once", cache=tmp_path / "cache").metrics
    (alone,) = (
        row
        for row in once
        if (row["system"], row["split"], row["slice"], row["metric"]) == ("random", "test", "all", "recall")
    )
    assert alone["value"] == pytest.approx(every[1], abs=1e-7)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("seeds: [1, 1]\n", r"seeds\.yaml:\d+: seeds must have unique values, but 1 is listed twice: remove one$"),
        ("seed: 2\nseeds: [1, 2]\n", r"seeds\.yaml: seed=2 must be the first of seeds=\[1, 2\]"),
        ("seeds: [1]\n", r"seeds\.yaml:5: seeds must have at least 2 entries, not 1$"),
    ],
)
def test_contradictory_seeds_raise(more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        load(write(tmp_path, more))


def test_systems_with_equal_training_share_it_per_seed(tmp_path: Path) -> None:
    small = "{hidden_size: 8, inner_size: 8, layers: 1, epochs: 1, max_length: 5}"
    more = f"seeds: [1, 2]\n{STOCK.format(small=small)}"
    path = tmp_path / "stock.yaml"
    path.write_text(RECIPE.replace("baselines: [random, popularity]\n", "") + more)
    pipeline.run(load(path), tmp_path / "run", cache=tmp_path / "cache")
    model = tmp_path / "run" / run_directory.MODEL
    states = {
        folder.name: next(folder.glob("*.safetensors")).read_bytes()
        for folder in model.iterdir()
        if folder.name.startswith("recbole")
    }
    assert states["recbole-bert4rec"] == states["recbole-bert4rec-fixed"] != states["recbole-bert4rec~seed2"]
    assert states["recbole-bert4rec~seed2"] == states["recbole-bert4rec-fixed~seed2"]
    assert lenders(tmp_path / "run") == {"recbole-bert4rec": "", "recbole-bert4rec-fixed": "recbole-bert4rec"}
    assert "as recbole-bert4rec<" in (tmp_path / "run" / run_directory.REPORT).read_text()
    # other parameters are another training
    path.write_text(path.read_text().replace("-fixed, params: {hidden_size: 8", "-fixed, params: {hidden_size: 4"))
    pipeline.run(load(path), tmp_path / "other", cache=tmp_path / "cache")
    model = tmp_path / "other" / run_directory.MODEL
    sizes = [
        next((model / name).glob("*.safetensors")).stat().st_size
        for name in ("recbole-bert4rec", "recbole-bert4rec-fixed")
    ]
    assert sizes[0] > sizes[1]
    assert set(lenders(tmp_path / "other").values()) == {""}


def lenders(run: Path) -> dict[str, str]:
    timings = json.loads((run / run_directory.TIMINGS).read_text())
    return {system: entry["training_of"] for system, entry in timings.items() if system.startswith("recbole")}

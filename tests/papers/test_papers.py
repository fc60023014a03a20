"""Tests of the recipes of published tables, including rows without weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segue.commands.terminal_tables import result_table
from toolkit import pipeline, run_directory
from toolkit.errors import InputError, MissingWeights, RunDirectoryError
from toolkit.recipe import Recipe, load

PAPERS = Path(__file__).parents[2] / "recipes" / "papers"
SMALL = [
    "defaults.epochs=1",
    "data.options={tracks: 200, artists: 40, playlists: 150, fields: [audio_features, lyrics]}",
    "encoders.audio_mu.params.epochs=2",
    "evaluation.k=[20]",
    "evaluation.bootstrap=50",
    "threads=1",
]
RUN = ("ids-128", "audio-mu", "lyrics-glove")


def rows(name: str, *overrides: str, only: tuple[str, ...] = ()) -> Recipe:
    """Return a recipe of a paper, or some of its rows."""
    recipe = load(PAPERS / name, overrides, parameters=True)
    return recipe.model_copy(update={"models": [model for model in recipe.models if not only or model.name in only]})


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path) -> Path:
    run = tmp_path_factory.mktemp("grid") / "run"
    pipeline.run(rows("modalities_learned.yaml", *SMALL, only=RUN), run, cache=tiny_cache)
    return run


def test_run_skips_only_rows_without_weights(grid: Path) -> None:
    assert {row["system"] for row in read(grid, run_directory.METRICS)} == {
        "ids-128",
        "audio-mu",
        "popularity",
        "item-knn",
        "upper-bound",
    }
    table = {row["system"]: (row["group"], row["not_run"]) for row in read(grid, run_directory.TABLE)}
    assert table["lyrics-glove"] == ("One modality", ["encoders.lyrics_glove.params.path"])
    assert table["audio-mu"] == ("One modality", []) and table["popularity"] == ("Others", [])
    assert not (grid / run_directory.MODEL / "lyrics-glove").exists()
    notes = [json.loads(line).get("text") for line in (grid / run_directory.LOG).read_text().splitlines()]
    assert (
        "lyrics-glove: not run because pretrained weights are missing: set their path "
        "(--set encoders.lyrics_glove.params.path=…)"
    ) in notes


def test_encoders_without_a_row_do_not_run(grid: Path) -> None:
    assert [row["modality"] for row in read(grid, run_directory.COVERAGE)] == ["audio_mu"]


def test_report_and_terminal_list_rows_without_weights(grid: Path) -> None:
    page = (grid / run_directory.REPORT).read_text()
    assert page.index(">Ids alone<") < page.index(">One modality<") < page.index(">Others<")
    assert "not run: give its path (--set encoders.lyrics_glove.params.path=…)" in page
    table = result_table(
        read(grid, run_directory.METRICS), read(grid, run_directory.TIMINGS), read(grid, run_directory.TABLE)
    )
    names = [str(cell) for cell in table.columns[0].cells]
    # one epoch is not enough: the marks that follow `underfit` name what else is wrong
    marks = [name.partition(",")[0] for name in names[:4]]
    assert marks == ["Ids alone", "ids-128\n  underfit", "One modality", "audio-mu\n  underfit"]
    assert names[4:] == [
        "lyrics-glove\n  not run: give its path",
        "Others",
        "popularity",
        "item-knn",
        "upper-bound\n  oracle",
    ]


def test_adding_weights_runs_only_the_missing_row(grid: Path, tiny_cache: Path, tmp_path: Path) -> None:
    before, metrics = (grid / run_directory.LOG).read_text(), read(grid, run_directory.METRICS)
    vectors = tmp_path / "vectors.txt"
    words = ("night", "love", "heart", "road", "dance")
    vectors.write_text("".join(f"{word} {place % 3} {place % 2} 1\n" for place, word in enumerate(words)))
    given = f"encoders.lyrics_glove.params.path={vectors}"
    with pytest.raises(RunDirectoryError, match=r"defaults\.epochs was 1, is 2"):
        pipeline.run(
            rows("modalities_learned.yaml", *SMALL, given, "defaults.epochs=2", only=RUN), grid, cache=tiny_cache
        )
    pipeline.run(rows("modalities_learned.yaml", *SMALL, given, only=RUN), grid, cache=tiny_cache)
    log = [json.loads(line) for line in (grid / run_directory.LOG).read_text().removeprefix(before).splitlines()]
    fits = [
        line["stage"] for line in log if line.get("state") == "finished" and line.get("stage", "").startswith("fit")
    ]
    assert fits == ["fit-lyrics-glove"]
    assert [row for row in read(grid, run_directory.METRICS) if row["system"] != "lyrics-glove"] == metrics
    assert "not run" not in (grid / run_directory.REPORT).read_text()


def test_missing_weights_stop_a_run_without_skipping(tiny_cache: Path, tmp_path: Path) -> None:
    stops = rows("modalities_learned.yaml", *SMALL, "on_missing_weights=stop", only=RUN)
    with pytest.raises(MissingWeights, match="word-vectors requires path"):
        pipeline.run(stops, tmp_path / "stop", cache=tiny_cache)
    alone = rows("modalities_learned.yaml", *SMALL, "baselines=[]", only=("lyrics-glove",))
    with pytest.raises(InputError, match=r"evaluation\.reference='lyrics-glove' requires pretrained weights"):
        refers = alone.model_copy(
            update={"evaluation": alone.evaluation.model_copy(update={"reference": "lyrics-glove"})}
        )
        pipeline.run(refers, tmp_path / "reference", cache=tiny_cache)


def test_baseline_table_recipe_runs_at_small_size(tiny_cache: Path, tmp_path: Path) -> None:
    small = [
        "data.options={tracks: 200, artists: 40, playlists: 60}",
        "evaluation.k=[20]",
        "evaluation.bootstrap=20",
        "threads=1",
    ]
    small += [f"baselines.{place}.params.epochs=1" for place in (1, 2, 3, 4)]
    pipeline.run(rows("usc_baselines.yaml", *small), tmp_path / "run", cache=tiny_cache)
    systems = {row["system"] for row in read(tmp_path / "run", run_directory.METRICS)}
    assert systems == {
        "popularity",
        "transrec",
        "recbole-sasrec",
        "recbole-bert4rec",
        "recbole-bert4rec-fixed",
        "ease",
        "upper-bound",
    }

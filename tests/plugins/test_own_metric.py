"""Tests of a custom metric from a module next to the recipe, including reports after the module was removed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.command import segue
from toolkit import pipeline, plugins, run_directory
from toolkit.contracts.metric import described
from toolkit.errors import SegueError
from toolkit.recipe import load
from toolkit.report.result_tables import pivot, to_markdown
from toolkit.report.run_files import RunFiles

METRIC = '''
import numpy as np

from toolkit.contracts.metric import Block, Metric


class MissRate(Metric):
    """Whether the first k tracks hold no hidden one."""

    name = "miss_rate"
    label = "Miss rate"
    value_range = (0.0, 1.0)
    higher_is_better = False
    decimals = 2

    def values(self, block: Block, k: int) -> np.ndarray:
        return np.where(block.n_hidden > 0, ~block.hits[:, :k].any(axis=1), np.nan)
'''
NAME = "own_metrics_of_a_test:MissRate"
RECIPE = f"""\
name: own
data: {{reader: demo, options: {{tracks: 200, artists: 40, playlists: 120, fields: []}}}}
baselines: [popularity, random]
evaluation: {{split: {{min_tracks: 5}}, k: [5], metrics: [recall, "{NAME}"], bootstrap: 10, slices: [], rankings: 0}}
report: {{examples: 0, map: 0, similar: 0}}
threads: 1
"""


@pytest.fixture
def run(tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_metrics_of_a_test.py").write_text(METRIC)
    (tmp_path / "own.yaml").write_text(RECIPE)
    described.cache_clear()
    pipeline.run(load(tmp_path / "own.yaml"), tmp_path / "run", cache=tiny_cache)
    return tmp_path / "run"


def test_custom_metric_is_measured_printed_and_loaded_without_module(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = json.loads((run / run_directory.METRICS).read_text())
    assert {row["k"] for row in rows if row["metric"] == NAME} == {5} and set(rows[0]) >= {"system", "value", "n"}
    assert all("metric_info" not in row for row in rows)
    assert json.loads((run / run_directory.METRIC_INFO).read_text())[NAME] == {
        "label": "Miss rate",
        "higher_is_better": False,
        "decimals": 2,
        "value_range": [0.0, 1.0],
    }
    monkeypatch.setitem(sys.modules, "own_metrics_of_a_test", None)  # the module is gone
    described.cache_clear()
    table = pivot(RunFiles.read(run).metrics)
    column = next(column for column in table.columns if column.metric == NAME)
    assert (column.label, column.lower_is_better, column.format(0.123)) == ("Miss rate@5", True, "0.12")
    best = min(
        cell.value
        for row in table.rows
        if (cell := row.cells[table.columns.index(column)]) is not None and not row.oracle
    )
    assert {
        cell.value
        for row in table.rows
        for cell in row.cells
        if cell is not None and cell.column == column and cell.best
    } <= {best}
    assert "Miss rate@5" in to_markdown(table)
    (run / run_directory.REPORT).unlink()
    found = segue("report", str(run))
    assert found.exit_code == 0, found.output
    assert (
        "Miss rate@5" in (run / run_directory.REPORT).read_text()
        and "Lower is better: Miss rate." in (run / run_directory.REPORT).read_text()
    )


def test_table_prints_metric_name_without_stored_info(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "own_metrics_of_a_test", None)
    described.cache_clear()
    (run / run_directory.METRIC_INFO).unlink()
    column = next(column for column in pivot(RunFiles.read(run).metrics).columns if column.metric == NAME)
    assert (column.label, column.lower_is_better, column.format(0.123)) == (f"{NAME}@5", False, "0.1230")


@pytest.mark.parametrize(
    ("module", "value", "shown"),
    [("metric_above", "7.5", "7.5"), ("metric_infinite", "np.inf", "inf"), ("metric_below", "-0.5", "-0.5")],
)
def test_value_outside_the_range_of_the_metric_is_refused_by_name(
    module: str, value: str, shown: str, tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{module}.py").write_text(METRIC.replace("~block.hits[:, :k].any(axis=1)", value))
    (tmp_path / "own.yaml").write_text(RECIPE.replace("own_metrics_of_a_test", module))
    with pytest.raises(
        SegueError, match=rf"{module}:MissRate returned {shown} and must return finite values from 0 to 1"
    ):
        pipeline.run(load(tmp_path / "own.yaml"), tmp_path / "run", cache=tiny_cache)


def test_crash_names_the_class_among_several_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broken = METRIC.replace("np.where(block.n_hidden > 0, ~block.hits[:, :k].any(axis=1), np.nan)", "1 / 0")
    (tmp_path / "two_classes_of_a_test.py").write_text(broken + broken.replace("MissRate", "Second"))
    first = plugins.load("segue.metrics", "two_classes_of_a_test:MissRate")
    plugins.load("segue.metrics", "two_classes_of_a_test:Second")
    with pytest.raises(ZeroDivisionError) as caught:
        first().values(None, 5)
    assert plugins.crash(caught.value).startswith("an error inside two_classes_of_a_test:MissRate, ZeroDivisionError")

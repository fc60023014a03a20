"""Tests that the tables of speed and of faults in the docs match the saved results."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import table
from toolkit import pipeline
from toolkit.recipe import load

MACHINE = {
    "device": "a card",
    "processor": "a core",
    "cores": 2,
    "memory_gb": 25.3,
    "load": 0.5,
    "commit": "abc1234",
    "date": "2026-01-02",
}
MACHINE["versions"] = {"python": "3.11.7", "numpy": "2.4.6", "torch": "2.13.0"}


def spread(low: float, median: float, high: float) -> dict[str, float]:
    return {"minimum": low, "median": median, "maximum": high}


def result(race: str = "load", **changed: Any) -> dict[str, Any]:
    sides = {"ours": spread(0.4, 0.5, 0.6), "peer": spread(4, 5, 6.25), "ratio": 10.0}
    made = {
        "race": race,
        **sides,
        "check": "same splits",
        "bar": 9,
        "threads": 2,
        "clock": "wall",
        "quick": False,
        "machine": MACHINE,
    }
    return made | changed


def rows(*results: dict[str, Any]) -> list[list[str]]:
    lines = table.markdown(results).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]


def test_readme_contains_saved_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert table.main(["--check"]) == 0, capsys.readouterr().err


def test_table_row_matches_hand_computed_values() -> None:
    assert rows(result()) == [
        [
            "load (seconds)",
            "0.5 (0.4–0.6)",
            "5 (4–6.25)",
            "**10×**",
            "9×",
            "same splits",
            "A, load 0.5",
            "2026-01-02, abc1234",
        ]
    ]


def test_missed_target_ratio_is_marked() -> None:
    assert rows(result(ratio=8.9))[0][3:5] == ["**8.9×**", "9×, missed"]
    assert rows(result(ratio=9.0))[0][4] == "9×"


def test_additional_targets_add_rows() -> None:
    part = {"ours": 4.05, "peer": 628, "ratio": 155.1, "bar": 200}
    made = rows(
        result(bytes_a_placement=part, peak_mb=3900, bar_peak_mb=4000, memory={"a": 9, "b": 1200}, bar_memory=1000)
    )
    assert [row[:5] for row in made[1:]] == [
        ["load, bytes a placement", "4.05", "628", "**155×**", "200×, missed"],
        ["load, peak mb", "3,900", "—", "—", "≤ 4,000"],
        ["load, memory", "1,200", "—", "—", "≤ 1,000, missed"],
    ]


def test_benchmark_without_peer_or_target_shows_dash() -> None:
    assert rows(result(peer=None, ratio=None, bar=None))[0][2:5] == ["—", "—", "—"]


def test_machine_description_is_not_repeated() -> None:
    busy = MACHINE | {"load": 3.0}
    made = table.markdown([result("a"), result("b", machine=busy), result("c", clock="processor")]).splitlines()
    assert [line.rstrip() for line in made[-2:]] == [
        "A: a card, a core, 2 cores, 25.3 GB; 2 threads, wall clock; python 3.11.7, torch 2.13.0.",
        "B: a card, a core, 2 cores, 25.3 GB; 2 threads, the process's own time; python 3.11.7, torch 2.13.0.",
    ]


def test_incomplete_benchmarks_are_omitted(tmp_path: Path) -> None:
    for name, content in {
        "b": result("b"),
        "a": result("a"),
        "quick": result(quick=True),
        "folds": {"race": "folds", "rows": []},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert [found["race"] for found in table.saved(tmp_path)] == ["a", "b"]


def test_only_text_between_markers_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    (tmp_path / "a.json").write_text(json.dumps(result()))
    monkeypatch.setattr(table, "README", readme)
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    assert table.main(["--check"]) == 1
    assert "run `python benchmarks/table.py`" in capsys.readouterr().err
    assert "old" in readme.read_text()
    assert table.main([]) == 0
    text = readme.read_text()
    assert "old" not in text and "| load (seconds) |" in text
    assert (text.startswith("before\n"), text.endswith("\nafter\n")) == (True, True)
    assert table.main(["--check"]) == 0


def test_readme_without_markers_raises() -> None:
    with pytest.raises(SystemExit, match="needs the two lines"):
        table.replaced("no markers", "| a |")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(table.__file__).parent))
    return importlib.import_module("faults")


def test_evaluation_page_contains_fault_effects(faults: Any) -> None:
    kept = json.loads((faults.RESULTS / "faults-published_faults.json").read_text())
    page = faults.PAGE.read_text()
    assert faults.written(page, faults.markdown(kept)) == page
    assert {row["fault"] for row in kept["rows"]} == {*faults.FAULTS, "all"}


def test_fault_effect_is_loss_relative_to_run_without_faults(faults: Any, tmp_path: Path) -> None:
    # the next track is always the next number: who sees the last one knows it, who does not has lost
    lists = "".join(f"{p},t{(p + t) % 40:02d}\n" for p in range(40) for t in range(8))
    (tmp_path / "lists.csv").write_text(f"playlist_id,track_id\n{lists}")
    path = tmp_path / "r.yaml"
    path.write_text(
        "data: {reader: csv, path: lists.csv}\nbaselines: [markov]\n"
        "evaluation: {split: leave_last_out, k: [1], metrics: [recall], slices: [], bootstrap: 10}\n"
        "report: {examples: 0}\n"
    )
    made = {name: tmp_path / name for name in ("none", "lost_tracks")}
    for name, run in made.items():
        chosen = [] if name == "none" else [f"evaluation.faults=[{name}]"]
        pipeline.run(load(path, chosen), run, cache=tmp_path / "cache")
    (row,) = faults.rows(made, ["recall@1"])
    assert row["system"] == "markov" and row["fault"] == "lost_tracks" and row["lists"] == 40
    assert row["recall@1"]["without"] == 1 and row["recall@1"]["with"] == 0
    # all 40 differences are -1: with 97.5 % confidence, other values of up to +1 have a share below 1 - .025 ** (1/40)
    high = -1 + 2 * (1 - 0.025 ** (1 / 40))
    assert row["recall@1"]["high"] == pytest.approx(high)
    result = {"metrics": ["recall@1"], "rows": [row], "recipe": "r.yaml", "machine": MACHINE}
    assert faults.markdown(result).splitlines()[2:4] == [
        "| markov | none | 1.0000 |",
        "| | `lost_tracks` | **-1.0000** [-1.0000, -0.8238] |",
    ]

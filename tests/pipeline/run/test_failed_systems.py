"""Tests that a system that fails leaves a reason in the tables, and that the other systems are unaffected."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import segue as api
from tests.command import segue
from toolkit import pipeline, run_directory
from toolkit.errors import LeakError, RunDirectoryError, SegueError
from toolkit.pipeline.programs.sweep_settings import sweep as api_sweep
from toolkit.pipeline.run import fit_systems
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.system_failures import reason
from toolkit.pipeline.run.systems import Material, System
from toolkit.recipe import load

DATA = "data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 150, fields: []}}"
REST = """\
evaluation: {split: {min_tracks: 5}, k: [5, 20], bootstrap: 20}
report: {examples: 1, example_length: 3, map: 0, similar: 0}
threads: 1
"""
GOOD = f"name: few\n{DATA}\nbaselines: [popularity, item-knn]\n{REST}"

BASE = """\
import numpy as np

from segue.plugin import Capabilities, Queries, Scorer, State, TrainingData
from toolkit.baselines.popularity import Popularity
from toolkit.errors import DataError, InputError, LeakError


class Mine(Popularity):
    name = "mine"
"""
FAULTS = {
    "fit": "    def learn(self, data): return data.missing_attribute",
    "score": "    def scorer(self, queries): return [][1]",
    "nan": "    def scorer(self, queries): return lambda items: np.full((len(queries), len(items)), np.nan)",
    "shape": "    def scorer(self, queries): return lambda items: np.zeros((len(queries), 1), np.float32)",
    "memory": "    def learn(self, data): raise MemoryError('cannot allocate 9 TB')",
    "input": "    def learn(self, data): raise InputError('mine requires 5 moons, but there are 2: add moons')",
    "load": "    def restore(self, directory, *, device): raise KeyError('lost')",
}
REASONS = {
    "fit": "an error inside mine_fit:Mine, AttributeError: 'TrainingData' object has no attribute 'missing_attribute'",
    "score": "an error inside mine_score:Mine, IndexError: list index out of range",
    "nan": "scores that are NaN: return -inf for tracks that cannot be ranked",
    "shape": "mine returned scores of shape",
    "memory": "out of memory: reduce batch_tokens, evaluation.memory_mb or the model sizes",
    "input": "mine requires 5 moons, but there are 2: add moons",
    "load": "mine is not a readable mine ranker ('lost'): delete the folder and fit the ranker again",
}


@pytest.fixture
def folder(tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder whose modules can be imported, with a cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path) -> Path:
    """Return a finished run without a failing system."""
    path = tmp_path_factory.mktemp("good")
    (path / "r.yaml").write_text(GOOD)
    pipeline.run(load(path / "r.yaml"), path / "run", cache=tiny_cache)
    return path / "run"


def write(folder: Path, module: str, body: str, *more: str, rest: str = REST) -> Path:
    """Write a ranker with `body` to a module, and a recipe with it and the systems in `more`."""
    (folder / f"{module}.py").write_text(f"{BASE}\n{body}\n")
    importlib.invalidate_caches()
    sys.modules.pop(module, None)
    systems = ", ".join(['"' + module + ':Mine"', "popularity", "item-knn", *more])
    (folder / "r.yaml").write_text(f"name: few\n{DATA}\nbaselines: [{systems}]\n{rest}")
    return folder / "r.yaml"


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def stages(run: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (run / run_directory.LOG).read_text().splitlines()]
    return [(line["stage"], line["state"]) for line in lines if line["event"] == "stage"]


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_system_leaves_its_reason_and_others_are_identical(fault: str, folder: Path, good: Path) -> None:
    module = f"mine_{fault}"
    recipe = write(folder, module, FAULTS[fault])
    found = segue("run", recipe, "--out", folder / "run")
    assert found.exit_code == 1, found.output
    run, line = folder / "run", f"segue: mine failed: {read(folder / 'run', 'table.json')[0]['failed']}"
    assert REASONS[fault] in line and line in found.stderr.splitlines()
    assert [row["system"] for row in read(run, "table.json") if "failed" in row] == ["mine"]
    assert "mine" in found.stdout and "failed" in found.stdout
    rows = {name: (run / name).read_bytes() for name in ("metrics.json", "comparisons.json")}
    assert all((good / name).read_bytes() == content for name, content in rows.items())
    assert [row["system"] for row in read(run, "model/systems.json")["systems"]] == [
        row["system"] for row in read(good, "model/systems.json")["systems"]
    ]
    assert "failed: " in (run / "report.html").read_text()
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["name"] for line in log if line["event"] == "failed" and "Traceback" in line["traceback"]] == ["mine"]
    assert segue("continue", run, "--tracks", "demo:track:1").exit_code == 0

    # the second run fits the corrected system alone, and finishes
    write(folder, module, "    pass")
    before = len(stages(run))
    again = segue("run", recipe, "--out", run)
    assert again.exit_code == 0, again.output
    states = Counter(state for name, state in stages(run)[before:] if "popularity" in name or "item-knn" in name)
    assert states == {"unchanged": 6}
    assert not [row for row in read(run, "table.json") if "failed" in row]
    values = [row for row in read(run, "metrics.json") if row["system"] != "mine"]
    assert values == read(good, "metrics.json")
    assert (run / "stages/finished.json").exists()


def test_same_command_tries_only_the_failed_system_again(folder: Path) -> None:
    recipe = write(folder, "mine_fit", FAULTS["fit"])
    assert segue("run", recipe, "--out", folder / "run").exit_code == 1
    before = len(stages(folder / "run"))
    assert segue("run", recipe, "--out", folder / "run").exit_code == 1
    states = {name: state for name, state in stages(folder / "run")[before:] if name.startswith(("fit-", "evaluate-"))}
    assert states.pop("fit-mine") == "started" and len(states) == 9 and set(states.values()) == {"unchanged"}


def test_failed_system_may_be_changed_or_removed_in_the_same_folder_and_others_not(folder: Path) -> None:
    recipe = write(folder, "mine_fit", FAULTS["fit"])
    assert segue("run", recipe, "--out", folder / "run").exit_code == 1
    text = recipe.read_text()
    recipe.write_text(text.replace("item-knn", "{name: item-knn, params: {shrink: 3.0}}"))
    refused = segue("run", recipe, "--out", folder / "run")
    assert refused.exit_code == 2 and "belongs to another recipe" in refused.stderr
    recipe.write_text(text.replace('"mine_fit:Mine", ', ""))
    assert segue("run", recipe, "--out", folder / "run").exit_code == 0
    assert [row["system"] for row in read(folder / "run", "table.json")] == ["popularity", "item-knn", "upper-bound"]


def test_system_over_a_failed_one_fails_with_its_name(folder: Path) -> None:
    two = "{name: two-stage, params: {rounds: 5}}"
    recipe = write(folder, "mine_fit", FAULTS["fit"], two)
    found = segue("run", recipe, "--out", folder / "run")
    assert found.exit_code == 1
    assert "segue: two-stage failed: uses mine, which failed: fix mine" in found.stderr
    named = two.replace("rounds: 5", "rounds: 5, systems: [popularity, item-knn]")
    recipe = write(folder, "mine_fit", FAULTS["fit"], named)
    assert "two-stage failed" not in segue("run", recipe, "--out", folder / "named").stderr


def test_failed_reference_gives_no_comparisons_and_a_note(folder: Path) -> None:
    rest = REST.replace("bootstrap: 20", "bootstrap: 20, reference: mine")
    recipe = write(folder, "mine_fit", FAULTS["fit"], rest=rest)
    found = segue("run", recipe, "--out", folder / "run")
    assert found.exit_code == 1 and read(folder / "run", "comparisons.json") == []
    assert "evaluation.reference='mine' failed: there are no comparisons with it" in found.stderr
    # by default the first remaining system is the reference
    assert segue("run", write(folder, "mine_fit", FAULTS["fit"]), "--out", folder / "default").exit_code == 1
    assert {row["reference"] for row in read(folder / "default", "comparisons.json")} == {"popularity"}


def test_run_without_a_remaining_system_raises_the_first_error(folder: Path) -> None:
    recipe = write(folder, "mine_input", FAULTS["input"])
    recipe.write_text(recipe.read_text().replace(", popularity, item-knn", ""))
    found = segue("run", recipe, "--out", folder / "run")
    assert found.exit_code == 2 and "segue: mine requires 5 moons" in found.stderr
    assert not (folder / "run" / "metrics.json").exists()


def test_failure_under_one_of_several_seeds_keeps_the_fits_of_the_others(folder: Path) -> None:
    body = """\
    def learn(self, data):
        type(self).fits = getattr(type(self), "fits", 0) + 1
        if self.fits == 2:
            raise RuntimeError("second seed")
        return super().learn(data)

    capabilities = Capabilities()
"""
    recipe = write(folder, "mine_seeds", body, rest=REST + "seeds: [0, 1]\n")
    assert segue("run", recipe, "--out", folder / "run").exit_code == 1
    assert "RuntimeError: second seed" in read(folder / "run", "table.json")[0]["failed"]
    before = len(stages(folder / "run"))
    assert segue("run", recipe, "--out", folder / "run").exit_code == 0
    later = stages(folder / "run")[before:]
    assert ("fit-mine", "unchanged") in later and ("fit-mine~seed1", "finished") in later


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("    def learn(self, data): raise LeakError('hidden tracks are in training')", LeakError),
        ("    def learn(self, data): raise OSError(28, 'No space left on device', '/x')", OSError),
        ("    def learn(self, data): raise KeyboardInterrupt", KeyboardInterrupt),
    ],
)
def test_leak_full_disk_and_interrupt_end_the_run(body: str, kind: type[BaseException], folder: Path) -> None:
    recipe = write(folder, "mine_ends", body)
    with pytest.raises(kind):
        pipeline.run(load(recipe), folder / "run")
    assert not (folder / "run" / "metrics.json").exists() and ("fit-popularity", "started") not in stages(
        folder / "run"
    )


def test_damaged_run_directory_ends_the_run(folder: Path, tiny_cache: Path) -> None:
    (folder / "r.yaml").write_text(GOOD)
    pipeline.run(load(folder / "r.yaml"), folder / "run")
    (folder / "run" / "stages" / "fit-popularity.json").write_text("{}")
    (folder / "run" / "stages" / "finished.json").unlink()
    with pytest.raises(RunDirectoryError, match="is damaged"):
        pipeline.run(load(folder / "r.yaml"), folder / "run")


def test_error_of_a_later_stage_is_raised_after_tables_and_report(folder: Path) -> None:
    body = """\
    capabilities = Capabilities(embeds=True)

    def item_vectors(self, items): raise ValueError("no map")
"""
    recipe = write(folder, "mine_map", body, rest=REST.replace("map: 0", "map: 10"))
    found = segue("run", recipe, "--out", folder / "run")
    assert found.exit_code == 1 and "an error inside mine_map:Mine, ValueError: no map" in found.stderr
    run = folder / "run"
    assert {row["system"] for row in read(run, "metrics.json")} == {"mine", "popularity", "item-knn", "upper-bound"}
    assert read(run, "map.json") == {} and (run / "report.html").exists()
    assert not (run / "stages/finished.json").exists()


def test_python_run_warns_and_lists_failed_systems(folder: Path) -> None:
    recipe = write(folder, "mine_fit", FAULTS["fit"])
    with pytest.warns(UserWarning, match="mine failed: an error inside mine_fit:Mine, AttributeError"):
        run = api.run(recipe, folder / "run")
    assert list(run.failed) == ["mine"] and repr(run).endswith(", failed: mine>")
    assert "failed: an error inside" in run.to_markdown() and "mine" not in set(run.metrics["system"])


def test_reason_is_one_line_with_the_place_of_the_error() -> None:
    assert reason(SegueError("two\nlines")) == "two lines"
    assert reason(ValueError("a\nb")) == "an error inside segue, ValueError: a b (the traceback is in log.jsonl)"


FOLDS = REST.replace("min_tracks: 5", "min_tracks: 5, by: hash, folds: 3, test_fold: all")
IN_ONE_FOLD = """\
    def learn(self, data):
        if {condition}:
            raise InputError("mine requires another fold: set folds")
        return super().learn(data)
"""


def test_system_that_fails_in_one_fold_has_a_pooled_row_with_its_name(folder: Path) -> None:
    recipe = write(folder, "mine_folds", "    pass", rest=FOLDS)
    whole = pipeline.run(load(recipe), folder / "whole")
    # a fold is known by its training playlists
    data = api.read_playlists(None, reader="demo", tracks=200, artists=40, playlists=150, fields=[])
    rows = data.split(min_tracks=5, by="hash", folds=3, test_fold=1).train.playlists.rows
    write(folder, "mine_folds", IN_ONE_FOLD.format(condition=f"data.train.rows.sum() == {rows.sum()}"), rest=FOLDS)
    found = segue("run", recipe, "--out", folder / "run")
    assert found.exit_code == 1, found.output
    run = folder / "run"
    failed = {row["system"]: row["failed"] for row in read(run, "table.json") if "failed" in row}
    assert failed == {"mine": "fold-1: mine requires another fold: set folds"}
    others = [row for row in whole.metrics if row["system"] != "mine"]
    assert read(run, "metrics.json") == others
    assert {row["system"] for row in read(run, "comparisons.json")} == {"item-knn", "upper-bound"}
    assert (run / "fold-2" / "stages/finished.json").exists() and not (run / "stages/finished.json").exists()
    before = len(stages(run / "fold-0"))

    write(folder, "mine_folds", "    pass", rest=FOLDS)
    assert segue("run", recipe, "--out", run).exit_code == 0
    assert read(run, "metrics.json") == whole.metrics
    assert all(state == "unchanged" for name, state in stages(run / "fold-0")[before:] if "item-knn" in name)


def test_bench_keeps_other_baselines_and_settings(folder: Path) -> None:
    grid = """\
    from toolkit.baselines.item_knn import ItemKNNParams as Params
    grid = {"shrink": [0.0, 1.0, 2.0]}

    def learn(self, data):
        if {condition}:
            raise ValueError("unlucky")
        return super().learn(data)
"""
    recipe = write(folder, "mine_bench", grid.replace("{condition}", "self.params.shrink == 1.0"))
    recipe.write_text(GOOD)
    args = ["bench", recipe, "--out", folder / "bench", "--save", folder / "table.json", "--baselines"]
    args += ["popularity,item-knn,mine_bench:Mine", "--budget", "3"]
    found = segue(*args)
    assert found.exit_code == 0, found.output
    row = next(row for row in read(folder, "table.json")["rows"] if row["system"] == "mine")
    tried = {one["params"].get("shrink"): one["value"] for one in row["tried"]}
    assert tried[1.0] is None and tried[2.0] > 0 and row["params"] != {"shrink": 1.0}
    assert "mine {'shrink': 1.0} failed: an error inside mine_bench:Mine, ValueError: unlucky" in found.stderr

    write(folder, "mine_bench", grid.replace("{condition}", "True"))
    recipe.write_text(GOOD)
    args[3] = folder / "all"
    found = segue(*args)
    assert found.exit_code == 1 and "segue: mine failed: an error inside mine_bench:Mine" in found.stderr
    table = read(folder, "table.json")
    assert {row["system"] for row in table["rows"]} == {"popularity", "item-knn", "upper-bound"}
    assert list(table["failed"]) == ["mine"]
    # the corrected baseline is tuned in the same folder, where another setting is best
    write(folder, "mine_bench", grid.replace("{condition}", "self.params.shrink == 0.0"))
    recipe.write_text(GOOD)
    assert segue(*args).exit_code == 0
    assert {row["system"] for row in read(folder, "table.json")["rows"]} >= {"mine", "popularity"}


def test_sweep_keeps_other_trials(folder: Path) -> None:
    body = """\
    from toolkit.baselines.item_knn import ItemKNNParams as Params

    def learn(self, data):
        if {condition}:
            raise ValueError("unlucky")
        return super().learn(data)
"""
    over = "sweep: {system: mine, select: recall@20, over: {baselines.0.params.shrink: [1.0, 2.0]}}\n"
    recipe = write(folder, "mine_sweep", body.replace("{condition}", "self.params.shrink == 1.0"), rest=REST + over)
    text = recipe.read_text().replace('"mine_sweep:Mine"', '{name: "mine_sweep:Mine", params: {shrink: 0.5}}')
    recipe.write_text(text)
    found = segue("sweep", recipe, "--out", folder / "out")
    assert found.exit_code == 1, found.output
    table = read(folder / "out", "sweep.json")
    assert [row["value"] is None for row in table["trials"]] == [True, False] and table["best"] == 2
    assert "segue: trial 1 failed: an error inside mine_sweep:Mine, ValueError: unlucky" in found.stderr
    assert "failed" in found.stdout and "shrink: 2.0" in (folder / "out" / "best.yaml").read_text()
    write(folder, "mine_sweep", body.replace("{condition}", "True"), rest=REST + over).write_text(text)
    with pytest.raises(ValueError, match="unlucky"):
        api_sweep(load(recipe), folder / "none")


def test_reproduction_of_a_run_with_a_failed_system_exits_with_1(folder: Path) -> None:
    recipe = write(folder, "mine_fit", FAULTS["fit"])
    assert segue("run", recipe, "--out", folder / "run").exit_code == 1
    found = segue("reproduce", folder / "run")
    assert found.exit_code == 1 and "metrics.json is identical to the byte" in found.stdout
    assert "segue: mine failed: an error inside mine_fit:Mine" in found.stderr


def test_failed_attribution_of_a_model_keeps_tables_and_other_models(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""\
name: attributed
{DATA.replace("fields: []", "fields: [audio_features]")}
encoders: {{audio: {{encoder: features, field: audio_features}}}}
models:
  - &one {{type: sasrec, name: one, epochs: 1, hidden_size: 16, select: recall@20}}
  - {{<<: *one, name: two, lr: 0.01}}
{REST.replace("bootstrap: 20", "bootstrap: 20, attribution: true")}
"""
    (folder / "r.yaml").write_text(text)
    whole = fit_systems.fit

    def fit(context: Context, system: System, material: Material) -> fit_systems.Fit:
        if system.name == "one~audio":
            raise ValueError("variant")
        return whole(context, system, material)

    monkeypatch.setattr(fit_systems, "fit", fit)
    found = segue("run", folder / "r.yaml", "--out", folder / "run")
    assert found.exit_code == 1 and "ValueError: variant" in found.stderr
    run = folder / "run"
    assert {row["system"] for row in read(run, "attribution.json")["differences"]} == {"two"}
    assert {"one", "two"} <= {row["system"] for row in read(run, "metrics.json")} and (run / "report.html").exists()

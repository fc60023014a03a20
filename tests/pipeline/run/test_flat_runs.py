"""Tests of runs and recipes that were written with the old flat keys."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.command import segue
from tests.recipe_file import write
from toolkit import run_directory
from toolkit.errors import OldForm
from toolkit.files import digest
from toolkit.recipe import load, resolved_recipes

FLAT = Path(__file__).parents[2] / "fixtures" / "flat_run"
"""A recipe with flat keys, `small.yaml`, and what the version before resolved it to, `recipe.yaml`."""
MARKER = f"{run_directory.STAGES}/finished.json"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a finished run with a recipe and a completion marker that use flat keys."""
    folder = tmp_path_factory.mktemp("flat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(folder / "cache"))
        found = segue("run", FLAT / "small.yaml", "--out", folder / "run")
        assert found.exit_code == 0, found.output
        shutil.copy(FLAT / run_directory.RECIPE, folder / "run" / run_directory.RECIPE)
        marker = folder / "run" / MARKER
        flat = YAML(typ="safe", pure=True).load((FLAT / run_directory.RECIPE).read_text())
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "inputs": digest(flat)}))
        yield folder / "run"


@pytest.fixture
def flat_run(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the flat run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_stored_flat_recipe_converts_to_the_current_form() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldForm)
        today = load(FLAT / "small.yaml").model_dump(mode="json")
    with warnings.catch_warnings():
        warnings.simplefilter("error", OldForm)
        assert resolved_recipes.current_form(run_directory.read_recipe(FLAT)) == today


def test_current_form_returns_an_invalid_recipe_unchanged() -> None:
    assert resolved_recipes.current_form({"name": "x", "models": [{"type": "gone"}]}) == {
        "name": "x",
        "models": [{"type": "gone"}],
    }


def test_flat_recipe_reuses_the_finished_run(flat_run: Path) -> None:
    before = {
        path: path.read_bytes() for path in flat_run.rglob("*") if path.is_file() and path.name != run_directory.LOCK
    }
    found = segue("run", FLAT / "small.yaml", "--out", flat_run)
    assert found.exit_code == 0, found.output
    assert {
        path: path.read_bytes() for path in flat_run.rglob("*") if path.is_file() and path.name != run_directory.LOCK
    } == before


def test_recipe_in_the_current_form_reuses_the_finished_flat_run(flat_run: Path, tmp_path: Path) -> None:
    flat = (
        "loss: gbce, negatives: 16, gbce_t: 0.5",
        "missing: em, em_rank: 4",
        "protocol: playlist_disjoint, min_tracks: 5, shown: 0.6,",
    )
    today = (
        "loss: {type: gbce, negatives: 16, t: 0.5}",
        "missing: {type: em, rank: 4}",
        "split: {min_tracks: 5, shown: 0.6},",
    )
    text = (FLAT / "small.yaml").read_text()
    for old, new in zip(flat, today, strict=True):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "small.yaml").write_text(text)
    metrics = (flat_run / run_directory.METRICS).stat().st_mtime_ns
    found = segue("run", tmp_path / "small.yaml", "--out", flat_run)
    assert (
        found.exit_code == 0
        and "old form" not in found.stderr
        and (flat_run / run_directory.METRICS).stat().st_mtime_ns == metrics
    )


def test_fresh_run_in_a_flat_folder_has_the_same_metrics(flat_run: Path) -> None:
    metrics = (flat_run / run_directory.METRICS).read_bytes()
    found = segue("run", FLAT / "small.yaml", "--out", flat_run, "--fresh")
    assert found.exit_code == 0, found.output
    assert (flat_run / run_directory.METRICS).read_bytes() == metrics
    assert run_directory.read_recipe(flat_run)["models"][0]["loss"]["type"] == "gbce"
    again = segue("reproduce", flat_run, "--out", flat_run / "again")
    assert again.output.endswith("is reproduced: metrics.json is identical to the byte\n")


def test_different_recipe_in_a_flat_folder_raises_with_the_changed_value(flat_run: Path) -> None:
    found = segue("run", FLAT / "small.yaml", "--out", flat_run, "--set", "defaults.gbce_t=0.25")
    assert found.exit_code == 2
    assert found.stderr.endswith(
        "belongs to another recipe (defaults.gbce_t was 0.5, is 0.25): set a different --out, or delete the folder\n"
    )


def test_commands_read_a_flat_run_without_warnings(flat_run: Path, tmp_path: Path) -> None:
    today = Path(shutil.copytree(flat_run, tmp_path / "today"))
    (today / run_directory.RECIPE).write_bytes(
        resolved_recipes.to_yaml(resolved_recipes.current_form(run_directory.read_recipe(flat_run)))
    )
    listed = segue(
        "continue", flat_run, "--tracks", "demo:track:7", "-k", "3", "--system", "sasrec-multimodal", "--format", "json"
    )
    assert len(json.loads(listed.stdout)) == 3 and listed.stderr == ""
    assert segue("report", flat_run).stderr == ""
    compared = segue("compare", flat_run, today)
    assert compared.stdout.startswith("recipe: no difference\n") and compared.stderr == ""
    again = segue("reproduce", flat_run, "--out", tmp_path / "again")
    assert (
        again.stdout.endswith("is reproduced: metrics.json is identical to the byte\n")
        and "old form" not in again.stderr
    )
    elsewhere = segue("validate", flat_run / run_directory.RECIPE)
    assert elsewhere.exit_code == 0 and elsewhere.stderr == ""


OLD = """\
data: {reader: demo}
evaluation:
  shown: 0.5
defaults:
  loss: gbce
  gbce_t: 0.5
models:
  - {type: sasrec, name: a}
  - {type: sasrec, name: b}
  - {type: sasrec, name: c, gbce_t: 0.25}
fusion: {missing: em, em_rank: 4}
"""


def test_warnings_show_each_old_form_once_with_line_number(tmp_path: Path) -> None:
    path = write(tmp_path, OLD)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(path, parameters=True)
    assert [str(one.message) for one in caught if one.category is OldForm] == [
        f"{path}:6: `gbce_t: 0.5` is the old form: write `loss: {{type: gbce, t: 0.5}}`",
        f"{path}:10: `gbce_t: 0.25` is the old form: write `loss: {{type: gbce, t: 0.25}}`",
        f"{path}:11: `missing: em, em_rank: 4` is the old form: write `missing: {{type: em, rank: 4}}`",
        f"{path}:2: `evaluation: {{shown: 0.5}}` is the old form: write `evaluation: {{split: {{shown: 0.5}}}}`",
    ]


def test_run_command_prints_each_old_form_once(tmp_path: Path) -> None:
    found = segue("validate", write(tmp_path, OLD))
    assert (
        found.exit_code == 0 and found.stderr.count("gbce_t: 0.5") == 1 and found.stderr.count("is the old form") == 4
    )

"""Tests of the loss and the model in docs/models.md: contracts, and use in a recipe by module and by entry point."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.command import segue
from toolkit import plugins
from toolkit.errors import InputError, RecipeError
from toolkit.recipe import Recipe, load

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the page's files to the current folder."""
    for block in blocks("python"):
        if found := re.match(r"# (my_\w+\.py)\n", block):
            (tmp_path / found[1]).write_text(block, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    for name in ("my_loss", "my_model"):
        sys.modules.pop(name, None)
    plugins.points.cache_clear()


def test_models_page_examples_pass_conformance_suites(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    names: dict[str, object] = {}
    exec("from my_loss import BPR\nfrom my_model import DecayedMean\n", names)
    own = [block for block in blocks("python") if not block.startswith("# my_")]
    exec("\n".join(own), names)
    names["test_contracts"]()  # type: ignore[operator]
    spec = names["model"].spec  # type: ignore[attr-defined]
    recipe = Recipe(data={"reader": "demo"}, models=[spec], baselines=[])  # type: ignore[arg-type]
    assert recipe.models[0].type == "my_model:DecayedMean"
    assert recipe.models[0].loss.type == "my_loss:BPR"
    assert Recipe.model_validate(recipe.model_dump(mode="json")).models == recipe.models


def test_recipe_runs_models_page_examples_as_module_class(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(folder / "cache"))
    done = segue("run", "recipe.yaml", "--out", "run", "--set", "report.map=0", "--set", "threads=1")
    assert done.exit_code == 0, done.output
    systems = {row["system"] for row in json.loads((folder / "run" / "metrics.json").read_text())}
    assert {"DecayedMean-multimodal", "sasrec-bpr"} <= systems
    curves = json.loads((folder / "run" / "curves.json").read_text())
    for name in ("DecayedMean-multimodal", "sasrec-bpr"):
        assert curves[name][-1]["loss"] < curves[name][0]["loss"]


def test_models_page_entry_points_are_correct(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = folder / "my_ideas-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-ideas\nVersion: 1.0\n")
    lines = blocks("toml")[0].replace('project.entry-points."', "").replace('"]', "]").replace('"', "")
    (about / "entry_points.txt").write_text(lines)
    monkeypatch.syspath_prepend(folder)
    plugins.points.cache_clear()
    text = (
        (folder / "recipe.yaml")
        .read_text()
        .replace('"my_model:DecayedMean"', "decayed-mean")
        .replace('"my_loss:BPR"', "bpr")
    )
    (folder / "named.yaml").write_text(text)
    recipe = load(folder / "named.yaml")
    assert [model.type for model in recipe.models] == ["decayed-mean", "sasrec"]
    assert recipe.models[0].system_name(recipe.fusion, recipe.encoders) == "decayed-mean-multimodal"
    with pytest.raises(RecipeError, match=r"half_life=4 can be set only with `type: decayed-mean`, not `sasrec`"):
        load(folder / "named.yaml", ["models.1.half_life=4"])


def test_missing_module_raises_one_line_error(folder: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"'my_modell:DecayedMean' requires a module that cannot be found: .* in the folder with my_modell.py",
    ):
        load(folder / "recipe.yaml", ["models.0.type=my_modell:DecayedMean"])

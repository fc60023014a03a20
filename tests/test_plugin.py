"""A stranger's encoder: a package of its own, installed by pip, found by the toolkit, run by a recipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the example package."""
    folder = tmp_path_factory.mktemp("plugin")
    # a copy: setuptools builds beside the sources
    package = shutil.copytree(ROOT / "tests" / "plugin_example", folder / "package")
    # segue and its dependencies are here already, and so is what builds a package
    quietly = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", "install", *quietly, "--target", folder / "site", package], check=True, timeout=120)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)])}


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_with_its_package(installed: dict[str, str]) -> None:
    rows = {row["name"]: row for row in json.loads(run(installed, "-m", "toolkit", "encoders", "--json"))}
    found = rows["hashed-words"]
    assert found["package"] == "segue-hashed-words" and found["dim"] == 64 and not found["error"]
    assert rows["tfidf"]["package"] == "segue"


def test_it_keeps_the_contract(installed: dict[str, str]) -> None:
    check = """
from segue_hashed_words import HashedWordsEncoder
from toolkit.encoders.checks import check_encoder
check_encoder(HashedWordsEncoder, ["one", "two words", "three small words", "", "two words more"], {"dim": 8})
"""
    run(installed, "-c", check)


def test_a_recipe_names_it_like_any_other(installed: dict[str, str], tmp_path: Path) -> None:
    recipe = tmp_path / "plugin.yaml"
    recipe.write_text(
        "data: {reader: demo, options: {playlists: 300}}\n"
        "encoders: {words: {encoder: hashed-words, field: lyrics, params: {dim: 32}}}\n"
        "models: [{type: sasrec, epochs: 1, hidden_size: 16}]\n"
        "baselines: [content-centroid]\n"
        "evaluation: {bootstrap: 10, k: [20, 50]}\n"
    )
    out = tmp_path / "run"
    run(installed, "-m", "toolkit", "run", str(recipe), "--out", str(out))
    systems = {row["system"] for row in json.loads((out / "metrics.json").read_text())}
    assert "sasrec-multimodal" in systems
    wrong = recipe.with_name("wrong.yaml")
    wrong.write_text(recipe.read_text().replace("dim: 32", "size: 32"))
    done = subprocess.run(
        [sys.executable, "-m", "toolkit", "validate", str(wrong)], env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "encoders.words.params.size is not a key: known here: dim" in done.stdout + done.stderr

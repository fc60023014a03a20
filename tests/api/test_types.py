"""Tests of types in user scripts: misspelt parameters are errors, and segue does not return Any."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from segue import type_stubs

ROOT = Path(__file__).parents[2]

SCRIPT = """\
import numpy as np
import segue

data = segue.read_playlists("playlists.csv", fields={"lyrics": "lyrics"})
split = data.split("playlist_disjoint", folds=5)
lyrics = segue.encode(data, "lyrics", encoder="sentence-bert", fit_on=split.train)
mine = segue.vectors("mine", ["a"], np.zeros((1, 2)))
model = segue.SASRec(modalities=[lyrics, mine], join="gated", loss=segue.losses.GBCE(negatives=256), epochs=12, seed=0)
result = segue.evaluate(model, split.test, metrics=["recall@20"])
run = segue.run("recipe.yaml")
reveal_type(data)
reveal_type(data.tracks())
reveal_type(data.hash)
reveal_type(segue.from_dataframe(data.placements()))
reveal_type(split)
reveal_type(split.train)
reveal_type(split.test.hidden())
reveal_type(lyrics)
reveal_type(mine)
reveal_type(mine.to_frame())
reveal_type(model)
reveal_type(model.fit(split.train, valid=split.valid))
reveal_type(model.continue_playlist(["a"], k=3))
reveal_type(model.item_vectors())
reveal_type(segue.EASE(regularisation=3.0).fit(split.train))
reveal_type(segue.ranker("item-knn"))
reveal_type(result)
reveal_type(result.to_frame())
reveal_type(result.per_playlist())
reveal_type(result.rankings())
reveal_type(segue.compare(result, result))
reveal_type(segue.load("my-model"))
reveal_type(run)
reveal_type(run.metrics)
reveal_type(run.comparisons)
reveal_type(run.coverage)
reveal_type(run.model())
"""

WRONG = """\
import segue

segue.EASE(lamda=1)
segue.EASE(regularisation="much")
segue.SASRec(epcohs=3)
segue.losses.GBCE(negativs=256)
segue.ItemKNN(modalities=[])
"""


def mypy(path: Path) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        str(path),
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()


@pytest.mark.slow
def test_user_script_passes_mypy_strict(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    lines = [line for line in mypy(tmp_path / "script.py") if "script.py" in line]
    revealed = re.findall(r'Revealed type is "(.*)"', "\n".join(lines))
    assert len(revealed) == SCRIPT.count("reveal_type(") and not [line for line in lines if "error" in line]
    assert not [kind for kind in revealed if re.search(r"\bAny\b", kind)]


@pytest.mark.slow
def test_misspelt_parameter_is_type_error(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    errors = [line for line in mypy(tmp_path / "wrong.py") if "wrong.py" in line and "error" in line]
    faults = {int(line.split(":")[1]) for line in errors}
    assert faults == {3, 4, 5, 6, 7}, errors


def test_rankers_stub_is_up_to_date() -> None:
    assert (ROOT / "segue" / "rankers.pyi").read_text(encoding="utf-8") == type_stubs.stub(), (
        "run: python -m segue.type_stubs"
    )

"""Tests of the example package's parts in a single file of the current folder, in a recipe and in Python."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import segue as api
from tests.command import segue
from tests.example_parts import EXAMPLE, PARTS, part, renamed
from toolkit import run_directory
from toolkit.errors import InputError


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def ideas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the current folder with `my_ideas.py`, a recipe that uses its classes, and data."""
    folder, before = tmp_path_factory.mktemp("ideas"), Path.cwd()
    files = sorted((EXAMPLE / "src" / "segue_example").glob("[a-z]*.py"))
    (folder / "my_ideas.py").write_text("\n".join(path.read_text() for path in files))
    (folder / "playlists.mixtape").write_bytes((EXAMPLE / "playlists.mixtape").read_bytes())
    (folder / "recipe.yaml").write_text(renamed((EXAMPLE / "recipe.yaml").read_text(), "my_ideas"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(folder / "cache"))
        os.chdir(folder)
        yield folder
    os.chdir(before)
    forget()


@pytest.fixture(scope="module")
def run(ideas: Path) -> Path:
    done = segue("run", "recipe.yaml", "--out", "run")
    assert done.exit_code == 0, done.output
    return ideas / "run"


def test_recipe_accepts_all_kinds_of_parts_as_module_class(ideas: Path) -> None:
    text = (ideas / "recipe.yaml").read_text()
    assert set(re.findall(r"my_ideas:(\w+)", text)) == {cls for kind, (_, cls) in PARTS.items() if kind != "sources"}
    assert segue("validate", "recipe.yaml").exit_code == 0
    wrong = segue("validate", "recipe.yaml", "--set", "models.0.loss.gama=2")
    assert wrong.exit_code == 2 and "models.0.loss.gama is not a key: did you mean gamma?" in wrong.output


def test_recipe_with_module_classes_runs_and_reports_labels(run: Path) -> None:
    rows = [
        row
        for row in json.loads((run / run_directory.METRICS).read_text())
        if row["split"] == "test" and row["slice"] == "all"
    ]
    assert {row["system"] for row in rows} == {"gated-conv", "popularity", "follows"}
    assert "MRR@5" in (run / run_directory.REPORT).read_text()
    systems = {row["system"]: row["ranker"] for row in json.loads((run / run_directory.SYSTEMS).read_text())["systems"]}
    assert systems == {"gated-conv": "sequential", "popularity": "popularity", "follows": "my_ideas:Follows"}


def test_run_with_module_classes_loads_in_same_folder(run: Path) -> None:
    for system in ("gated-conv", "follows"):
        assert len(api.load("run", system).continue_playlist(["local:t01", "local:t04"], k=3)) == 3
        done = segue("continue", "run", "--system", system, "--tracks", "local:t01", "-k", "3", "--format", "csv")
        assert done.exit_code == 0 and done.stdout.count("local:") == 3, done.output


@pytest.fixture
def elsewhere(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the run as seen from another folder by a process that has not imported `my_ideas`."""
    monkeypatch.chdir(tmp_path)
    forget()
    yield run
    forget()


def test_missing_module_in_another_folder_raises_one_line_error(elsewhere: Path) -> None:
    for system, cls in {"gated-conv": "GatedConv", "follows": "Follows"}.items():
        message = rf"'my_ideas:{cls}' requires a module that cannot be found: run segue in the folder with my_ideas\.py"
        with pytest.raises(api.InputError, match=message):
            api.load(elsewhere, system)
        done = segue("continue", elsewhere, "--system", system, "--tracks", "local:t01")
        assert done.exit_code == 2 and re.search(message, done.output) and done.output.count("\n") == 1
    assert segue("continue", elsewhere, "--system", "popularity", "--tracks", "local:t01").exit_code == 0
    assert segue("report", elsewhere).exit_code == 0


def test_edited_module_invalidates_caches(run: Path, ideas: Path) -> None:
    before, file = (run / run_directory.METRICS).read_bytes(), ideas / "my_ideas.py"
    text = file.read_text()
    assert (
        segue("run", "recipe.yaml", "--out", "run").exit_code == 0
        and (run / run_directory.METRICS).read_bytes() == before
    )
    changes = [
        ("tracks.split()], title", "tracks.split()[::-1]], title"),
        ("text.lower().split()", "text.lower().split()[:1]"),
    ]
    seen = {before}
    for old, new in changes:  # the reader's lists, then the encoder's words
        assert old in text
        forget()
        file.write_text(text.replace(old, new))
        assert segue("run", "recipe.yaml", "--out", "run").exit_code == 0
        seen.add((run / run_directory.METRICS).read_bytes())
    assert len(seen) == 3
    forget()
    file.write_text(text)
    assert segue("run", "recipe.yaml", "--out", "run").exit_code == 0
    assert (run / run_directory.METRICS).read_bytes() == before


@pytest.mark.usefixtures("ideas")
def test_python_accepts_parts_as_path_class_and_object(ideas: Path) -> None:
    data = api.read_playlists("playlists.mixtape", reader="my_ideas:MixtapeReader", train_allowed=True)
    split = data.split("my_ideas:FileOrder", share=0.15)
    own = {kind: part(kind, "my_ideas") for kind in PARTS}
    same = data.split(own["protocols"](share=0.15))
    assert (len(split.train), len(split.test)) == (len(same.train), len(same.test)) == (50, 10)
    words = api.encode(data, "words", "my_ideas:HashedWordsEncoder", dim=16)
    assert np.array_equal(words.matrix, api.encode(data, "words", own["encoders"], dim=16).matrix)

    objects = {"loss": own["losses"](gamma=2.0), "join": own["joins"](), "missing": own["missing"]()}
    names = {
        "loss": {"type": "my_ideas:Focal", "gamma": 2.0},
        "join": "my_ideas:Pairwise",
        "missing": "my_ideas:Median",
    }
    settings = {"modalities": [words], "epochs": 2, "hidden_size": 16, "name": "mine"}
    models = [api.ranker("my_ideas:GatedConv", width=3, **settings, **each) for each in (objects, names)]
    models.append(api.ranker(own["models"], width=3, **settings, **objects))
    metrics = ["recall@5", "my_ideas:ReciprocalRank@5"]
    values = [api.evaluate(model.fit(split.train, split.valid), split.test, metrics).to_frame() for model in models]
    assert set(values[0]["metric"]) == {"recall", "my_ideas:ReciprocalRank"}
    assert values[0].equals(values[1]) and values[0].equals(values[2])

    follows = api.ranker("my_ideas:Follows", reach=2).fit(split.train)
    assert follows.name == "follows" and api.ranker(own["rankers"], reach=2).fit(split.train).rank(
        [["local:t01"]]
    ).equals(follows.rank([["local:t01"]]))
    for model in (models[0], follows):
        model.save(ideas / "saved" / model.name)
        again = api.load(Path("saved", model.name))
        assert again.continue_playlist(["local:t01"], k=3).equals(model.continue_playlist(["local:t01"], k=3))


@pytest.mark.usefixtures("ideas")
def test_wrong_part_in_python_raises_with_key_and_cure() -> None:
    focal, pairwise = part("losses", "my_ideas"), part("joins", "my_ideas")
    for keys, message in [
        ({"join": focal()}, "join must be a join, an instance of segue.plugin.Join, not Focal"),
        ({"loss": pairwise()}, "loss must be a loss, an instance of segue.plugin.Loss, not Pairwise"),
        ({"loss": focal}, r"loss must be an object, not a class: write Focal\(\)"),
        ({"loss": "focl"}, "loss='focl' is not a loss: use one of chunked"),
        ({"loss": {"type": "my_ideas:Focal", "gama": 3}}, "loss.gama is not a key: did you mean gamma"),
        ({"loss": "my_ideas:Focals"}, "'my_ideas:Focals' is not defined in module my_ideas"),
        ({"loss": "my_ideas:Median"}, "'my_ideas:Median' is not a subclass of segue.plugin.Loss"),
    ]:
        with pytest.raises(api.InputError, match=message):
            api.SASRec(**keys)
    with pytest.raises(api.InputError, match="must be a subclass of segue.plugin.Ranker or of segue.plugin.ModelSpec"):
        api.ranker("my_ideas:Focal")
    with pytest.raises(api.InputError, match="'eas' is neither a ranker nor a model: did you mean 'ease'"):
        api.ranker("eas")
    data = api.read_playlists("playlists.mixtape", reader="my_ideas:MixtapeReader", train_allowed=True)
    split = data.split("my_ideas:FileOrder")
    follows = api.ranker("my_ideas:Follows").fit(split.train)
    with pytest.raises(api.InputError, match="requires a cutoff: write my_ideas:ReciprocalRank@20"):
        api.evaluate(follows, split.test, ["my_ideas:ReciprocalRank"])
    with pytest.raises(api.InputError, match="a class as 'module:Class@20'"):
        api.evaluate(follows, split.test, [part("metrics", "my_ideas")])
    with pytest.raises(
        api.InputError, match=r"share cannot be set next to a protocol object: pass them to FileOrder\(…\)"
    ):
        data.split(part("protocols", "my_ideas")(), share=0.3)


def test_wrong_part_parameter_in_python_raises_one_line_error() -> None:
    with pytest.raises(InputError) as error:
        api.losses.GBCE(negs=1)  # type: ignore[call-arg]
    assert str(error.value) == "GBCE: negs is not a key: did you mean negatives?"

"""Tests of errors in the Python API, which must contain value and cure in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.plugin import Block, Loss, Metric, Scores, Training
from toolkit.errors import InputError, LeakError, RunDirectoryError, SegueError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> segue.Playlists:
    folder = tmp_path_factory.mktemp("cache")
    return segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=300, cache=folder)


@pytest.fixture(scope="module")
def split(data: segue.Playlists) -> segue.Split:
    return data.split("playlist_disjoint", by="hash", folds=5, test_fold=0)


@pytest.fixture(scope="module")
def model(split: segue.Split) -> segue.Model:
    return segue.Popularity().fit(split.train)


def test_evaluate_on_training_playlists_raises_leak_error(data: segue.Playlists, model: segue.Model) -> None:
    with pytest.raises(LeakError, match="the model was fitted to hidden tracks of .*: use parts of one split"):
        segue.evaluate(model, data.split("playlist_disjoint", by="hash", folds=5, test_fold=1).test)


def test_identical_splits_do_not_raise_leak_error(
    data: segue.Playlists, model: segue.Model, split: segue.Split
) -> None:
    again = segue.evaluate(model, data.split("playlist_disjoint", by="hash", folds=5, test_fold=0).test)
    assert again.to_frame().equals(segue.evaluate(model, split.test).to_frame())
    segue.compare(again, segue.evaluate(segue.Popularity(name="twin").fit(split.train), split.test))


def test_fit_with_test_playlists_for_validation_raises(split: segue.Split) -> None:
    with pytest.raises(
        LeakError, match=r"valid=split.test would select the model on the test playlists: pass split.valid"
    ):
        segue.Popularity().fit(split.train, split.test)


def test_split_parts_of_different_data_raise(split: segue.Split, model: segue.Model, tmp_path: Path) -> None:
    other = segue.read_playlists(None, reader="demo", tracks=310, artists=40, playlists=300, cache=tmp_path)
    with pytest.raises(InputError, match="from splits of the same data"):
        segue.Popularity().fit(split.train, other.split().valid)
    with pytest.raises(InputError, match="must be fitted to the catalogue of the playlists"):
        segue.evaluate(model, other.split().test)
    with pytest.raises(InputError, match="fit_on must be from a split of the same data"):
        segue.encode(other, "lyrics", encoder="tfidf", fit_on=split.train)


def test_compare_results_on_different_playlists_raises(
    data: segue.Playlists, split: segue.Split, model: segue.Model
) -> None:
    shorter = data.split("playlist_disjoint", by="hash", folds=5, test_fold=0, shown=0.3)
    other = segue.evaluate(segue.Popularity(name="other").fit(shorter.train), shorter.test)
    with pytest.raises(InputError, match="compare requires results on the same playlists"):
        segue.compare(segue.evaluate(model, split.test), other)
    with pytest.raises(InputError, match="requires results, not models"):
        segue.compare(segue.evaluate(model, split.test), model)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, split: segue.evaluate(model, split), "held_out must be held-out playlists, not Split"),
        (lambda model, split: segue.evaluate([model], split.test), "model must be a fitted model, not list"),
        (
            lambda model, split: segue.evaluate(model, split.test, metrics="ndcg@20"),
            r"such as \['recall@20', 'ndcg@20'\]",
        ),
        (lambda model, split: segue.evaluate(model, split.test, metrics=[]), "must be a list of names"),
        (
            lambda model, split: segue.evaluate(model, split.test, rankings=-1),
            "rankings=-1 must be an integer >= 0",
        ),
        (lambda model, split: segue.Popularity().fit(split), "train must be split.train, not Split"),
        (
            lambda model, split: model.continue_playlist("demo:track:1"),
            r"must be a list of track ids: pass \['demo:track:1'\]",
        ),
        (lambda model, split: model.continue_playlist(["demo:track:1"], k=0), "k=0 must be an integer >= 1"),
        (lambda model, split: model.rank([["demo:track:1"]], titles=[]), "0 titles must match 1 playlists"),
        (lambda model, split: segue.Popularity(seed=-1), "seed=-1 must be an integer >= 0"),
        (lambda model, split: segue.Popularity(name="../up"), "'../up' must consist of letters"),
        (lambda model, split: segue.SASRec(type="bert4rec"), "type='bert4rec' cannot be set"),
        (
            lambda model, split: segue.SASRec(modalities=["lyrics"]),
            "must be a list of segue.Modality",
        ),
    ],
)
def test_invalid_arguments_raise_one_line_errors(
    model: segue.Model, split: segue.Split, call: Callable[..., Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call(model, split)
    assert "\n" not in str(caught.value)


def test_duplicate_modality_names_raise() -> None:
    ids = ["demo:track:1", "demo:track:2"]
    one = segue.vectors("mine", ids, np.ones((2, 4), np.float32))
    with pytest.raises(InputError, match="modality names must be unique, but 'mine' is used twice"):
        segue.SASRec(modalities=[one, one])


def test_rank_warns_about_playlists_without_known_tracks(model: segue.Model) -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 playlists have no tracks of the catalogue, such as playlists\[1\]"):
        found = model.rank([["demo:track:1"], ["no such"]], k=3)
    assert set(found["playlist"]) <= {0, 1}


def test_save_to_existing_folder_raises(model: segue.Model, tiny_run: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    with pytest.raises(InputError, match="already contains a saved model: .*overwrite=True"):
        model.save(tmp_path / "model")
    model.save(tmp_path / "model", overwrite=True)
    assert segue.load(tmp_path / "model").name == "popularity"
    before = sorted(path.name for path in tiny_run.iterdir())
    with pytest.raises(InputError, match="must be empty or a saved model"):
        model.save(tiny_run, overwrite=True)
    assert sorted(path.name for path in tiny_run.iterdir()) == before


class TwoEach(Metric):
    """Metric that violates the contract with two values per playlist."""

    name, label, cutoff, reads = "two-each", "two", "k", "hits"
    value_range, higher_is_better, decimals = (0.0, 1.0), True, 4

    def values(self, block: Block, k: int) -> np.ndarray:
        return np.zeros((len(block.n_hidden), 2))


def test_metric_with_wrong_shape_raises_with_its_name(model: segue.Model, split: segue.Split) -> None:
    with pytest.raises(SegueError, match=r"TwoEach returned shape \(\d+, 2\) and must return one value per playlist"):
        segue.evaluate(model, split.test, metrics=[f"{__name__}:TwoEach@5"])


class OneEach(Loss):
    """Loss that violates the contract with a value per target."""

    type: str = f"{__name__}:OneEach"

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        return scores.logits().logsumexp(1)


def test_loss_with_wrong_shape_raises_with_its_name(split: segue.Split) -> None:
    with pytest.raises(
        SegueError, match=r"loss .*OneEach' returned shape \(\d+,\) and must return a scalar: return the mean"
    ):
        segue.SASRec(loss=OneEach(), epochs=1, hidden_size=16).fit(split.train, split.valid)


def test_unwritable_cache_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data = segue.read_playlists(
        None, reader="demo", tracks=300, artists=40, playlists=200, cache=tmp_path / "file" / "cache"
    )
    with pytest.raises(InputError, match="must be writable .* pass cache= or set SEGUE_CACHE"):
        len(data)


def test_save_warns_about_classes_defined_in_scripts(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import segue, warnings\nfrom segue.plugin import Ranker\nfrom toolkit.baselines.popularity import Popularity\n"
        "class Mine(Popularity):\n    pass\n"
        "split = segue.read_playlists(None, reader='demo', tracks=300, artists=40, playlists=200).split()\n"
        "segue.ranker(Mine, name='mine').fit(split.train).save('saved')\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mine uses a class of a notebook or script: move the class to a module" in done.stderr


def test_unknown_excluded_id_warns(model: segue.Model) -> None:
    with pytest.warns(UserWarning, match=r"1 of 1 excluded tracks are not in the catalogue: 'no such'|no such"):
        model.continue_playlist(["demo:track:1"], k=1, exclude=["no such"])


@pytest.mark.parametrize(
    ("typo", "name"),
    [("SasRec", "SASRec"), ("itemknn", "ItemKNN"), ("evalute", "evaluate"), ("from_df", "from_dataframe")],
)
def test_misspelt_name_raises_with_suggestion(typo: str, name: str) -> None:
    with pytest.raises(AttributeError, match=f"did you mean '{name}'"):
        getattr(segue, typo)


def test_error_in_user_class_names_the_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_fault.py").write_text(
        "from toolkit.baselines.popularity import Popularity\n\n\nclass Boom(Popularity):\n    name = 'boom'\n\n"
        "    def fit(self, data):\n        raise ValueError('my bug')\n"
    )
    (tmp_path / "recipe.yaml").write_text(
        "data: {reader: demo, options: {tracks: 300, artists: 40, playlists: 200}}\n"
        "baselines: [{name: 'my_fault:Boom'}]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "segue", "run", "recipe.yaml", "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "an error inside my_fault:Boom, ValueError: my bug (add --debug for the traceback)" in done.stderr


def test_run_of_missing_folder_raises() -> None:
    with pytest.raises(
        RunDirectoryError, match=r"nope is not the folder of a finished run: create a run with segue\.run"
    ):
        segue.Run("nope")


def test_from_dataframe_with_path_suggests_read_playlists() -> None:
    with pytest.raises(InputError, match=r"'x\.csv' must be a table in memory: read files with segue\.read_playlists"):
        segue.from_dataframe("x.csv")


def test_reader_option_errors_name_the_keyword(tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text("playlist_id,track_id\n1,a\n1,b\n")
    with pytest.raises(InputError, match="^foo is not a key"):
        len(segue.read_playlists(tmp_path / "lists.csv", foo=1))
    with pytest.raises(InputError, match="^min_track_plays=-1 must be"):
        segue.read_playlists(tmp_path / "lists.csv", min_track_plays=-1)


def test_continue_playlist_warnings_point_to_caller(model: segue.Model) -> None:
    with pytest.warns(UserWarning, match="1 of 2 tracks are not in the catalogue") as caught:
        model.continue_playlist(["demo:track:1", "nope"], k=3)
    assert caught[0].filename == __file__

"""A recipe with another reader than its base does not have the options of the base's reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipe_file import write
from toolkit.recipe import load

BASE = "data: {reader: demo, options: {tracks: 300, seed: 3}}\nbaselines: [popularity]\n"


@pytest.mark.parametrize("own", ["", ", options: {tracks: {file: t.csv, fields: {lyrics: words}}}"])
def test_extended_recipe_with_another_reader_has_only_its_own_options(own: str, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE)
    path = write(tmp_path, f"extends: base.yaml\ndata: {{reader: mpd, path: slices{own}}}\n")

    recipe = load(path, parameters=True)

    assert recipe.data.reader == "mpd"
    assert recipe.data.options == ({"tracks": {"file": "t.csv", "fields": {"lyrics": "words"}}} if own else {})


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.reader=mpd", "data.path=slices", "data.options.train_allowed=true"],
        ["data.options.train_allowed=true", "data.path=slices", "data.reader=mpd"],
        ["data.options={train_allowed: true}", "data.path=slices", "data.reader=mpd"],
    ],
)
def test_set_of_another_reader_keeps_only_options_that_are_set_too(overrides: list[str], tmp_path: Path) -> None:
    recipe = load(write(tmp_path, BASE), overrides, parameters=True)

    assert (recipe.data.reader, recipe.data.options) == ("mpd", {"train_allowed": True})


def test_same_reader_and_an_automatic_reader_keep_the_options(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    assert load(path, ["data.reader=demo", "data.options.seed=4"]).data.options == {"tracks": 300, "seed": 4}

    auto = write(tmp_path, "data: {path: lists.csv, options: {playlist: list_id}}\nbaselines: [popularity]\n")
    assert load(auto, ["data.reader=csv"], parameters=True).data.options == {"playlist": "list_id"}

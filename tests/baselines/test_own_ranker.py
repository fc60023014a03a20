"""Tests of a ranker in a single file, named `module:Class`, with the documented example."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit import pipeline
from toolkit.continuation import Continuation
from toolkit.errors import InputError, RecipeError
from toolkit.pipeline.programs import tune_baselines
from toolkit.progress import Reporter
from toolkit.ranker_registry import entry_name, listed, load_ranker, ranker_class, row_name
from toolkit.recipe import load
from toolkit.source_code import sources

PAGE = Path(__file__).resolve().parents[2] / "docs" / "baselines.md"
RECIPE = """\
name: own
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 150}}
coldstart:
  factors: {k: 4, iterations: 2}
  systems: [{system: "my_ideas:LastSeeds", name: cold}]
baselines: [popularity, {name: "my_ideas:LastSeeds", params: {seeds: 5}}, two-stage]
evaluation: {min_tracks: 5, k: [20], bootstrap: 20}
report: {examples: 0, map: 0, similar: 0}
threads: 1
"""


class Notes(Reporter):
    """Logger that stores its messages."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def ideas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the page's Python code to `my_ideas.py` in the current folder."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "my_ideas.py").write_text("\n".join(blocks), encoding="utf-8")
    (tmp_path / "own.yaml").write_text(RECIPE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_ideas", None)


def test_the_documented_ranker_passes_check_ranker(ideas: Path) -> None:
    ranker_class("my_ideas:LastSeeds")
    sys.modules["my_ideas"].test_last_seeds()


def test_ranker_by_path_runs_under_its_class_name(ideas: Path, tiny_cache: Path) -> None:
    pipeline.run(load(ideas / "own.yaml", parameters=True), ideas / "run", cache=tiny_cache)
    entries = {
        entry["system"]: entry["ranker"]
        for entry in json.loads((ideas / "run/model/systems.json").read_text())["systems"]
    }
    assert entries["last-seeds"] == entries["cold"] == "my_ideas:LastSeeds"
    assert not [path for path in (ideas / "run").rglob("*") if ":" in path.name]
    ranker = load_ranker("my_ideas:LastSeeds", ideas / "run/model/last-seeds")
    assert entry_name(ranker) == "my_ideas:LastSeeds" and ranker.params.seeds == 5  # type: ignore[attr-defined]
    continuation = Continuation.load(ideas / "run", "last-seeds")
    assert continuation.continue_playlist(continuation.tracks["id"].to_pylist()[:2], k=3)
    helped = load_ranker("two-stage", ideas / "run/model/two-stage")
    assert set(helped.systems) == {"popularity", "last-seeds", "cold"}  # type: ignore[attr-defined]


def test_ranker_by_path_is_refitted_after_a_code_change(ideas: Path, tiny_cache: Path) -> None:
    (ideas / "own.yaml").write_text(RECIPE.replace(", two-stage", ""))
    recipe, notes = load(ideas / "own.yaml"), Notes()
    rows = pipeline.run(recipe, ideas / "run", cache=tiny_cache).metrics
    again = pipeline.run(recipe, ideas / "run", cache=tiny_cache, progress=notes).metrics
    assert again == rows and not notes.notes
    source = ideas / "my_ideas.py"
    source.write_text(source.read_text().replace("scores[scores == 0] = -np.inf", "scores = -scores"))
    del sys.modules["my_ideas"]
    changed = pipeline.run(recipe, ideas / "run", cache=tiny_cache, progress=notes).metrics
    assert any("changed since this run was finished" in note for note in notes.notes)
    own = [row["value"] for row in rows if row["system"] == "last-seeds"]
    assert own != [row["value"] for row in changed if row["system"] == "last-seeds"]
    assert [row for row in rows if row["system"] == "popularity"] == [
        row for row in changed if row["system"] == "popularity"
    ]


def test_the_documented_recipe_is_valid(ideas: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (ideas / "page.yaml").write_text(block, encoding="utf-8")
    assert load(ideas / "page.yaml", parameters=True).name == "my-ideas"


def test_bench_tunes_a_ranker_by_path_over_its_grid(ideas: Path, tiny_cache: Path) -> None:
    result = tune_baselines.bench(
        load(ideas / "own.yaml"), ideas / "bench", baselines=["my_ideas:LastSeeds"], budget=2, cache=tiny_cache
    )
    rows = {row["system"]: row for row in result["rows"]}
    assert len(rows["last-seeds"]["tried"]) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_ideas:Nothing", "'my_ideas:Nothing' is not defined in module my_ideas"),
        ("no_ideas:Nothing", "move no_ideas.py to this folder, or install the package"),
        ("my_ideas:LastSeedsParams", "is not a subclass of segue.plugin.Ranker"),
        ("my_ideas:../LastSeeds", "must have the form module:Class"),
    ],
)
def test_path_that_is_not_a_ranker_raises(name: str, message: str, ideas: Path) -> None:
    (ideas / "own.yaml").write_text(RECIPE.replace('name: "my_ideas:LastSeeds"', f'name: "{name}"'))
    with pytest.raises(InputError) as error:
        load(ideas / "own.yaml", parameters=True)
    assert message in str(error.value)


def test_invalid_parameter_of_ranker_by_path_raises_with_line_number(ideas: Path) -> None:
    (ideas / "own.yaml").write_text(RECIPE.replace("seeds: 5", "seeds: 0"))
    with pytest.raises(
        RecipeError, match=r"own\.yaml:6: baselines\.1\.params\.seeds=0 must be greater than or equal to 1"
    ):
        load(ideas / "own.yaml", parameters=True)


def test_two_systems_with_the_same_name_raise_recipe_error(ideas: Path) -> None:
    (ideas / "own.yaml").write_text(RECIPE.replace(", name: cold", ""))
    with pytest.raises(RecipeError, match="repeats the system name last-seeds"):
        load(ideas / "own.yaml")


@pytest.mark.parametrize(
    "section", ["baselines: [sequential]", "baselines: [advised]", "coldstart: {systems: [{system: sequential}]}"]
)
def test_sequential_model_as_baseline_raises_recipe_error(section: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"name: r\ndata: {{reader: demo}}\n{section}\n")
    with pytest.raises(RecipeError, match="a sequential model is an entry of `models`"):
        load(tmp_path / "r.yaml", parameters=True)
    assert not {"sequential", "advised"} & set(listed())


def test_the_source_hash_covers_the_named_modules(ideas: Path) -> None:
    named = {
        "baselines": ["popularity", {"name": "my_ideas:LastSeeds"}],
        "type": "no_such_module:Loss",
        "reduce": "pca:8",
    }
    found = sources(named)
    assert list(found) == ["my_ideas"] and len(found["my_ideas"]) == 32
    assert row_name("popularity") == "popularity" and row_name("my_ideas:LastSeeds") == "last-seeds"

"""Tests of an external package with one part of each kind, installed with pip and used in a recipe."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

import segue as api
from tests.command import segue
from tests.example_parts import EXAMPLE, PARTS, check, part
from toolkit import plugins, run_directory
from toolkit.recipe.json_schema import schema

PACKAGE = "segue-example"


def forget() -> None:
    """Clear cached entry points and the example's modules."""
    plugins.points.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "segue_example"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the importable folder into which pip installed the example."""
    folder = tmp_path_factory.mktemp("plugin")
    # a copy: setuptools builds beside the sources
    package = shutil.copytree(EXAMPLE, folder / "package")
    # segue and its dependencies are here already, and so is what builds a package
    quietly = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *quietly, "--target", folder / "site", package],
        check=True,
        timeout=120,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.setenv("SEGUE_CACHE", str(folder / "cache"))
        forget()
        yield folder / "site"
    forget()


@pytest.fixture(scope="module")
def run(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a finished run of the package's recipe."""
    out = tmp_path_factory.mktemp("run") / "run"
    done = segue("run", EXAMPLE / "recipe.yaml", "--out", out)
    assert done.exit_code == 0, done.output
    return out


def test_example_parts_have_one_file_each_and_import_only_public_api() -> None:
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    groups = {group for group in plugins.GROUPS if group != "segue.stages"}
    assert set(points) == groups and all(len(entries) == 1 for entries in points.values())
    files = {path.stem: path.read_text() for path in (EXAMPLE / "src" / "segue_example").glob("[a-z]*.py")}
    assert sorted(files) == sorted(
        path.partition(":")[0].rpartition(".")[2] for entries in points.values() for path in entries.values()
    )
    for name, text in files.items():
        imported = set(re.findall(r"^(?:from|import) ([\w.]+)", text, flags=re.M))
        assert not {
            module for module in imported if module.split(".")[0] in ("toolkit", "collectors", "segue_example")
        }, name
        assert {module for module in imported if module.split(".")[0] == "segue"} <= {"segue", "segue.plugin"}, name


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "parameters", "sentence"),
    [
        (
            "readers",
            {"train_allowed": None},
            "A text file with one track or one playlist a line, columns parted by tabs.",
        ),
        (
            "encoders",
            {"dim": 64},
            "Counts the words of a text, each in the column that its hash names; rows have length 1.",
        ),
        (
            "rankers",
            {"reach": 3, "decay": 0.5},
            "Ranks tracks by how often and how soon they follow the seeds in training playlists.",
        ),
        (
            "models",
            {"width": 4, "epochs": 20},
            "A gated causal convolution over the last few tracks, added to the last one.",
        ),
        (
            "losses",
            {"gamma": 1.0},
            "Cross-entropy over all trained tracks in which positions that are already predicted well count less.",
        ),
        ("joins", {}, "The sum of the modalities, plus the products of each two of them by a learned weight."),
        ("missing", {}, "The median of each column over the training tracks that have the modality."),
        ("metrics", {}, "One over the rank of the first hidden track among the first k; 0 where none is."),
        (
            "protocols",
            {"share": 0.2},
            "The last playlists of the file are the test, those before them validation; the first half of each",
        ),
        ("sources", {"folder": None, "per_second": None}, "Lyrics from files named `Artist - Title.txt` in a folder."),
    ],
)
def test_list_prints_plugins_with_parameters_and_defaults(
    kind: str, parameters: dict[str, object], sentence: str
) -> None:
    rows = {row["name"]: row for row in json.loads(segue("list", kind, "--json").stdout)}
    row = rows[PARTS[kind][0]]
    assert (row["package"], row["error"]) == (PACKAGE, "") and row["sentence"].startswith(sentence)
    assert parameters.items() <= {each["name"]: each["default"] for each in row["parameters"]}.items()
    shown = segue("list", kind).stdout
    assert f"{row['name']} ({PACKAGE}): {sentence}" in shown
    known = {each["name"]: each for each in row["parameters"]}
    assert all(known[name]["description"] for name in set(parameters) - {"epochs"}), (
        "a parameter of one's own is described"
    )


@pytest.mark.parametrize("kind", PARTS)
def test_example_part_passes_conformance_suite(kind: str, installed: Path, tmp_path: Path) -> None:
    check(kind, part(kind, "segue_example"), tmp_path)


@pytest.mark.usefixtures("installed")
def test_json_schema_contains_plugin_parameters() -> None:
    values, validator = (
        YAML(typ="safe", pure=True).load((EXAMPLE / "recipe.yaml").read_text()),
        Draft202012Validator(schema()),
    )
    assert not list(validator.iter_errors(values))
    values["encoders"]["words"]["params"]["dim"] = 0
    values["baselines"][1]["params"]["reach"] = "far"
    values["data"]["options"]["train_alowed"] = True
    values["evaluation"]["split"]["share"] = 2
    places = {".".join(map(str, error.absolute_path)) for error in validator.iter_errors(values)}
    assert places == {"encoders.words.params.dim", "data.options", "evaluation.split", "baselines.1"}
    assert segue("schema").exit_code == 0


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("encoders.words.params.size=8", "encoders.words.params.size is not a key: use one of dim"),
        ("evaluation.split.shar=0.2", "evaluation.split.shar is not a key: did you mean share?"),
        ("models.0.loss.gamma=-1", "models.0.loss.gamma=-1 must be greater than or equal to 0"),
        ("fusion.join=pairwize", "fusion.join='pairwize' is not a join: did you mean 'pairwise'?"),
        ("baselines.1.params.reach=0", "baselines.1.params.reach=0 must be greater than or equal to 1"),
        ("data.options.train_allowed=5", "data.options.train_allowed"),
    ],
)
def test_validate_checks_plugin_parameters(change: str, message: str) -> None:
    assert segue("validate", EXAMPLE / "recipe.yaml").exit_code == 0
    wrong = segue("validate", EXAMPLE / "recipe.yaml", "--set", change)
    assert wrong.exit_code == 2 and message in wrong.output


def test_recipe_with_all_example_parts_runs_and_continues_playlist(run: Path) -> None:
    rows = [
        row
        for row in json.loads((run / run_directory.METRICS).read_text())
        if row["split"] == "test" and row["slice"] == "all"
    ]
    assert {(row["system"], row["metric"]) for row in rows} == {
        (system, metric)
        for system in ("gated-conv", "popularity", "follows")
        for metric in ("recall", "reciprocal_rank")
    }
    value = {row["system"]: row["value"] for row in rows if (row["metric"], row["k"]) == ("reciprocal_rank", 5)}
    assert value["follows"] > value["popularity"] and value["gated-conv"] > value["popularity"]
    assert {row["n"] for row in rows} == {10}, "0.15 of 70 playlists"
    for system in ("gated-conv", "follows"):
        done = segue(
            "continue", run, "--system", system, "--tracks", "local:t01,local:t04", "-k", "3", "--format", "csv"
        )
        assert done.exit_code == 0 and done.stdout.count("local:") == 3, done.output
    assert "MRR@5" in api.Run(run).to_markdown()
    assert len(api.load(run, "gated-conv").continue_playlist(["local:t01"], k=4)) == 4


def test_example_command_reads_run(run: Path) -> None:
    done = segue("agreement", run, "-k", "5")
    assert done.exit_code == 0 and re.search(r"^follows and gated-conv: 0\.\d\d$", done.stdout, flags=re.M), done.output
    assert "Print the share of the first k tracks" in segue("agreement", "--help").output
    nothing = segue("agreement", run.parent)
    assert nothing.exit_code == 2 and str(run.parent) in nothing.output


@pytest.mark.usefixtures("installed")
def test_plugin_rankers_and_models_are_classes_of_segue() -> None:
    data = api.read_playlists(
        EXAMPLE / "playlists.mixtape", train_allowed=True
    )  # recognised by the package's own reader
    split = data.split("file_order", share=0.15)
    model = api.GatedConv(width=2, loss="focal", epochs=1, hidden_size=16).fit(split.train, split.valid)
    follows = api.Follows(reach=1).fit(split.train)  # type: ignore[attr-defined]
    results = [api.evaluate(each, split.test, ["recall@5", "reciprocal_rank@5"]) for each in (model, follows)]
    assert set(api.compare(*results)["metric"]) == {"recall", "reciprocal_rank"}
    with pytest.raises(api.InputError, match="reach=0"):
        api.Follows(reach=0)  # type: ignore[attr-defined]


BROKEN = """
from segue.plugin import Baseline, Encoder, Join, Loss, Metric, Missing, ModelSpec, Protocol, Reader, Source

class Readers(Reader): name = "incomplete"
class Encoders(Encoder): name = "incomplete"
class Rankers(Baseline): name = "incomplete"
class Models(ModelSpec): type: str = "incomplete"
class Losses(Loss): type: str = "incomplete"
class Joins(Join): type: str = "incomplete"
class Metrics(Metric): name = "incomplete"
class Protocols(Protocol): type: str = "incomplete"
class Sources(Source): name = "incomplete"
def Missing(): ...
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Return a package whose parts violate their contracts or cannot be imported."""
    (tmp_path / "broken_parts.py").write_text(BROKEN)
    (tmp_path / "broken_import.py").write_text("import no_such_dependency\n")
    about = tmp_path / "broken_parts-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-parts\nVersion: 1.0\n")
    groups = {kind: f"segue.{'collectors' if kind == 'sources' else kind}" for kind in PARTS}
    points = [
        f"[{group}]\nincomplete = broken_parts:{kind.title()}\nabsent = broken_import:Nothing\n"
        for kind, group in groups.items()
    ]
    (about / "entry_points.txt").write_text("".join(points) + "[segue.commands]\nabsent = broken_import:nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.points.cache_clear()
    yield
    plugins.points.cache_clear()
    sys.modules.pop("broken_parts", None)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("kind", PARTS)
def test_broken_plugin_is_listed_with_error(kind: str) -> None:
    rows = json.loads(segue("list", kind, "--json").stdout)
    errors = {row["name"]: row["error"] for row in rows if row["package"] == "broken-parts"}
    assert re.search(
        r"plug-in 'incomplete' of broken-parts (must implement \w+|is not a subclass of segue\.plugin\.\w+)",
        errors["incomplete"],
    )
    assert "plug-in 'absent' of broken-parts cannot be imported (ModuleNotFoundError(" in errors["absent"]
    assert sum(not row["error"] for row in rows) >= 3


@pytest.mark.usefixtures("broken")
def test_broken_plugin_does_not_affect_other_parts(tiny_recipe: Path) -> None:
    assert segue("schema").exit_code == segue("--help").exit_code == segue("validate", tiny_recipe).exit_code == 0
    for change, message in {
        "baselines=[popularty]": "'popularty' is not a ranker: did you mean popularity?",
        "evaluation.split=incomplete": "segue.protocols plug-in 'incomplete' of broken-parts must implement split:"
        " see segue.plugin.Protocol",
        "models.0.loss=absent": "segue.losses plug-in 'absent' of broken-parts cannot be imported",
        "models.0.negatives=7": "negatives",
    }.items():
        done = segue("validate", tiny_recipe, "--set", change)
        assert done.exit_code == 2 and message in done.output, done.output
    done = segue("absent")
    assert done.exit_code == 2 and "segue.commands plug-in 'absent' of broken-parts cannot be imported" in done.output

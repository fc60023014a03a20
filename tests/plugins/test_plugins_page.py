"""Tests of docs/plugins.md: reader, command, table of entry-point groups, and importable names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

import segue as api
from segue import plugin
from tests.command import segue
from tests.example_parts import EXAMPLE, PARTS
from toolkit import plugins
from toolkit.list_parts import KINDS
from toolkit.recipe import load

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Yield the page's Python code as module `my_page` in the current folder."""
    (tmp_path / "my_page.py").write_text("\n".join(blocks("python")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("my_page")
    sys.modules.pop("my_page", None)


def test_plugins_page_reader_passes_check_and_reads_playlists(page: ModuleType, tmp_path: Path) -> None:
    page.test_mixtape(tmp_path)
    data = api.read_playlists(
        tmp_path / "good.mixtape", reader="my_page:MixtapeReader", train_allowed=True, cache=tmp_path / "cache"
    )
    assert data.tracks()["id"].tolist() == ["local:t1", "local:t2"] and data.field("words").tolist() == [
        "slow piano rain"
    ]
    with pytest.raises(api.DataError, match="line 2: is neither a track of five columns nor a list of three"):
        api.read_playlists(tmp_path / "bad.mixtape", reader="my_page:MixtapeReader", cache=tmp_path / "cache").tracks()


def test_plugins_page_command_compares_rankings(
    page: ModuleType, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.agreement(tiny_run, k=10)
    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert "content-centroid and popularity" in printed and all(0 <= float(share) <= 1 for share in printed.values())


def test_plugins_page_entry_points_are_correct(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = re.sub(r"^\[project\]\n.*?\n\n", "", blocks("toml")[0], flags=re.DOTALL)
    lines = (
        lines.replace('project.entry-points."', "")
        .replace('"]', "]")
        .replace('"', "")
        .replace("my_parts.mixtape", "my_page")
    )
    about = tmp_path / "my_parts-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(lines.replace("my_parts.agreement", "my_page"))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.points.cache_clear()
    try:
        assert (
            "mixtape (my-parts): A text file with one track or one playlist a line, columns parted by tabs."
            in segue("list", "readers").output
        )
        shown = segue("list", "readers", "mixtape").output
        assert "train_allowed: bool or none, default null" in shown and "whether the words may be trained on" in shown
        assert "Print the share of the first k tracks" in segue("agreement", "--help").output
        gone = segue("agreement", tmp_path)
        assert gone.exit_code == 2 and gone.output.startswith(f"segue: {tmp_path} is not the folder of a finished run")
    finally:
        plugins.points.cache_clear()


def test_plugins_page_table_lists_all_entry_point_groups() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.splitlines()
        if re.search(r"\| `segue\.\w+` \|", line)
    ]
    assert {row[3].strip("`") for row in rows} == {group for group in plugins.GROUPS if group != "segue.stages"}
    for _, bases, suite, group, kind, link in rows:
        group, kind = group.strip("`"), kind.strip("`")
        if group != "segue.commands":
            assert KINDS[kind] == group and callable(getattr(plugin, suite.strip("`")))
            assert all(issubclass(getattr(plugin, base), plugins.contract(group)) for base in re.findall(r"\w+", bases))
        name, _, anchor = re.fullmatch(r"\[.*\]\((.*?)(#)(.*)\)", link).groups()  # type: ignore[union-attr]
        headings = re.findall(r"^#+ (.*)$", (DOCS / (name or "plugins.md")).read_text(encoding="utf-8"), flags=re.M)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


def test_plugins_page_recipe_uses_example_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted((EXAMPLE / "src" / "segue_example").glob("[a-z]*.py"))
    (tmp_path / "my_ideas.py").write_text("\n".join(path.read_text() for path in files))
    (tmp_path / "recipe.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "playlists.mixtape").write_bytes((EXAMPLE / "playlists.mixtape").read_bytes())
    monkeypatch.chdir(tmp_path)
    try:
        recipe = load(tmp_path / "recipe.yaml", parameters=True)
        assert recipe.models[0].type == "my_ideas:GatedConv" and YAML(typ="safe").load(blocks("yaml")[0])["baselines"]
        assert set(re.findall(r"my_ideas:(\w+)", PAGE)) <= {cls for _, cls in PARTS.values()}
    finally:
        sys.modules.pop("my_ideas", None)


def test_all_names_of_segue_plugin_can_be_imported() -> None:
    assert all(getattr(plugin, name) is not None for name in plugin.__all__)

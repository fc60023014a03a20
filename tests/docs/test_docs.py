"""Tests that the Python examples and recipes in the docs run."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from tests.report.run_files import files, write_run
from toolkit import pipeline, plugins, run_directory
from toolkit.encoders.contract import registry
from toolkit.errors import InputError
from toolkit.recipe import Fusion, load
from toolkit.sequential.sequential_ranker import SequentialRanker

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_blocks(name: str) -> dict[str, Any]:
    """Run a page's Python blocks in order as one module and return its namespace."""
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert blocks, f"{name} has no Python"
    module = ModuleType(f"docs_{name.removesuffix('.md')}")
    exec(compile("\n".join(blocks), name, "exec"), module.__dict__)
    return module.__dict__


def test_encoder_page_example_passes_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docs_encoders", ModuleType("docs_encoders"))
    page = run_blocks("encoders.md")
    page["test_word_count"]()
    encoder = page["WordCount"](page["WordCountParams"](scale=0.5))
    assert encoder.transform(["", "one", "one two three"]).tolist() == [[0.0], [0.5], [1.5]]


def test_encoder_page_recipes_are_valid() -> None:
    text = (DOCS / "encoders.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    specs = [spec for block in blocks for spec in YAML(typ="safe").load(block)["encoders"].values()]
    ours = [spec for spec in specs if spec["encoder"] != "word-count"]
    made = [registry.create(spec["encoder"], spec.get("params"), device="cpu") for spec in ours]
    told = {
        "word-vectors",
        "word2vec",
        "sentence-bert",
        "tfidf",
        "tfidf-semantic",
        "mfcc-words",
        "image-classifier",
        "text-classifier",
    }
    assert {encoder.name for encoder in made} == told


def test_readme_recipes_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", (DOCS.parent / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for block in blocks:
        (tmp_path / "my.yaml").write_text(block, encoding="utf-8")
        assert load(tmp_path / "my.yaml", parameters=True).data.path == tmp_path / "playlists.csv"
    assert len(blocks) == 2


@pytest.fixture
def my_fusion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write the code of the fusion page to `my_fusion.py` in the current folder."""
    text = (DOCS / "fusion.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    (tmp_path / "my_fusion.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield text
    sys.modules.pop("my_fusion", None)


@pytest.mark.usefixtures("my_fusion")
def test_fusion_page_join_and_policy_pass_contracts() -> None:
    parts = {
        name: plugins.load(group, f"my_fusion:{name}")
        for group, name in (("segue.joins", "Attention"), ("segue.missing", "Nearest"))
    }
    page = sys.modules["my_fusion"]
    page.test_attention_keeps_the_contract()
    page.test_nearest_keeps_the_contract()
    assert parts == {"Attention": page.Attention, "Nearest": page.Nearest}
    with pytest.raises(InputError, match="hidden_size=8 must be a multiple of heads=3"):
        page.Attention(heads=3).module([8, 8], 8)


def test_recipe_accepts_fusion_page_parts_as_module_class(
    my_fusion: str, tiny_recipe: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", my_fusion, flags=re.DOTALL | re.MULTILINE)
    (block,) = [text for text in blocks if "join:" in text]
    values = YAML(typ="safe").load(block)
    values["models"] = [{**model, "epochs": 1} for model in values["models"]]
    recipe = load(
        tiny_recipe,
        [f"{key}={json.dumps(value)}" for key, value in values.items()] + ["titles=null", "baselines=[popularity]"],
    )
    pipeline.run(recipe, tmp_path / "run", cache=tiny_cache)
    assert load(tmp_path / "run" / run_directory.RECIPE) == recipe
    ranker = SequentialRanker.load(tmp_path / "run" / "model" / "sasrec-multimodal")
    assert (ranker.fusion.join.type, ranker.fusion.join.heads) == ("my_fusion:Attention", 4)
    weights = ranker.modality_weights()
    assert {(row["of"], row["label"]) for row in weights} == {("attention", "mean attention")}
    nearest = SequentialRanker.load(tmp_path / "run" / "model" / "nearest")
    assert (nearest.fusion.missing.type, nearest.fusion.missing.among) == ("my_fusion:Nearest", 500)


def test_fusion_page_entry_points_are_correct(my_fusion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", my_fusion, flags=re.DOTALL | re.MULTILINE)
    info = tmp_path / "my_fusion-1.0.dist-info"
    info.mkdir()
    groups = tomllib.loads(block)["project"]["entry-points"]
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {path}" for name, path in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-fusion\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.points.cache_clear()
    try:
        fusion = Fusion.model_validate({"join": {"type": "attention", "heads": 4}})
        assert fusion.model_dump(mode="json")["join"] == {"type": "attention", "heads": 4}
        assert Fusion.model_validate({"missing": "nearest"}).missing.model_dump() == {"type": "nearest", "among": 1000}
        with pytest.raises(ValidationError, match="`missing: nearest` cannot be used with `join: attention`"):
            Fusion.model_validate({"join": "attention", "missing": "nearest"})
        with pytest.raises(ValidationError, match="`join: attention` requires `architecture: early`"):
            Fusion.model_validate({"join": "attention", "architecture": "late"})
    finally:
        plugins.points.cache_clear()


def test_report_page_examples_render_page_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    run_dir = write_run(tmp_path / "runs" / "quickstart", files())
    monkeypatch.chdir(tmp_path)
    run_blocks("report.md")
    assert (run_dir / "report.html").exists()
    printed = capsys.readouterr().out
    assert "| sasrec-multimodal | **0.1675** (0.1595–0.1765)" in printed
    assert "\\begin{tabular}{lrrrr}" in printed
    assert "system,modalities,oracle,underfit,warnings,group,not_run,recall@20" in printed


ROOTS = ("segue", "segue_papers", "toolkit", "collectors", "tests", "benchmarks", "recipes", "docs", "notebooks")


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{page.name}" for page in sorted(DOCS.glob("*.md")))])
def test_paths_in_docs_exist(page: str) -> None:
    root = DOCS.parent
    text = re.sub(r"```.*?```", "", (root / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    paths = re.findall(rf"`((?:{'|'.join(ROOTS)})/[\w./{{}},-]*)`", text)
    expanded = [
        path.replace(braces[0], name)
        for path in paths
        for braces in [re.search(r"\{([^}]*)\}", path) or re.search(r"$()", path)]
        for name in braces[1].split(",")
    ]
    assert [path for path in expanded if not (root / path).exists()] == []

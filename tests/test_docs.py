"""The Python in the documents runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.report.run_files import files, write_run
from toolkit.encoders import registry
from toolkit.recipe import load

DOCS = Path(__file__).resolve().parents[1] / "docs"


def run_blocks(name: str) -> dict[str, Any]:
    """Run a page's Python blocks one after the other, as one module; its names."""
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert blocks, f"{name} has no Python"
    module = ModuleType(f"docs_{name.removesuffix('.md')}")
    exec(compile("\n".join(blocks), name, "exec"), module.__dict__)
    return module.__dict__


def test_the_encoder_page_makes_an_encoder_that_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docs_encoders", ModuleType("docs_encoders"))
    page = run_blocks("encoders.md")
    page["test_word_count"]()
    encoder = page["WordCount"](page["WordCountParams"](scale=0.5))
    assert encoder.transform(["", "one", "one two three"]).tolist() == [[0.0], [0.5], [1.5]]


def test_the_recipes_of_the_encoder_page_are_valid() -> None:
    from ruamel.yaml import YAML

    text = (DOCS / "encoders.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    specs = [spec for block in blocks for spec in YAML(typ="safe").load(block)["encoders"].values()]
    ours = [spec for spec in specs if spec["encoder"] != "word-count"]
    made = [registry.create(spec["encoder"], spec.get("params"), device="cpu") for spec in ours]
    told = {"word-vectors", "word2vec", "sentence-bert", "tfidf", "tfidf-semantic", "mfcc-words", "image-classifier", "text-classifier"}
    assert {encoder.name for encoder in made} == told


def test_the_recipes_of_the_readme_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (DOCS.parent / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for block in blocks:
        (tmp_path / "my.yaml").write_text(block, encoding="utf-8")
        assert load(tmp_path / "my.yaml", parameters=True).data.path == tmp_path / "playlists.csv"
    assert len(blocks) == 2


def test_the_report_page_renders_and_prints_tables(
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
    assert "system,modalities,oracle,underfit,group,not_run,recall@20" in printed

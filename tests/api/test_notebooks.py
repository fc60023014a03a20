"""Tests that notebooks run and contain the scripts of docs/python.md unchanged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = notebook.cells[-1]["outputs"][-1]["data"]["text/html"]
    assert "item-knn" in last and "p_holm" in last


def test_notebook_contains_documented_script() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    script = re.findall(r"```python\n(.*?)```", page, re.S)[0].rstrip()
    cells = json.loads((ROOT / "notebooks" / "python.ipynb").read_text(encoding="utf-8"))["cells"]
    assert script in ["".join(cell["source"]) for cell in cells]


def test_notebooks_have_no_outputs_and_import_only_public_api() -> None:
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), path
        assert not re.search(
            r"\b(from|import) (toolkit|collectors)", "".join("".join(cell["source"]) for cell in cells)
        ), path

"""Tests that examples in public docstrings run with the documented output."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import segue

MODULES = [
    f"segue.{name}" for name in ("playlist_data", "split", "modalities", "model", "model_kinds", "results", "runs")
]


@pytest.mark.parametrize("name", MODULES)
def test_module_doctests_pass(name: str, tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0 and found.failed == 0


def test_public_functions_have_examples() -> None:
    functions = [
        "read_playlists",
        "from_dataframe",
        "encode",
        "vectors",
        "ranker",
        "load",
        "evaluate",
        "compare",
        "run",
    ]
    missing = [name for name in functions if ">>>" not in (getattr(segue, name).__doc__ or "")]
    assert not missing


def test_exported_names_have_docstrings() -> None:
    missing = [
        name for name in dir(segue) if name != "__version__" and not (getattr(segue, name).__doc__ or "").strip()
    ]
    assert not missing

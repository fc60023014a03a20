"""Tests that the page on security names tests that exist."""

from __future__ import annotations

import re
from itertools import repeat
from pathlib import Path

from toolkit import plugins

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("segue", "toolkit", "collectors", "segue_papers")


def test_every_promise_names_an_existing_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    promises = page.partition("## Promises and their tests")[2]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and line != "| promise | test |"]
    named = [re.findall(r"tests/[\w/]+\.py", line) for line in rows]

    assert len(rows) > 30
    assert [row for row, paths in zip(rows, named, strict=True) if not paths] == [], "each promise needs a test"
    assert [path for paths in named for path in paths if not (ROOT / path).is_file()] == []


def test_page_lists_every_variable_and_key() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").partition("## Environment variables")[2]
    sources = [path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    variables = {name for text in sources for name in re.findall(r"\bSEGUE_[A-Z_]+\b", text)}
    keys = {
        key
        for source in map(plugins.load, repeat("segue.collectors"), plugins.names("segue.collectors"))
        for key in source.keys
    }

    assert len(variables) >= 5 and keys
    assert sorted(name for name in variables | keys if f"`{name}`" not in page.partition("## ")[0]) == []


def test_security_policy_and_readme_link_to_the_page() -> None:
    for file in ("README.md", "SECURITY.md"):
        assert "docs/security.md" in (ROOT / file).read_text(encoding="utf-8"), file

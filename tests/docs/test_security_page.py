"""Tests that the page on security names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_names_an_existing_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    promises = page.partition("## Promises and their tests")[2]
    named = [re.findall(r"tests/[\w/]+\.py", line) for line in promises.splitlines() if line.startswith("| ")]

    assert len(named) > 10 and all(named[1:]), "each promise needs a test"
    assert [path for paths in named for path in paths if not (ROOT / path).is_file()] == []


def test_security_policy_and_readme_link_to_the_page() -> None:
    for file in ("README.md", "SECURITY.md"):
        assert "docs/security.md" in (ROOT / file).read_text(encoding="utf-8"), file

"""Fixtures with knowledge base files and a separate cache folder."""

from __future__ import annotations

import pytest

from tests.papers.enrichment.music_knowledge import NT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "music.nt"
    path.write_text(NT, encoding="utf-8")
    return path

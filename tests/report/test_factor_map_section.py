"""Tests of the predicted factors section in the report."""

from __future__ import annotations

from pathlib import Path

from tests.report.run_files import files, write_run
from toolkit.report.factor_map_section import factor_map
from toolkit.report.page import render


def test_factor_map_has_a_mark_per_track() -> None:
    found = factor_map(files()["factor_map.json"])
    assert found["figure"].count("<path") == 3 and 'aria-label="Map of 3 tracks by cnn"' in found["figure"]
    assert [(line["name"], line["colour"]) for line in found["legend"]] == [
        ("<i>jazz", "var(--s0)"), ("rock", "var(--s1)"), ("others", "var(--muted)"),
    ]  # fmt: skip
    assert found["similar"] == [{"track": "A · X & Y", "true": ["B · Z"], "predicted": ["B · Z ✓", "c"]}]
    assert found["ends"] == [{"factor": 4, "low": "Z", "high": "X & Y"}]
    assert found["unplayed"] == [] and "by factors predicted by cnn" in found["caption"]
    assert factor_map({}) == {}


def test_factor_map_lists_neighbours_of_tracks_without_plays() -> None:
    row = {"track": {"id": "n", "title": "New", "artist": "X"}, "true": [], "predicted": [{"id": "b", "title": "B"}]}
    found = factor_map(files()["factor_map.json"] | {"unplayed": [row]})  # type: ignore[operator]
    assert found["unplayed"] == [{"track": "New · X", "predicted": ["B"]}]
    assert "by usage patterns predicted by cnn" in found["caption"]


def test_factor_map_names_are_escaped_in_the_page(tmp_path: Path) -> None:
    page = render(write_run(tmp_path / "run", files())).read_text()
    assert "Predicted factors</h2>" in page and "&lt;i&gt;jazz" in page and "<i>jazz" not in page

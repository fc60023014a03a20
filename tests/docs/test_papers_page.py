"""The table of all rows of the five papers: its files, its page, and the recipes that it names."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.recipe import as_baseline, load

ROOT = Path(__file__).resolve().parents[2]
PRINTED = ROOT / "benchmarks" / "printed"
PAPERS = ("usc", "oramas", "vandenoord", "lee", "survey")
COLUMNS = ["part", "row", "verdict", "difference", "recipe", "entry", "metric", "printed"]


def rows(paper: str) -> list[dict[str, str]]:
    with open(PRINTED / f"{paper}.csv", newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert list(reader.fieldnames or [])[:8] == COLUMNS
        return list(reader)


@pytest.mark.parametrize("paper", PAPERS)
def test_each_row_has_a_verdict_and_each_difference_a_reason(paper: str) -> None:
    table = rows(paper)
    assert len(table) >= 20
    for row in table:
        assert row["part"] and row["row"] and None not in row, row
        assert row["verdict"] in ("faithful", "differs", "missing"), row
        assert row["verdict"] == "faithful" or len(row["difference"]) > 10, row
        assert bool(row["metric"]) >= bool(row["printed"]), row


@pytest.mark.parametrize("paper", PAPERS)
def test_each_named_entry_is_a_system_of_its_recipe(paper: str) -> None:
    systems: dict[str, set[str]] = {}
    for row in rows(paper):
        if not row["recipe"] or not row["entry"]:
            continue
        if row["recipe"] not in systems:
            recipe = load(ROOT / "recipes" / "papers" / row["recipe"])
            systems[row["recipe"]] = {
                *(model.system_name(recipe.fusion, recipe.encoders) for model in recipe.models),
                *(system.system_name for system in recipe.coldstart.systems),
                *(as_baseline(baseline).system_name for baseline in recipe.baselines),
                *(tag.vectors for tag in (recipe.coldstart.tags.rows if recipe.coldstart.tags else ())),
            }
        assert row["entry"] in systems[row["recipe"]], row


@pytest.mark.parametrize("script", ["papers_table.py"])
def test_page_is_what_its_files_say(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("paper", PAPERS)
def test_each_paper_has_a_page(paper: str) -> None:
    assert f"papers/{paper}.md" in (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "papers" / f"{paper}.md").read_text(encoding="utf-8").startswith("# ")

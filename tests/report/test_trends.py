"""Tests of figures that show the main metric by seeds, popularity and embedding size."""

from __future__ import annotations

from pathlib import Path

from tests.report.run_files import files, metric_row, write_run
from tests.report.test_plots import texts
from toolkit.report.merge_runs import merge
from toolkit.report.page import html, render
from toolkit.report.result_tables import Column, pivot
from toolkit.report.run_files import RunFiles
from toolkit.report.trend_plots import trends

NDCG = Column("ndcg", 50)


def test_trend_by_seeds_is_sorted_numerically() -> None:
    rows = [metric_row("a", 0.2), metric_row("b", 0.1)]
    rows += [metric_row(name, 0.1, slice=f"seeds:{part}") for name in "ab" for part in ("101+", "11-25", "2-5", "1")]
    rows += [metric_row("a", 0.1, slice="seeds:0", split="valid"), metric_row("a", 0.3, slice="popularity:head")]
    ranked = [row for row, _ in pivot(rows).ranked(NDCG)]
    (found,) = trends(rows, ranked, NDCG, {})
    shown = [text for text in texts(found["figure"]) if text in ("0", "1", "2-5", "11-25", "101+")]
    assert shown == ["1", "2-5", "11-25", "101+"] and [line["name"] for line in found["legend"]] == ["a", "b"]
    assert "NDCG@50 by seeds shown" in found["caption"]


def test_size_trend_requires_two_models_of_one_type() -> None:
    rows = [metric_row("small", 0.1), metric_row("large", 0.2), metric_row("other", 0.3)]
    sizes = {"large": ("sasrec", 64), "small": ("sasrec", 16), "other": ("bert4rec", 64)}
    (found,) = trends(rows, [], NDCG, sizes)
    assert [line["name"] for line in found["legend"]] == ["sasrec on ids"]
    assert "sasrec on ids 0.1 to 0.2" in found["figure"] and [
        text for text in texts(found["figure"]) if text in ("16", "64")
    ] == [
        "16",
        "64",
    ]
    assert trends(rows, [], NDCG, {"small": ("sasrec", 16), "other": ("bert4rec", 64)}) == []


def test_page_of_merged_runs_plots_embedding_sizes(tmp_path: Path) -> None:
    paths = []
    for name, size in (("one", 16), ("two", 32)):
        paths.append(write_run(tmp_path / name, files()))
        recipe = (paths[-1] / "recipe.yaml").read_text()
        (paths[-1] / "recipe.yaml").write_text(
            recipe.replace("- type: sasrec\n", f"- type: sasrec\n  hidden_size: {size}\n")
        )
    page = html(merge([RunFiles.read(path) for path in paths]))
    assert "by embedding size" in page and 'id="trends"' in page
    assert "by embedding size" not in render(paths[0]).read_text()

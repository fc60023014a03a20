"""Tests of the predicted tags section in the report."""

from __future__ import annotations

from pathlib import Path

from tests.report.run_files import files, write_run
from toolkit.report.page import render
from toolkit.report.tag_section import tags


def test_tag_line_has_method_mean_and_best_tags() -> None:
    found = tags(files()["tags.json"])
    assert (
        found["caption"]
        == "Area under the curve, mean over the 3 commonest of tags; 1,200 tracks have all vectors and tags"
    )
    assert found["lines"][0] == {
        "vectors": "factors",
        "method": "logistic regression, ten folds",
        "auc": "0.7500",
        "new": "–",
        "tags": "2",
        "tested": "1,200",
        "best": "jazz 0.80, rock 0.70",
    }
    assert found["lines"][1]["auc"] == "–" and found["lines"][1]["best"] == ""
    assert tags([]) == {}


def test_page_has_the_table_of_predicted_tags(tmp_path: Path) -> None:
    page = render(write_run(tmp_path / "run", files())).read_text()
    assert "What vectors say of tags" in page and "jazz 0.80, rock 0.70" in page

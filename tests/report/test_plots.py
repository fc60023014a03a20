"""Tests of the SVG figures in the report."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from xml.etree import ElementTree

import pytest

from tests.report.run_files import curve, metric_row, metric_rows
from toolkit.report import plots
from toolkit.report.result_tables import Column, pivot

NDCG = Column("ndcg", 50)
SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parse(svg).iter(f"{SVG}text")]


def forest(rows: list[dict], **timings: dict) -> str:
    return plots.forest(pivot(rows, timings=timings).ranked(NDCG), NDCG)


def dots(svg: str) -> list[float]:
    """Return the x coordinates of round markers from top to bottom."""
    return [float(use.attrib["x"]) for use in parse(svg).iter(f"{SVG}use")]


def test_forest_label_lists_all_systems_with_values() -> None:
    shown = texts(forest([metric_row("worse", 0.1), metric_row("better", 0.2)]))
    assert shown[-4:] == ["better", "worse", "0.2000", "0.1000"]


def test_forest_dots_are_at_the_metric_values() -> None:
    low, middle, high = sorted(dots(forest([metric_row("a", 0.4), metric_row("b", 0.3), metric_row("c", 0.1)])))
    assert (middle - low) / (high - low) == pytest.approx(2 / 3, abs=1e-3)


def test_oracle_outside_the_axis_does_not_change_the_scale() -> None:
    rows = [metric_row("a-system-of-length", 0.2), metric_row("b", 0.1)]
    alone = dots(forest(rows))
    beside = dots(forest([*rows, metric_row("bound", 0.9)], bound={"oracle": True}))
    assert beside[1] - beside[0] == pytest.approx(alone[1] - alone[0], rel=0.1)


@pytest.mark.parametrize("value", [0.0, -0.2, 0.5])
def test_forest_draws_one_system_without_interval(value: float) -> None:
    svg = forest([metric_row("only", value, ci_low=None, ci_high=None)])
    assert NDCG.format(value) in texts(svg)
    assert len(dots(svg)) == 1


def test_names_from_data_are_escaped_in_svg() -> None:
    name = '</text><script>x</script> "$a_b$ #010101'
    svg = forest([metric_row(name, 0.2)])
    assert "<script" not in svg
    assert name[: plots.LABEL_LENGTH - 1] + "…" in texts(svg)
    assert parse(svg).attrib["aria-label"] == f"NDCG@50 by system: {name} 0.2000"


def test_names_in_all_scripts_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "東京 שיר" in texts(forest([metric_row("東京 שיר", 0.2)]))


def test_figure_colours_are_css_variables() -> None:
    svg = forest(metric_rows()) + plots.lines({"a": curve(5, 0.9, 9)}, "loss", label="Loss")
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert {"var(--ink)", "var(--muted)", "var(--line)", "var(--accent)", "var(--s0)"} <= set(
        re.findall(r"var\(--\w+\)", svg)
    )


def test_figure_ids_are_unique_and_references_resolve() -> None:
    curves = {"a": curve(5, 0.9, 9)}
    svg = plots.lines(curves, "loss", label="Loss") + plots.lines(curves, "ndcg@50", label="NDCG@50")
    ids = Counter(re.findall(r'\bid="([^"]+)"', svg))
    assert set(ids.values()) == {1}
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg)) <= set(ids)


def test_equal_input_gives_identical_svg() -> None:
    assert forest(metric_rows()) == forest(metric_rows())


def test_best_epoch_is_marked_by_a_ring() -> None:
    points = [{"epoch": e, "ndcg@50": v} for e, v in ((1, 0.1), (2, 0.4), (3, 0.2))]
    plain, ringed = (plots.lines({"a": points}, "ndcg@50", label="x", select=select) for select in ("", "ndcg@50"))
    assert (len(dots(plain)), len(dots(ringed))) == (0, 1)


def test_ring_marks_the_epoch_with_the_best_log_rank_if_hits_are_few() -> None:
    rows = ((1, 0.4, 8.0), (2, 0.1, 7.0), (3, 0.2, 7.5))
    few = [{"epoch": e, "ndcg@50": value, "hits": 3, "log_rank": rank} for e, value, rank in rows]
    enough = [{**point, "hits": 50} for point in few]
    third = [{**point, "log_rank": -point["epoch"]} for point in few]
    (first,), (second,), (last,), (by_rank,) = (
        dots(plots.lines({"a": points}, key, label="x", select="ndcg@50"))
        for points, key in ((enough, "ndcg@50"), (few, "ndcg@50"), (third, "ndcg@50"), (few, "log_rank"))
    )
    assert first < second < last
    assert by_rank == pytest.approx(second, rel=0.1)


def test_lines_skip_missing_and_infinite_values() -> None:
    points = [{"epoch": 1, "loss": float("nan")}, {"epoch": 2, "loss": 3.0}, {"epoch": 3}]
    assert len(dots(plots.lines({"a": points, "empty": []}, "loss", label="Loss"))) == 1


def test_first_32_lines_have_distinct_styles() -> None:
    assert len({plots.series(at) for at in range(32)}) == 32

"""Plots of the main metric by number of seeds, popularity of hidden tracks, and vector size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.report import plots
from toolkit.report.result_tables import Column, Row, modalities
from toolkit.result_types import MetricRow

SLICES = (
    ("seeds", "seeds shown", "Playlists by the number of tracks shown of them."),
    (
        "popularity",
        "popularity of hidden tracks",
        "Hidden tracks by their training placements, a third of all placements each: head, middle, tail.",
    ),
)
"""Kind of slice, label of its axis, and the note below the figure."""

MOST = 8
"""Systems of one figure, the best ones: more lines cannot be distinguished."""


def trends(
    rows: Sequence[MetricRow], ranked: Sequence[Row], column: Column | None, sizes: Mapping[str, tuple[str, int]]
) -> list[dict[str, object]]:
    """Return figures with legend and note. Figures with fewer than two positions on the axis are omitted.

    - ranked: systems from best to worst.
    - sizes: type and embedding size of each sequential model.
    """
    if column is None:
        return []
    mine = [
        row for row in rows if row["split"] == "test" and (row["metric"], row["k"] or None) == (column.metric, column.k)
    ]
    names = [row.system for row in ranked if not row.oracle][:MOST]
    by_slice = [_by_slice(mine, names, column, *each) for each in SLICES]
    return [figure for figure in (*by_slice, _by_size(mine, column, sizes)) if figure]


def _by_slice(
    rows: Sequence[MetricRow], names: Sequence[str], column: Column, kind: str, axis: str, note: str
) -> dict[str, object]:
    parts = {row["slice"]: row["n"] for row in rows if row["slice"].startswith(f"{kind}:")}
    places = sorted(parts, key=_place)
    if len(places) < 2:
        return {}
    by = {(row["system"], row["slice"]): row for row in rows}
    drawn = {name: [(at, by[name, place]) for at, place in enumerate(places) if (name, place) in by] for name in names}
    ticks = [f"{place.partition(':')[2]}\nn {parts[place]:,}" for place in places]
    return _figure(drawn, ticks, column, kind, axis, note)


def _place(name: str) -> tuple[int, str]:
    """Return a sort key with `seeds:2-5` before `seeds:11-25`. Words are sorted alphabetically."""
    first = name.partition(":")[2].rstrip("+").partition("-")[0]
    return (int(first), "") if first.isdecimal() else (0, name)


def _by_size(rows: Sequence[MetricRow], column: Column, sizes: Mapping[str, tuple[str, int]]) -> dict[str, object]:
    """Return a line for each model type that was trained on the same modalities in more than one size."""
    lines: dict[str, list[tuple[int, MetricRow]]] = {}
    for row in rows:
        if row["slice"] == "all" and row["system"] in sizes:
            kind, size = sizes[row["system"]]
            lines.setdefault(f"{kind} on {modalities(row) or 'ids'}", []).append((size, row))
    lines = {name: points for name, points in lines.items() if len({size for size, _ in points}) > 1}
    known = sorted({size for points in lines.values() for size, _ in points})
    drawn = {
        name: [(known.index(size), row) for size, row in sorted(points, key=lambda each: each[0])]
        for name, points in lines.items()
    }
    if not lines:
        return {}
    ticks = [str(size) for size in known]
    return _figure(drawn, ticks, column, "size", "embedding size", "Models of one type and other sizes.")


def _figure(
    drawn: Mapping[str, Sequence[tuple[int, MetricRow]]],
    ticks: Sequence[str],
    column: Column,
    name: str,
    axis: str,
    note: str,
) -> dict[str, object]:
    points = {
        system: [(at, row["value"], row["ci_low"], row["ci_high"]) for at, row in own if row["value"] is not None]
        for system, own in drawn.items()
        if own
    }
    legend = [
        {"name": system, "colour": plots.series(at)[0], "dash": plots.series(at)[1]} for at, system in enumerate(points)
    ]
    figure = plots.steps(points, ticks, name=name, label=column.label, axis=axis)
    return {"figure": figure, "legend": legend, "caption": f"{column.label} by {axis}. {note} Bars are 95 % intervals."}

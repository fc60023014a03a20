"""The main metric against what may decide it: seeds shown, popularity of the hidden tracks, size of the vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.report import plots
from toolkit.report.result_tables import Column, Row

MetricRow = Mapping[str, Any]

SLICES = (
    ("seeds", "seeds shown", "Playlists by the number of tracks shown of them."),
    (
        "popularity",
        "popularity of hidden tracks",
        "Hidden tracks by their training placements, a third of all placements each: head, middle, tail.",
    ),
)
"""Kind of slice, the axis it makes, and what it says."""

MOST = 8
"""Systems of one figure: the best ones, for more lines could not be told apart."""


def trends(
    rows: Sequence[MetricRow], ranked: Sequence[Row], column: Column | None, sizes: Mapping[str, tuple[str, int]]
) -> list[dict[str, Any]]:
    """Figures with legend and note; a figure is left out where there are fewer than two places on its axis.

    ranked: systems, the best first. sizes: type and embedding size of each sequential model.
    """
    if column is None:
        return []
    mine = [
        row for row in rows if row["split"] == "test" and (row["metric"], row["k"] or None) == (column.metric, column.k)
    ]
    names = [row.system for row in ranked if not row.oracle][:MOST]
    found = [_by_slice(mine, names, column, *each) for each in SLICES]
    return [figure for figure in (*found, _by_size(mine, column, sizes)) if figure]


def _by_slice(
    rows: Sequence[MetricRow], names: Sequence[str], column: Column, kind: str, axis: str, note: str
) -> dict[str, Any]:
    parts = {row["slice"]: row["n"] for row in rows if row["slice"].startswith(f"{kind}:")}
    places = sorted(parts, key=_place)
    if len(places) < 2:
        return {}
    by = {(row["system"], row["slice"]): row for row in rows}
    drawn = {name: [(at, by[name, place]) for at, place in enumerate(places) if (name, place) in by] for name in names}
    ticks = [f"{place.partition(':')[2]}\nn {parts[place]:,}" for place in places]
    return _figure(drawn, ticks, column, kind, axis, note)


def _place(name: str) -> tuple[int, str]:
    """`seeds:2-5` before `seeds:11-25`; words by the alphabet, in which head, middle and tail follow each other."""
    first = name.partition(":")[2].rstrip("+").partition("-")[0]
    return (int(first), "") if first.isdecimal() else (0, name)


def _by_size(rows: Sequence[MetricRow], column: Column, sizes: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """A line for each type of model on the same modalities that was trained in more than one size."""
    lines: dict[str, list[tuple[int, MetricRow]]] = {}
    for row in rows:
        if row["slice"] == "all" and row["system"] in sizes:
            kind, size = sizes[row["system"]]
            told = row["modalities"] if isinstance(row["modalities"], str) else ", ".join(row["modalities"])
            lines.setdefault(f"{kind} on {told}" if told else f"{kind} on ids", []).append((size, row))
    lines = {name: points for name, points in lines.items() if len({size for size, _ in points}) > 1}
    known = sorted({size for points in lines.values() for size, _ in points})
    drawn = {
        name: [(known.index(size), row) for size, row in sorted(points, key=lambda each: each[0])]
        for name, points in lines.items()
    }
    return (
        _figure(
            drawn,
            [str(size) for size in known],
            column,
            "size",
            "embedding size",
            "Models of one type and other sizes.",
        )
        if lines
        else {}
    )


def _figure(
    drawn: Mapping[str, Sequence[tuple[int, MetricRow]]],
    ticks: Sequence[str],
    column: Column,
    name: str,
    axis: str,
    note: str,
) -> dict[str, Any]:
    points = {
        each: [(at, row["value"], row["ci_low"], row["ci_high"]) for at, row in own]
        for each, own in drawn.items()
        if own
    }
    legend = [
        {"name": each, **dict(zip(("colour", "dash"), plots.series(at), strict=True))} for at, each in enumerate(points)
    ]
    figure = plots.steps(points, ticks, name=name, label=column.label, axis=axis)
    return {"figure": figure, "legend": legend, "caption": f"{column.label} by {axis}. {note} Bars are 95 % intervals."}

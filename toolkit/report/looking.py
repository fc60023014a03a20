"""What the page shows of predicted factors: map, neighbours, and artists at the ends of factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.report import plots


def looking(found: Mapping[str, Any]) -> dict[str, Any]:
    """Figure, legend and rows; empty where there is nothing to see."""
    if not found:
        return {}
    drawn = found["map"]
    groups = [*drawn["genres"], "others"]
    points: list[tuple[float, float, int]] = [(x, y, place if place >= 0 else len(groups) - 1) for x, y, place in drawn["points"]]
    legend = [{"name": name, "mark": plots.MARKS[at % len(plots.MARKS)], "colour": at} for at, name in enumerate(groups[:-1])]
    return {
        "figure": plots.scatter(points, groups, label=f"Map of {len(points)} tracks by {drawn['vectors']}"),
        "caption": f"t-SNE of {len(points):,} tracks by {drawn['vectors']}: near is alike",
        "legend": legend,
        "similar": [
            {"track": _name(row["track"]), "true": [_name(each) for each in row["true"]], "predicted": _hits(row)}
            for row in found["similar"]
        ],
        "ends": [{"factor": row["factor"], "low": ", ".join(row["low"]), "high": ", ".join(row["high"])} for row in found["ends"]],
    }


def _hits(row: Mapping[str, Any]) -> list[str]:
    """The predicted neighbours, with a tick beside those that are true ones."""
    true = {each["id"] for each in row["true"]}
    return [f"{_name(each)} ✓" if each["id"] in true else _name(each) for each in row["predicted"]]


def _name(track: Mapping[str, Any]) -> str:
    parts: Sequence[str] = [part for part in (track.get("title"), track.get("artist")) if part]
    return " · ".join(parts) or str(track["id"])

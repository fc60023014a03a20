"""What the page shows of predicted factors: map, neighbours, and artists at the ends of factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.report import scatter_plot
from toolkit.report.track_map_section import name


def looking(found: Mapping[str, Any]) -> dict[str, Any]:
    """Figure, legend and rows; empty where there is nothing to see."""
    if not found:
        return {}
    drawn = found["map"]
    tracks = drawn.get("tracks") or [{"id": ""}] * len(drawn["points"])
    points = [(x, y, place, name(track)) for (x, y, place), track in zip(drawn["points"], tracks, strict=True)]
    return {
        "figure": scatter_plot.scatter(points, label=f"Map of {len(points)} tracks by {drawn['vectors']}"),
        "caption": f"t-SNE of {len(points):,} tracks by {drawn['vectors']}: near is alike",
        "legend": scatter_plot.legend(points, drawn["genres"]),
        "similar": [
            {"track": name(row["track"]), "true": [name(each) for each in row["true"]], "predicted": _hits(row)}
            for row in found["similar"]
        ],
        "ends": [
            {"factor": row["factor"], "low": ", ".join(row["low"]), "high": ", ".join(row["high"])}
            for row in found["ends"]
        ],
    }


def _hits(row: Mapping[str, Any]) -> list[str]:
    """The predicted neighbours, with a tick beside those that are true ones."""
    true = {each["id"] for each in row["true"]}
    return [f"{name(each)} ✓" if each["id"] in true else name(each) for each in row["predicted"]]

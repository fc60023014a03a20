"""Report section on predicted factors: map, neighbours, and the artists at both ends of a factor."""

from __future__ import annotations

from toolkit.report import scatter_plot
from toolkit.report.track_map_section import name
from toolkit.result_types import FactorMap, FactorNeighbours, Track


def factor_map(content: FactorMap) -> dict[str, object]:
    """Return figure, legend and rows for `factor_map.json`. The result is empty for an empty file."""
    if not content:
        return {}
    drawn = content["map"]
    unnamed: Track = {"id": ""}
    tracks = drawn.get("tracks") or [unnamed] * len(drawn["points"])
    points = [(x, y, place, name(track)) for (x, y, place), track in zip(drawn["points"], tracks, strict=True)]
    return {
        "figure": scatter_plot.scatter(points, label=f"Map of {len(points)} tracks by {drawn['vectors']}"),
        "caption": f"t-SNE of {len(points):,} tracks by {_what(content)} {drawn['vectors']}: near is alike. "
        + scatter_plot.MOVED,
        "legend": scatter_plot.legend(points, drawn["genres"]),
        "similar": [
            {"track": name(row["track"]), "true": [name(each) for each in row["true"]], "predicted": _hits(row)}
            for row in content["similar"]
        ],
        "unplayed": [
            {"track": name(row["track"]), "predicted": [name(each) for each in row["predicted"]]}
            for row in content.get("unplayed") or ()
        ],
        "ends": [
            {"factor": row["factor"], "low": ", ".join(row["low"]), "high": ", ".join(row["high"])}
            for row in content["ends"]
        ],
    }


def _what(content: FactorMap) -> str:
    """Return what tracks are compared by: usage patterns, or factors in runs of earlier versions."""
    return "usage patterns predicted by" if "unplayed" in content else "factors predicted by"


def _hits(row: FactorNeighbours) -> list[str]:
    """Return the predicted neighbours, with a tick after each true neighbour."""
    true = {each["id"] for each in row["true"]}
    return [f"{name(each)} ✓" if each["id"] in true else name(each) for each in row["predicted"]]

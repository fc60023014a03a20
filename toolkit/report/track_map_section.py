"""What the page shows of `map.json`: the map of tracks, and which tracks are most similar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.report import scatter_plot

METHODS = {"tsne": "t-SNE", "umap": "UMAP"}


def track_map(found: Mapping[str, Any]) -> dict[str, Any]:
    """Figure, legend, caption and rows; empty where there is nothing to see."""
    points = [(each["x"], each["y"], each["group"], _told(each)) for each in found.get("points") or ()]
    similar = found.get("similar") or []
    if not points and not similar:
        return {}
    spaces = list(similar[0]["near"]) if similar else []
    method = METHODS[found.get("method", "tsne")]
    return {
        "figure": scatter_plot.scatter(points, label=f"Map of {len(points)} tracks by {found['vectors']}")
        if points
        else "",
        "legend": scatter_plot.legend(points, found.get("groups") or []),
        "caption": f"{method} of the {len(points):,} most played tracks by {found['vectors']}, coloured by {found.get('by')}:"
        " near is alike, far says little.",
        "spaces": spaces,
        "similar": [{"track": row["track"], "near": [row["near"][space] for space in spaces]} for row in similar],
        "similar_caption": f"The most played tracks and the nearest to each by cosine, among the {found['among']:,} most played",
    }


def name(track: Mapping[str, Any]) -> str:
    """Title and artist, or the id of a track without either."""
    return " · ".join(part for part in (track.get("title"), track.get("artist")) if part) or str(track["id"])


def _told(track: Mapping[str, Any]) -> str:
    plays = track["plays"]
    return f"{name(track)} · {plays:,} {'play' if plays == 1 else 'plays'}"

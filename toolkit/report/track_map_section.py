"""Report section for `map.json`: the map of tracks, and the most similar tracks."""

from __future__ import annotations

from toolkit.report import scatter_plot
from toolkit.result_types import Dot, Track, TrackMap

METHODS = {"tsne": "t-SNE", "umap": "UMAP"}


def track_map(content: TrackMap) -> dict[str, object]:
    """Return figure, legend, caption and rows for `map.json`, or an empty result without points and similar tracks."""
    points = [(dot["x"], dot["y"], dot["group"], _title(dot)) for dot in content.get("points") or ()]
    similar = content.get("similar") or []
    if not points and not similar:
        return {}
    spaces = list(similar[0]["near"]) if similar else []
    method = METHODS[content.get("method", "tsne")]
    return {
        "figure": scatter_plot.scatter(points, label=f"Map of {len(points)} tracks by {content['vectors']}")
        if points
        else "",
        "legend": scatter_plot.legend(points, content.get("groups") or []),
        "caption": f"{method} of the {len(points):,} most played tracks by {content['vectors']}, "
        f"coloured by {content.get('by')}: near is alike, far says little. {scatter_plot.MOVED}",
        "spaces": spaces,
        "similar": [{"track": row["track"], "near": [row["near"][space] for space in spaces]} for row in similar],
        "similar_caption": "The most played tracks and the nearest to each by cosine, "
        f"among the {content['among']:,} most played",
    }


def name(track: Track) -> str:
    """Return title and artist of a track, or its id if both are missing."""
    return " · ".join(part for part in (track.get("title"), track.get("artist")) if part) or str(track["id"])


def _title(track: Dot) -> str:
    plays = track["plays"]
    return f"{name(track)} · {plays:,} {'play' if plays == 1 else 'plays'}"

"""Report section on tags predicted from vectors."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.result_types import TagScores

METHODS = {"logistic": "logistic regression, ten folds", "mlp": "two layers, 70 / 10 / 20 %"}
SHOWN = 3


def tags(rows: Sequence[TagScores]) -> dict[str, object]:
    """Return caption and lines of the table. The result is empty if no tags were predicted."""
    return {"caption": _caption(rows[0]), "lines": [_line(row) for row in rows]} if rows else {}


def _caption(row: TagScores) -> str:
    names, tracks = f"{row['asked']} commonest of {row['field']}", f"{row['tracks']:,} tracks"
    return f"Area under the curve, mean over the {names}; {tracks} have all vectors and tags"


def _area(value: float | None, interval: Sequence[float | None] | None) -> str:
    if value is None:
        return "–"
    low, high = interval or (None, None)
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.3f}, {high:.3f}]"


def _line(row: TagScores) -> dict[str, str]:
    known = {tag: value for tag, value in row["by_tag"].items() if value is not None}
    best = sorted(known, key=lambda tag: (-known[tag], tag))[:SHOWN]
    return {
        "vectors": row["vectors"],
        "method": METHODS.get(row["method"], row["method"]),
        "auc": _area(row["auc"], row.get("interval")),
        "new": _area(new["auc"], new["interval"]) if (new := row.get("new")) else "–",
        "tags": str(len(known)),
        "tested": f"{row['tested']:,}",
        "best": ", ".join(f"{tag} {known[tag]:.2f}" for tag in best),
    }

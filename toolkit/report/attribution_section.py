"""What the page says of each modality's share in what a model reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.report.result_tables import Column

WAYS = {"left out": "trained without it", "shuffled": "its vectors shuffled"}
LISTS = ("adds", "no credit shown", "costs")


def attribution(found: Mapping[str, Sequence[Mapping[str, Any]]], main: Column | None) -> dict[str, Any]:
    """Tables by model and weights; empty where the run has no attribution.

    The main metric over all tracks first, then (`folded`) the rest, by slice.
    """
    rows = list(found.get("differences") or ())
    groups: dict[tuple[bool, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        folded = row["slice"] != "all" or Column.of(row) != main
        groups.setdefault((folded, row["system"], row["slice"]), []).append(row)
    tables = [
        {"caption": _caption(system, part), "folded": folded, "lines": [_line(row) for row in lines]}
        for (folded, system, part), lines in sorted(groups.items(), key=lambda group: group[0][0])
    ]
    read = [_sentence(system, lines) for (folded, system, _), lines in groups.items() if not folded]
    return {"tables": tables, "weights": _weights(found.get("weights") or ()), "sentences": read} if rows else {}


def reading(row: Mapping[str, Any]) -> str:
    """What the interval of a model less its variant says; empty where there is none."""
    low, high = row.get("ci_low"), row.get("ci_high")
    if low is None or high is None:
        return ""
    if low <= 0 <= high:
        return "no credit shown"
    return "adds" if (low > 0) != Column.of(row).lower_is_better else "costs"


def _sentence(system: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """`sasrec: trained without it, audio and lyrics add, cover costs, …`, for the models trained without each modality."""
    left_out = [row for row in rows if row["way"] == "left out"]
    said: dict[str, list[str]] = {name: [] for name in LISTS}
    for row in left_out:
        if word := reading(row):
            said[word].append(row["modality"])
    words = {
        "adds": ("adds", "add"),
        "no credit shown": ("shows no credit", "show no credit"),
        "costs": ("costs", "cost"),
    }
    parts = [f"{_listed(names)} {words[kind][len(names) > 1]}" for kind, names in said.items() if names]
    metric = Column.of(left_out[0]).label if left_out else ""
    return f"{system}, by {metric} when trained without: {', '.join(parts)}." if parts else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _caption(system: str, part: str) -> str:
    among = {"all": "", "macro": ", mean over playlists"}.get(part, f", {part} tracks")
    return f"{system} less itself without each modality, on the same test playlists{among}"


def _line(row: Mapping[str, Any]) -> dict[str, str]:
    column, bounds = Column.of(row), (row.get("ci_low"), row.get("ci_high"))
    return {
        "modality": row["modality"],
        "way": WAYS.get(row["way"], row["way"]),
        "metric": column.label,
        "difference": "–" if row.get("difference") is None else column.format(row["difference"], sign=True),
        "interval": "–"
        if None in bounds
        else " to ".join(column.format(end, sign=True) for end in bounds if end is not None),
        "reading": reading(row),
    }


def _weights(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "system": row["system"],
            "modality": row["modality"],
            "of": row.get("label", row["of"]),  # runs of before labels say `of` alone
            "value": f"{row['value']:.3f}".replace("-", "−"),
        }
        for row in rows
    ]

"""The section of the page on what each modality adds to a model."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.page_sections import signed
from toolkit.report.result_tables import Column
from toolkit.result_types import Attribution, AttributionRow, PairedRow, Weight

WAYS = {"left out": "trained without it", "shuffled": "its vectors shuffled"}
VERBS = {"adds": "add", "no credit shown": "show no credit", "costs": "cost"}
"""What `reading` returns, and its verb for several modalities."""


def attribution(content: Attribution, main: Column | None) -> dict[str, object]:
    """Tables by model and weights; empty if the run has no attribution.

    The main metric over all tracks comes first, then (`folded`) the rest by slice.
    """
    rows = content.get("differences") or []
    groups: dict[tuple[bool, str, str], list[AttributionRow]] = {}
    for row in rows:
        folded = row["slice"] != "all" or Column.of(row) != main
        groups.setdefault((folded, row["system"], row["slice"]), []).append(row)
    tables = [
        {"caption": _caption(system, part), "folded": folded, "lines": [_line(row) for row in lines]}
        for (folded, system, part), lines in sorted(groups.items(), key=lambda group: group[0][0])
    ]
    sentences = [_sentence(system, lines) for (folded, system, _), lines in groups.items() if not folded]
    weights = [_weight(row) for row in content.get("weights") or []]
    return {"tables": tables, "weights": weights, "sentences": sentences} if rows else {}


def reading(row: PairedRow) -> str:
    """What the interval of a model less its variant shows; empty if there is none."""
    low, high = row["ci_low"], row["ci_high"]
    if low is None or high is None:
        return ""
    if low <= 0 <= high:
        return "no credit shown"
    return "adds" if (low > 0) != Column.of(row).lower_is_better else "costs"


def _sentence(system: str, rows: Sequence[AttributionRow]) -> str:
    """`sasrec, by NDCG@50 when trained without: audio and lyrics add, cover costs.`"""
    left_out = [row for row in rows if row["way"] == "left out"]
    parts = []
    for verb, plural in VERBS.items():
        if names := [row["modality"] for row in left_out if reading(row) == verb]:
            one = "shows no credit" if verb == "no credit shown" else verb
            parts.append(f"{_listed(names)} {plural if len(names) > 1 else one}")
    metric = Column.of(left_out[0]).label if left_out else ""
    return f"{system}, by {metric} when trained without: {', '.join(parts)}." if parts else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _caption(system: str, part: str) -> str:
    among = {"all": "", "macro": ", mean over playlists"}.get(part, f", {part} tracks")
    return f"{system} less itself without each modality, on the same test playlists{among}"


def _line(row: AttributionRow) -> dict[str, str]:
    column = Column.of(row)
    return {
        "modality": row["modality"],
        "way": WAYS.get(row["way"], row["way"]),
        "metric": column.label,
        "difference": signed(column, row["difference"]),
        "interval": signed(column, row["ci_low"], row["ci_high"]),
        "reading": reading(row),
    }


def _weight(row: Weight) -> dict[str, str]:
    return {
        "system": row["system"],
        "modality": row["modality"],
        "of": row.get("label", row["of"]),  # earlier versions wrote no label
        "value": f"{row['value']:.3f}".replace("-", "−"),
    }

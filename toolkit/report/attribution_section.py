"""Report section on the contribution of each modality to a model."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report import claims
from toolkit.report.page_sections import by_table, signed
from toolkit.report.result_tables import Column
from toolkit.result_types import Attribution, AttributionRow, PairedRow, Weight

WAYS = {"left out": "trained without it", "shuffled": "its vectors shuffled"}
VERBS = {"adds": "add", "no credit shown": "show no credit", "costs": "cost"}
"""What `reading` returns, and its verb for several modalities."""


def attribution(content: Attribution, main: Column | None) -> dict[str, object]:
    """Return tables by model, and weights. The result is empty if the run has no attribution.

    The main metric over all tracks comes first. All other tables, by slice, are marked as `folded`.
    """
    groups = by_table(content.get("differences") or [], main, lambda row: row["system"])
    if not groups:
        return {}
    return {
        "tables": [
            {
                "caption": f"{system} less itself without each modality, {among}",
                "folded": folded,
                "lines": [_line(row) for row in lines],
            }
            for folded, system, among, lines in groups
        ],
        "weights": [_weight(row) for row in content.get("weights") or []],
        "sentences": [_sentence(system, lines) for folded, system, _, lines in groups if not folded],
    }


def reading(row: PairedRow) -> str:
    """Return what interval and tests of a model minus its variant show, or an empty text without an interval."""
    low = row["ci_low"]
    if low is None:
        return ""
    if not claims.shown(row):
        return "no credit shown"
    return "adds" if (low > 0) != Column.of(row).lower_is_better else "costs"


def _sentence(system: str, rows: Sequence[AttributionRow]) -> str:
    """Return a sentence such as `sasrec, by NDCG@50 when trained without: audio and lyrics add, cover costs.`"""
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

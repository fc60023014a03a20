"""Claims that a paired difference allows, from its interval and its tests.

A difference is claimed only if its interval excludes zero and every test agrees after correction.
"""

from __future__ import annotations

from toolkit.result_types import PairedRow

LEVEL = 0.05
FEW = 20
"""Playlists below which the tests of earlier versions were too optimistic."""


def is_shown(low: float | None, high: float | None, p: float | None) -> bool:
    """Return whether a difference is shown: its interval excludes zero, and the largest p of all tests is below .05."""
    return low is not None and high is not None and not low <= 0 <= high and (p is None or not p >= LEVEL)


def largest_p(row: PairedRow, *, corrected: bool = True) -> float | None:
    """Return the larger p of both tests, corrected for the systems compared if the row has corrected values.

    Rows of earlier versions with few playlists, or with versions of playlists, have p = 1, because their tests were too
    optimistic.
    """
    if "test" not in row and ((row.get("n") or FEW) < FEW or row.get("resampled") == "groups"):
        return 1.0
    names = ("p_holm", "p_t_holm") if corrected and "p_holm" in row else ("p", "p_t")
    values = [p for name in names if isinstance(p := row.get(name), float | int)]
    return max(values, default=None)


def shown(row: PairedRow) -> bool:
    """Return whether a difference is shown by its interval and every test."""
    return is_shown(row["ci_low"], row["ci_high"], largest_p(row))


def why_not_shown(row: PairedRow) -> str:
    """Return in words that a difference is not shown, or "" if it is."""
    if shown(row):
        return ""
    if cannot_show(row):
        return f"cannot show any difference: {cure(row)}"
    alone = is_shown(row["ci_low"], row["ci_high"], largest_p(row, corrected=False))
    return "no difference shown once corrected" if alone else "no difference shown"


def cannot_show(row: PairedRow) -> bool:
    """Return whether no possible difference would be significant on the playlists of a row."""
    return "test" in row and row.get("detectable") is None and row["difference"] != 0 and not shown(row)


def cure(row: PairedRow) -> str:
    """Return what would let the playlists of a row show smaller differences, or any."""
    floor = row.get("p_floor")
    resampled = row.get("test") != "sign flips" and floor is not None and floor >= LEVEL
    return "raise evaluation.bootstrap" if resampled else "use more test playlists"


def at_floor(row: PairedRow) -> bool:
    """Return whether the p of a difference is the smallest that its test can give."""
    p, floor = row.get("p"), row.get("p_floor")
    return p is not None and floor is not None and p <= floor * (1 + 1e-6)

"""What a run asked of its systems: runs that asked otherwise, or of other data, cannot stand in one table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from toolkit.report.page_sections import describe

WAYS = frozenset({"faults", "shuffle_seeds", "equal_lists"})
"""Of `evaluation.split`: ways to ask the same of the same playlists, that one compares and does not put into one table."""

LIMITS = frozenset({"strict_overlap"})
"""Of `evaluation.split`: what ends a run, and changes no number."""

SIZES = ("tracks", "playlists", "placements")
"""Of `data.json`: runs that differ here ranked other tracks, or asked about other playlists."""

LEARNED = ("split", "train_placements")
"""Of `data.json`: how much was learned from, which one compares and does not put into one table."""

File = Mapping[str, Any]
"""A parsed file of a run."""


def other_questions(a: File, b: File, *, ways: bool = False) -> list[str]:
    """Where two resolved recipes ask differently: `evaluation.split.shown 0.7 and 0.5`. ways: also where only in `WAYS`."""
    left_out = LIMITS if ways else LIMITS | WAYS
    one, other = (_asked(each.get("evaluation") or {}, left_out) for each in (a, b))
    if one["split"].get("type") != other["split"].get("type"):
        return _differences("evaluation.split", ["type"], one["split"], other["split"])
    return _differences("evaluation", ["split", "allow_repeats"], one, other)


def _asked(evaluation: File, left_out: Collection[str]) -> dict[str, Any]:
    """The protocol of a resolved recipe's section, which may have the form of before, and whether seeds may be ranked."""
    from pydantic import ValidationError

    from toolkit.recipe.evaluation_section import DEFAULT, modern

    try:
        entry: File = modern(dict(evaluation))[0]
    except ValidationError:  # a protocol that is not installed any more
        entry = evaluation
    split = entry.get("split") or {}
    split = {"type": DEFAULT, **split} if isinstance(split, Mapping) else {"type": split}
    kept = {key: value for key, value in split.items() if key not in left_out}
    return {"split": kept, "allow_repeats": entry.get("allow_repeats")}


def other_data(a: File, b: File, keys: Iterable[str] = SIZES) -> list[str]:
    """Where two `data.json` tell of other data: `data.tracks 2,000 and 300`; what one of them does not tell is no difference."""
    return _differences("data", [key for key in keys if key in a and key in b], a, b)


def other_files(a: File, b: File) -> list[str]:
    """Whether two manifests name other bytes: of the same sizes, they may hold playlists in another order."""
    one, other = ((manifest.get("data") or {}).get("blake2b") for manifest in (a, b))
    return [] if None in (one, other) or one == other else [f"files of hash {one} and {other}"]


def _differences(where: str, keys: Iterable[str], a: File, b: File) -> list[str]:
    found: list[str] = []
    for key in keys:
        one, other = a.get(key), b.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _differences(f"{where}.{key}", dict.fromkeys([*one, *other]), one, other)
        elif one != other:
            found.append(f"{where}.{key} {_told(one)} and {_told(other)}")
    return found


def _told(value: Any) -> str:
    return "none" if value is None or value == [] else describe(value, group=True)

"""Checks that two runs use the same data and the same evaluation, as required for a shared table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from toolkit.recipe.stored_recipe import StoredEvaluation, StoredRecipe
from toolkit.report.page_sections import describe
from toolkit.result_types import DataFacts, Manifest

WAYS = frozenset({"faults", "shuffle_seeds", "equal_lists"})
"""Keys of `evaluation.split`: ways to ask the same of the same playlists.

Such runs are compared, but share no table.
"""

LIMITS = frozenset({"strict_overlap"})
"""Keys of `evaluation.split` that stop a run and change no number."""

SIZES = ("tracks", "playlists", "placements")
"""Keys of `data.json`: runs that differ here ranked other tracks, or were evaluated on other playlists."""

LEARNED = ("split", "train_placements")
"""Keys of `data.json` about the training data. Runs that differ here are compared, but share no table."""


def other_questions(a: StoredRecipe, b: StoredRecipe, *, ways: bool = False) -> list[str]:
    """Return differences between the evaluation settings of two resolved recipes, as texts.

    A text is, for example, `evaluation.split.shown 0.7 and 0.5`.

    - ways: whether differences in `WAYS` count.
    """
    ignored = LIMITS if ways else LIMITS | WAYS
    first, second = (recipe.get("evaluation") or {} for recipe in (a, b))
    one, other = (_split(evaluation, ignored) for evaluation in (first, second))
    if one.get("type") != other.get("type"):
        return _differences("evaluation.split", ["type"], one, other)
    questions = (
        {"split": split, "allow_repeats": evaluation.get("allow_repeats")}
        for split, evaluation in ((one, first), (other, second))
    )
    return _differences("evaluation", ["split", "allow_repeats"], *questions)


def _split(evaluation: StoredEvaluation, ignored: Collection[str]) -> dict[str, object]:
    """Return the protocol of a resolved recipe, also for a section in the form of earlier versions."""
    from pydantic import ValidationError

    from toolkit.recipe.evaluation_section import DEFAULT, modern

    try:
        split = modern(dict(evaluation))[0].get("split") or {}
    except ValidationError:  # a protocol that is no longer installed
        split = evaluation.get("split") or {}
    split = {"type": DEFAULT, **split} if isinstance(split, Mapping) else {"type": split}
    return {str(key): value for key, value in split.items() if key not in ignored}


def other_data(a: DataFacts, b: DataFacts, keys: Iterable[str] = SIZES) -> list[str]:
    """Return differences between two `data.json`, such as `data.tracks 2,000 and 300`. Missing keys do not count."""
    return _differences("data", [key for key in keys if key in a and key in b], a, b)


def other_files(a: Manifest, b: Manifest) -> list[str]:
    """Return differences between the data files of two runs. Files of equal size may order playlists differently."""
    # without the files that records name: a run without content has not read them
    hashes = [data.get("data_blake2b") or data.get("blake2b") for data in (a.get("data", {}), b.get("data", {}))]
    return [] if (None in hashes or hashes[0] == hashes[1]) else [f"files of hash {hashes[0]} and {hashes[1]}"]


def _differences(where: str, keys: Iterable[str], a: Mapping[str, object], b: Mapping[str, object]) -> list[str]:
    differences: list[str] = []
    for key in keys:
        one, other = a.get(key), b.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            differences += _differences(f"{where}.{key}", dict.fromkeys([*one, *other]), one, other)
        elif one != other:
            differences.append(f"{where}.{key} {_in_words(one)} and {_in_words(other)}")
    return differences


def _in_words(value: object) -> str:
    return "none" if value is None or value == [] else describe(value, group=True)

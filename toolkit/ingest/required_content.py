"""Tracks with the content that the filter `require` demands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from toolkit.catalogue.blobs import BlobValues
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.progress import Reporter
from toolkit.recipe import ContentRule

AT_ONCE = 10_000
"""Tracks whose texts are in memory at once."""

RATE = 1000
"""Samples per second at which sounds are decoded to measure them."""

TOLERANCE_S = 0.02
"""Seconds by which a sound may be shorter, because coders pad sounds and cut them at whole blocks."""


def tracks_with(
    catalogue: Catalogue, rules: dict[str, ContentRule], ids: Sequence[str], reporter: Reporter
) -> np.ndarray:
    """Return which tracks have the content that all rules demand, bool [n].

    The reporter notes how many tracks pass each rule. Raises `InputError` for an unknown field, a field of another
    kind, and rules that no track passes.
    """
    passed = np.ones(len(ids), bool)
    for field, rule in rules.items():
        places = np.flatnonzero(passed)
        good = [
            _passing(catalogue, field, rule, [ids[place] for place in places[start : start + AT_ONCE].tolist()])
            for start in range(0, len(places), AT_ONCE)
        ]
        passed[places] = np.concatenate(good) if good else False
        reporter.note(f"filters.require.{field}: {int(passed.sum()):,} of {len(places):,} tracks are kept")
        if not passed.any():
            wanted = ", ".join(f"{name}={value}" for name, value in rule.model_dump(exclude_none=True).items())
            raise InputError(
                f"filters.require.{field} leaves no track{f' ({wanted})' if wanted else ''}: reduce the minimum or"
                " remove the rule"
            )
    return passed


def _passing(catalogue: Catalogue, field: str, rule: ContentRule, ids: Sequence[str]) -> np.ndarray:
    present, values = catalogue.field_values(field, ids)
    places = np.flatnonzero(present)
    if rule.min_seconds is not None:
        present[places] = _long_sounds(field, values, rule.min_seconds)
        return present
    tests: list[Callable[[str], bool]] = []
    if (length := rule.min_length) is not None:
        tests.append(lambda text: len(text.strip()) >= length)
    if (count := rule.min_count) is not None:
        tests.append(lambda text: sum(1 for label in text.split(",") if label.strip()) >= count)
    if tests and len(values) and not isinstance(values[0], str):
        raise InputError(
            f"filters.require.{field} must be a rule for {_kind(values)}: `min_length` and `min_count` require texts"
        )
    if tests:
        present[places] = [all(test(text) for test in tests) for text in values]
    return present


def _long_sounds(field: str, values: Sequence[object], seconds: float) -> list[bool]:
    """Return which sounds are long enough. One that cannot be decoded is not."""
    if isinstance(values, BlobValues):
        from toolkit.encoders.audio.waveforms import waveforms
        from toolkit.encoders.contract.field_values import Files

        shortest = (seconds - TOLERANCE_S) * RATE
        sounds = waveforms(Files(values), rate=RATE, seconds=seconds)
        return [isinstance(sound, np.ndarray) and len(sound) >= shortest for sound in sounds]
    if all(isinstance(value, float) for value in values):
        return [isinstance(value, float) and value >= seconds for value in values]
    raise InputError(f"filters.require.{field} must be a rule for {_kind(values)}: `min_seconds` requires sounds")


def _kind(values: Sequence[object]) -> str:
    if isinstance(values, BlobValues):
        return "files"
    return {str: "texts", float: "numbers"}.get(type(values[0]), "vectors")

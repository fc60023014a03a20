"""Tests that no regular expression of the packages takes quadratic time on any text."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.fuzz.attempts import attempt
from tests.fuzz.regex_strings import SEARCHES, Found, attacks, patterns, unevaluated

pytestmark = pytest.mark.fuzz

SMALL, FACTOR = 6_000, 8
SUSPICIOUS_S = 0.004
"""Seconds for `SMALL` characters from which a longer text is tried: a linear pattern takes less than 0.5 ms."""
SLOWER = 20
"""Largest growth of the time on a text `FACTOR` times as long: 8 is linear and 64 quadratic."""

FROM_CALLERS = {
    "toolkit.encoders.text.cleaning: pattern",  # a loop over patterns that the module keeps, found there
    "toolkit.encoders.text.text_encoder: pattern",  # token_pattern, which the user of a recipe chooses
    "toolkit.encoders.text.tfidf: self.params.token_pattern",
    "toolkit.encoders.text.word_means: self.params.token_pattern",
    "toolkit.validation: pattern",  # fixed patterns on messages of pydantic, which are short
}
"""Calls whose pattern is not in the call."""


def test_every_pattern_takes_linear_time_on_texts_made_from_its_parts(tries: Callable[[int], int]) -> None:
    found = patterns()

    result = attempt(partial(_check, number=tries(150)), [(each.place, each) for each in found], seconds=20)

    assert not result.faults
    assert result.counts["passed"] == len(found) > 90


@pytest.mark.parametrize("slow", [r"a*b", r"<[^>]*>", r"\((?:feat )*[^)]*\)", r"(\w+\s?)*!"])
def test_check_notices_a_pattern_with_quadratic_time(slow: str) -> None:
    found = Found(slow, re.compile(slow), frozenset({"search"}))

    result = attempt(partial(_check, number=300), [(slow, found)], seconds=4)

    assert [name for name, _ in result.faults] == [slow]


def test_patterns_outside_the_check_are_known() -> None:
    assert set(unevaluated()) == FROM_CALLERS


def _check(found: Found, number: int) -> None:
    """Assert that the time of a pattern grows no faster than the text, on `number` of its attacks."""
    every = list(attacks(found))
    chosen = random.Random(found.place).sample(every, min(number, len(every)))
    for name in sorted(found.functions or {"search"}):
        call = _caller(found.pattern, name)
        for attack in chosen:
            small = _seconds(call, attack.text(SMALL))
            if small < SUSPICIOUS_S:
                continue
            small, large = _seconds(call, attack.text(SMALL)), _seconds(call, attack.text(SMALL * FACTOR))
            assert large < SLOWER * small, (
                f"{name}: {small:.4f} s for {SMALL} characters, {large:.4f} s for {FACTOR} times as many: {attack}"
            )


def _caller(pattern: re.Pattern[str], name: str) -> Callable[[str], object]:
    """Return a function that tries a pattern on a text as function `name` does."""
    if name in SEARCHES:
        return pattern.findall
    return getattr(pattern, name)


def _seconds(call: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    call(text)
    return time.process_time() - started

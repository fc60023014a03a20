"""Tests of the harness itself: each kind of fault is noticed."""

from __future__ import annotations

import ctypes
import time

from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit.errors import DataError


def _act(kind: str) -> None:
    if kind == "refuse":
        raise DataError("x=1 must be 2: set it to 2")
    if kind == "long":
        raise DataError("first line\nsecond line")
    if kind == "raise":
        raise KeyError("x")
    if kind == "crash":
        ctypes.string_at(0)
    if kind == "hang":
        time.sleep(30)
    if kind == "grow":
        assert len(b"\x01" * (1 << 30))


def test_attempt_every_fault_is_counted_and_the_rest_is_still_tried() -> None:
    kinds = ["pass", "refuse", "long", "raise", "crash", "hang", "grow", "pass"]

    result = attempt(_act, [(kind, kind) for kind in kinds], seconds=2, megabytes=200)

    assert result.counts == dict(passed=2, refused=1, unclear=1, raised=1, killed=1, late=1, grown=1)
    assert [name for name, _ in result.faults] == ["long", "raise", "crash", "hang", "grow"]
    assert "SIGSEGV" in result.faults[2][1]


def test_mutations_of_a_seed_are_the_same_each_time_and_differ_between_seeds() -> None:
    samples = {"a": b"some bytes to damage", "b": b"{}"}

    first = dict(mutations(samples, 50, seed=1))

    assert first == dict(mutations(samples, 50, seed=1))
    assert len(first) == 50
    assert list(first.values()) != list(dict(mutations(samples, 50, seed=2)).values())

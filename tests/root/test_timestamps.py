"""Tests of time parsing and formatting."""

from __future__ import annotations

import pytest

from toolkit.timestamps import FIRST, LAST, NO_TIME, to_iso, to_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        (" 881250949 ", 881250949),
        ("1593604800.9", 1593604800),
        ("-1.5", -2),
        ("2020-07-01", 1593561600),
        ("20200701", 1593561600),
        ("2020-07-01T12:00:00", 1593604800),
        ("2020-07-01T12:00:00Z", 1593604800),
        ("2020-07-01 14:00:00+02:00", 1593604800),
        ("2020-07-01T12:00:00.999999+00:00", 1593604800),
    ],
)
def test_to_seconds_parses_iso_8601_and_numbers(text: str, expected: int) -> None:
    assert to_seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1593604800000", "nan", "inf", "2020-13-01", "07/01/2020", "99999999"]
)
def test_to_seconds_returns_none_for_invalid_text(text: str) -> None:
    assert to_seconds(text) is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [(FIRST, "0001-01-01"), (0, "1970-01-01"), (1593604801, "2020-07-01T12:00:01Z"), (LAST, "9999-12-31T23:59:59Z")],
)
def test_to_iso_round_trips_through_to_seconds(moment: int, text: str) -> None:
    assert to_iso(moment) == text and to_seconds(text) == moment > NO_TIME

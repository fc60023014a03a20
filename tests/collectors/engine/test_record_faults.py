"""Tests of answers that cannot be read or stored: one entity fails, and the source continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from collectors.engine.engine import Engine, Settings
from collectors.engine.outcomes import Retries
from collectors.engine.value_checks import check_answer, check_values
from collectors.library import open_library
from collectors.source import Absent, Ambiguous, Answer, Found, Http, Other, Request, Trouble
from tests.servers.facts import Facts, FactsParams, fill
from toolkit.catalogue.store import Catalogue


class RustPanic(BaseException):
    """Exception like those of libraries in other languages, which are not an `Exception`."""


def raised(error: BaseException) -> Answer:
    raise error


def other(value: Any) -> Other:
    return Other("track", "local:0", "isrc", value)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def found(value: Any, **more: Any) -> Found:
    return Found({"words": value}, **more)


FAULTS: dict[str, Callable[[], Any]] = {
    "library": lambda: raised(RuntimeError("Failed to decode image")),
    "panic": lambda: raised(RustPanic("index out of bounds")),
    "missing": lambda: raised(NotImplementedError("Unknown pixel format flags 4194304")),
    "memory": lambda: raised(MemoryError()),
    "recursion": lambda: raised(RecursionError("maximum recursion depth exceeded")),
    "many lines": lambda: raised(ValueError("first\nsecond\0 \ud800")),
    "no answer": lambda: None,
    "none": lambda: found(None),
    "number": lambda: found(5),
    "mapping": lambda: found({"a": 1}),
    "text in a vector": lambda: found([1.0, "2"]),
    "nested": lambda: found(deep(10_000)),
    "float32": lambda: found([1e39]),
    "int64": lambda: found([2**70, 10**400]),
    "not a number": lambda: found([float("nan")]),
    "empty": lambda: found([]),
    "long vector": lambda: found([0.5] * 1_000_000),
    "long text": lambda: found("x" * 10_000_000),
    "score": lambda: found("x", score=float("nan")),
    "score above": lambda: Ambiguous(1e300, {"words": "x"}),
    "other": lambda: found("x", others=(other({"a": 1}),)),
    "unknown entity": lambda: found("x", others=(Other("planet", "local:0", "isrc", "x"),)),  # type: ignore[arg-type]
}
"""Faults by name, each of which a record may have."""

CLEANED: dict[str, Callable[[], Any]] = {
    "zero": lambda: found("a\0b", payload="\0"),
    "surrogate": lambda: found("a\ud800b", payload="\ud800"),
    "other": lambda: found("ab", others=(other("A\0\ud800"),)),
    "note": lambda: Ambiguous(0.6, {"words": "x"}, note="\0\ud800" + "n" * 100_000),
    "absent": lambda: Absent(note="\0\ud800" + "n" * 100_000, payload="\udfff"),
    "large": lambda: found([3.4e38, -3.4e38, 1e-320]),
}
"""Answers that are stored in another form."""

ANSWERS = [*FAULTS.values(), *CLEANED.values()]


class Strange(Facts):
    """Source whose answer about `local:n` is the n-th of `ANSWERS`; further answers are right."""

    name: ClassVar[str] = "strange"

    def collect(self, request: Request, http: Http) -> Answer:
        number = int(request.id.rpartition(":")[2])
        return ANSWERS[number]() if number < len(ANSWERS) else found(f"words {number}", payload=b"x")  # type: ignore[return-value]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    """Yield a library of 60 tracks on each database."""
    if request.param == "sqlite":
        with open_library(tmp_path / "strange", new=True) as catalogue:
            fill(catalogue, 60)
            yield catalogue
        return
    from collectors.engine.ledger import METADATA
    from toolkit.catalogue import database_schema

    url, blobs = request.getfixturevalue("postgresql"), tmp_path / "blobs"
    with Catalogue.open(url, blobs=blobs) as catalogue:
        for tables in (database_schema.METADATA, METADATA):
            tables.drop_all(catalogue.engine)
        database_schema.METADATA.create_all(catalogue.engine)
    with open_library(url, blobs=blobs) as catalogue:
        fill(catalogue, 60)
        yield catalogue


def test_records_with_faults_fail_and_the_source_collects_the_rest(place: Catalogue, settings: Settings) -> None:
    settings = replace(settings, retries=Retries(most=3, first=0.01, longest=0.02))

    def run() -> Any:
        (summary,) = Engine(place, [(Strange(FactsParams()), ["words"])], settings).run()
        return summary

    summary = run()
    assert summary.stopped is None and summary.left == 0
    right = 60 - len(ANSWERS)
    # a text without a value is absent, as is the answer that says so
    assert summary.counts == {
        "found": right + 4,
        "absent": 2,
        "ambiguous": 1,
        "failed": len(FAULTS) - 1,
    }
    with place.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT status, attempts, note FROM collected").all()
    assert max(attempts for _, attempts, _ in rows) <= 3
    failed = [note for status, _, note in rows if status == "failed"]
    assert all(note and len(note) <= 500 and "\n" not in note for note in failed)
    assert run().counts == {}  # nothing is met again
    values = dict(zip(["local:22", "local:23"], place.field_values("words", ["local:22", "local:23"])[1], strict=True))
    assert values == {"local:22": "ab", "local:23": "a?b"}
    assert list(place.field_values("isrc", ["local:0"])[1]) == ["A?"]


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("none", "unknown entity")])
def test_answer_with_a_fault_raises_an_error_of_one_record(name: str) -> None:
    with pytest.raises(BaseException) as caught:
        check_answer(FAULTS[name]())
    assert not isinstance(caught.value, SystemExit | KeyboardInterrupt)


@pytest.mark.parametrize("values", [[3.4028234663852886e38], [-3.4028234663852886e38], [0], [True], [1e-46]])
def test_numbers_that_float32_has_are_stored_as_floats(values: list[float]) -> None:
    assert check_values({"v": values}) == {"v": [float(value) for value in values]}


@pytest.mark.parametrize("value", [3.41e38, -1e39, 10**400, -(10**400), float("inf")])
def test_number_that_float32_does_not_have_raises(value: float) -> None:
    with pytest.raises(Trouble, match=r"v must be a list of finite numbers within ±3\.4e\+38"):
        check_values({"v": [0.5, value]})

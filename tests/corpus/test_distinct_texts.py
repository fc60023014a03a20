"""Tests of functions of text columns that are called once per distinct text."""

from __future__ import annotations

import pyarrow as pa
import pytest

from toolkit.corpus import distinct_texts
from toolkit.corpus.distinct_texts import mapped, numbered


@pytest.mark.parametrize("block", [1, 2, 2**16])
def test_function_is_called_once_per_distinct_text(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_texts, "BLOCK", block)
    calls: list[str] = []

    def upper(text: str) -> str:
        calls.append(text)
        return text.upper()

    column = pa.chunked_array([["a", None, "b"], ["a", "c", "b"]])
    assert mapped(column, upper).to_pylist() == ["A", None, "B", "A", "C", "B"]
    assert calls == ["a", "b", "c"]


def test_empty_and_unknown_columns_have_no_texts() -> None:
    assert mapped(pa.nulls(2, pa.string()), str.upper).to_pylist() == [None, None]
    assert mapped(pa.chunked_array([], pa.string()), str.upper).to_pylist() == []


def test_texts_are_numbered_in_order_of_appearance() -> None:
    assert numbered(pa.array(["b", None, "a", "b"])).tolist() == [0, -1, 1, 0]

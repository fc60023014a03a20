"""Tests of numbering texts, compared with a dictionary."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus import interning
from toolkit.corpus.interning import Numbering


def against_a_dictionary(batches: list[list[str]]) -> None:
    numbered, known = Numbering(), dict[str, int]()
    for texts in batches:
        first = [
            place for place, text in enumerate(texts) if text not in known and known.setdefault(text, len(known) + 1)
        ]
        numbers, fresh = numbered.numbers(texts)
        assert numbers.tolist() == [known[text] for text in texts]
        assert fresh.tolist() == first
    assert len(numbered) == len(known)
    assert numbered.texts().to_pylist() == list(known)


@pytest.mark.parametrize("width", [0, 3, 46, 60])
@pytest.mark.parametrize("kinds", [5, 300, 20_000])
def test_text_numbers_equal_dictionary_numbers(width: int, kinds: int) -> None:
    draw = random.Random(width + kinds)

    def text() -> str:
        return "x" * draw.randint(0, width) + str(draw.randrange(kinds)) + draw.choice(["", "é", "\0"])

    against_a_dictionary([[text() for _ in range(size)] for size in (50, 0, 1, 5000, 3000, 3000)])


def test_texts_around_the_inline_limit_get_dictionary_numbers() -> None:
    against_a_dictionary(
        [[f"spotify:track:{place % 700:022d}" for place in range(2000)], ["a" * n for n in (46, 47, 48, 255, 256, 47)]]
    )


def test_texts_with_equal_hashes_get_different_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interning, "_hashed", lambda rows: np.zeros(len(rows), np.uint64))
    against_a_dictionary([["a", "b", "a", "c"], ["c", "d", "b"]])


def test_text_numbers_do_not_depend_on_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interning, "BLOCK", 3)
    against_a_dictionary([[str(place) for place in range(5000)], [str(place) for place in range(4000, 9000)]])


def test_memory_of_one_large_batch_is_that_of_its_numbers() -> None:
    texts = pa.array([f"spotify:track:{number % 1000:022d}" for number in range(500_000)])
    Numbering().numbers(texts[:10])  # imports
    numbering = Numbering()
    tracemalloc.start()
    numbers, fresh = numbering.numbers(texts)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert fresh.tolist() == list(range(1000)) and numbers.tolist() == [*range(1, 1001)] * 500
    assert peak < 40  # rows, hashes and masks of the whole batch were 150 MB

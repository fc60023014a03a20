"""Numbering of texts by first occurrence, in batches.

The hash table is in arrays. A dictionary of texts waits for memory three times per look-up, one look-up after another;
here the look-ups of a whole batch run together. A text of at most 47 bytes takes 48 bytes, and 8 to 16 for slots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

WORDS = 6
WIDTH = 8 * WORDS
LONGEST = WIDTH - 1  # bytes of a text in its row; the last byte is their number
LONG = 255  # in the last byte: the row holds an index of the long texts
BLOCK = 1 << 16  # rows that are processed at once in a pass over all rows
AT_ONCE = 1 << 15  # texts that are looked up at once: about 600 bytes each for rows, hashes and masks
ODD = np.array(
    [
        0x9E3779B97F4A7C15,
        0xBF58476D1CE4E5B9,
        0x94D049BB133111EB,
        0xD6E8FEB86659FD93,
        0xA0761D6478BD642F,
        0xE7037ED1A0B428DB,
    ],
    np.uint64,
)


class Numbering:
    """Numbering 1, 2, 3, … of texts in order of first occurrence."""

    def __init__(self) -> None:
        self._count = 0
        self._rows = np.zeros((1024, WORDS), np.uint64)  # from number 1 on; row 0 is unused
        self._slots = np.zeros(2048, np.int32)
        self._long: dict[str, int] = {}

    def __len__(self) -> int:
        return self._count

    def numbers(self, texts: Sequence[str] | pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each text, int32 [n], and the first indices of new texts, int64, ascending."""
        texts = texts if isinstance(texts, pa.StringArray) else pa.array(texts, pa.string())
        parts = [self._numbers(texts[start : start + AT_ONCE]) for start in range(0, max(1, len(texts)), AT_ONCE)]
        if len(parts) == 1:
            return parts[0]
        firsts = [start * AT_ONCE + first for start, (_, first) in enumerate(parts)]
        return np.concatenate([numbers for numbers, _ in parts]), np.concatenate(firsts)

    def _numbers(self, texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers and first indices for at most `AT_ONCE` texts."""
        rows = self._as_rows(texts)
        self._make_room(len(rows))
        hashes = _hashed(rows)
        numbers = self._found(rows, hashes)
        absent = np.flatnonzero(numbers == 0)
        numbers[absent], first = self._added(rows[absent], hashes[absent])
        return numbers, absent[first]

    def texts(self) -> pa.ChunkedArray:
        """Return all texts in number order."""
        long = list(self._long)
        parts = (self._rows[1 : self._count + 1][start : start + BLOCK] for start in range(0, self._count, BLOCK))
        return pa.chunked_array([_as_texts(part.view(np.uint8), long) for part in parts], pa.string())

    def _as_rows(self, texts: pa.StringArray) -> np.ndarray:
        """Return texts as uint64 [n, WORDS], with bytes, zero padding and length."""
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        content = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
        lengths = np.diff(ends)
        rows = np.zeros((len(texts), WIDTH), np.uint8)
        rows[:, LONGEST] = np.minimum(lengths, LONG)
        if len(rows) and (lengths == lengths[0]).all() and lengths[0] <= LONGEST:
            rows[:, : lengths[0]] = content.reshape(len(rows), lengths[0])
        else:
            short = lengths <= LONGEST
            inside = np.arange(WIDTH) < np.where(short, lengths, 0)[:, None]
            rows[inside] = content[np.repeat(short, lengths)]
            for place in np.flatnonzero(~short).tolist():
                rows[place, LONGEST] = LONG
                rows[place, :8] = np.array(
                    [self._long.setdefault(texts[place].as_py(), len(self._long))], np.uint64
                ).view(np.uint8)
        return rows.view(np.uint64)

    def _make_room(self, more: int) -> None:
        """Reserve memory for `more` rows, and for at least twice as many slots as texts."""
        most = self._count + more + 1
        if most > len(self._rows):
            grown = np.zeros((max(most, 2 * len(self._rows)), WORDS), np.uint64)
            grown[: self._count + 1] = self._rows[: self._count + 1]
            self._rows = grown
        if 2 * most > len(self._slots):
            self._slots = np.zeros(1 << (4 * most - 1).bit_length(), np.int32)
            for start in range(1, self._count + 1, BLOCK):
                numbers = np.arange(start, min(start + BLOCK, self._count + 1), dtype=np.int32)
                self._claim(_hashed(self._rows[numbers]), numbers)

    def _probes(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return first slot and step of each hash. Odd steps visit all slots, whose number is a power of two."""
        last = np.uint64(len(self._slots) - 1)
        return (hashes & last).astype(np.int64), ((hashes >> np.uint64(40)) | np.uint64(1)).astype(np.int64)

    def _found(self, rows: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """Return the number of each row, int32 [n], or 0 for an unknown row."""
        (slots, steps), last = self._probes(hashes), len(self._slots) - 1
        numbers = self._slots.take(slots)
        wrong = np.flatnonzero((numbers > 0) & self._differ(numbers, rows))
        while len(wrong):
            slots[wrong] = (slots[wrong] + steps[wrong]) & last
            there = numbers[wrong] = self._slots.take(slots[wrong])
            wrong = wrong[(there > 0) & self._differ(there, rows.take(wrong, axis=0))]
        return numbers

    def _differ(self, numbers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return whether the text of each number differs from the row, bool [n]."""
        # `take`, and one word after another: a third of the time of an index, and of `any` over rows of six
        unlike = self._rows.take(numbers, axis=0)
        unlike ^= rows
        found = unlike[:, 0] != 0
        for word in range(1, WORDS):
            found |= unlike[:, word] != 0
        return found

    def _added(self, rows: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Assign numbers to new rows, and return them, int32 [n], with the first index of each, ascending."""
        tentative = np.arange(self._count + 1, self._count + 1 + len(rows), dtype=np.int32)
        self._rows[tentative] = rows
        slots = self._claim(hashes, tentative)
        held = self._slots[slots]
        first = np.flatnonzero(held == tentative)
        numbers = np.zeros(len(rows), np.int32)
        numbers[first] = np.arange(self._count + 1, self._count + 1 + len(first), dtype=np.int32)
        numbers = numbers[held - self._count - 1]
        self._slots[slots] = numbers
        self._rows[numbers[first]] = rows[first]
        self._count += len(first)
        return numbers, first

    def _claim(self, hashes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Put numbers into free slots, unless an equal row has a slot, and return the slots, int64 [n]."""
        (slots, steps), last = self._probes(hashes), len(self._slots) - 1
        left = np.arange(len(numbers))
        while len(left):
            free = left[self._slots[slots[left]] == 0]
            # of several numbers for one slot the last written stays: in reverse order, the first mentioned
            self._slots[slots[free[::-1]]] = numbers[free[::-1]]
            there, own = self._slots.take(slots[left]), numbers[left]
            left = left[(there != own) & self._differ(there, self._rows.take(own, axis=0))]
            slots[left] = (slots[left] + steps[left]) & last
        return slots


def _as_texts(rows: np.ndarray, long: list[str]) -> pa.Array:
    """Return the texts of rows uint8 [n, WIDTH]."""
    lengths = rows[:, LONGEST].astype(np.int32)
    if LONG in lengths:
        places = rows[:, :8].copy().view(np.uint64)[:, 0].tolist()
        values = zip(rows, places, lengths.tolist(), strict=True)
        texts = [long[place] if length == LONG else row[:length].tobytes().decode() for row, place, length in values]
        return pa.array(texts, pa.string())
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    # ids of one width, the usual case, need no mask
    same = (lengths == lengths[0]).all()
    content = np.ascontiguousarray(rows[:, : lengths[0]]) if same else rows[np.arange(WIDTH) < lengths[:, None]]
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(content))


def _hashed(rows: np.ndarray) -> np.ndarray:
    """Return hashes uint64 [n] of rows uint64 [n, WORDS]."""
    mixed = np.zeros(len(rows), np.uint64)
    for column, odd in zip(rows.T, ODD, strict=True):
        mixed = (mixed ^ column) * odd
        mixed ^= mixed >> np.uint64(32)
    return mixed

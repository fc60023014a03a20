"""Random damage to bytes, drawn from a seed. The name of an input is enough to recreate it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

INTERESTING = (
    b'\x00', b'\xff', b'\xff\xfe', b'\xef\xbb\xbf', b'\x85', b'\xe2\x80\xa8', b'\r', b'\n', b'\r\n', b'\t', b'"',
    b'"",', b"'", b',', b';', b'{', b'}', b'[', b']', b'<', b'>', b'&', b'<!--', b']]>', b'\\', b'\\u0000',
    b'\\ud800', b'-', b'+', b'=', b'~', b'#', b'%00', b'../', b'NaN', b'Infinity', b'1e999', b'-1', b'0',
    b'2147483648', b'9223372036854775808', b'1e39', b'null', b'true', b'\x1b]0;x\x07',
)  # fmt: skip
"""Pieces that parsers handle specially."""


def mutated(data: bytes, random: random.Random) -> bytes:
    """Return a copy of `data` with one to four changes."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(CHANGES)(data, random)
    return data


def mutations(
    samples: Mapping[str, bytes], number: int, *, seed: int = 0, extra: Sequence[bytes] = ()
) -> Iterator[tuple[str, bytes]]:
    """Yield `number` named mutations of the samples in turn. The name holds the sample and the seed.

    - extra: pieces to insert, in addition to `INTERESTING`.
    """
    names = sorted(samples)
    for turn in range(number):
        name = names[turn % len(names)]
        drawn = random.Random(f"{seed} {turn} {name}")
        data = mutated(samples[name], drawn)
        if extra and drawn.random() < 0.3:
            data = _insert(data, drawn, extra)
        yield f"{name} {seed} {turn}", data


def _flip(data: bytes, random: random.Random) -> bytes:
    if not data:
        return b"\x00"
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def _cut(data: bytes, random: random.Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _remove(data: bytes, random: random.Random) -> bytes:
    low = random.randrange(len(data) + 1)
    return data[:low] + data[low + random.choice((1, 2, 8, 100)) :]


def _repeat(data: bytes, random: random.Random) -> bytes:
    low = random.randrange(len(data) + 1)
    high = low + random.choice((1, 4, 40, 400))
    return data[:high] + data[low:high] * random.choice((1, 1, 3, 50)) + data[high:]


def _swap(data: bytes, random: random.Random) -> bytes:
    a, b = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
    size = random.choice((1, 8, 64))
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def _overwrite(data: bytes, random: random.Random) -> bytes:
    low, size = random.randrange(len(data) + 1), random.choice((1, 2, 4, 8))
    return data[:low] + random.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * size + data[low + size :]


def _insert(data: bytes, random: random.Random, pieces: Sequence[bytes] = INTERESTING) -> bytes:
    low = random.randrange(len(data) + 1)
    return data[:low] + random.choice(pieces) + data[low:]


CHANGES = (_flip, _flip, _cut, _remove, _repeat, _swap, _overwrite, _insert, _insert)

"""Tests of digests and of random numbers drawn from digests."""

from __future__ import annotations

import hashlib

import numpy as np

from toolkit.encoders.contract.content_hash import combined, digests, distinct, hashed_normals, string_bytes

MASK = 2**64 - 1


def splitmix(value: int) -> int:
    """Return the output function of SplitMix64, computed with Python integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def slow_normals(mark: bytes, dim: int, seed: int) -> list[float]:
    """Compute `hashed_normals` one number at a time."""
    golden, half = 0x9E3779B97F4A7C15, (dim + 1) // 2
    a, b = int.from_bytes(mark[:8], "little"), int.from_bytes(mark[8:], "little")
    state = splitmix(a ^ splitmix((b + splitmix((seed * golden + 1) & MASK)) & MASK))
    uniform = [((splitmix((state + place * golden) & MASK) >> 11) + 0.5) / 2**53 for place in range(1, 2 * half + 1)]
    radius = [np.sqrt(-2 * np.log(u)) for u in uniform[:half]]
    angle = [2 * np.pi * u for u in uniform[half:]]
    return (
        [r * np.cos(t) for r, t in zip(radius, angle, strict=True)]
        + [r * np.sin(t) for r, t in zip(radius, angle, strict=True)]
    )[:dim]


def test_splitmix_equals_reference_values():
    # first outputs of SplitMix64 seeded with 0, from the reference implementation
    assert [hex(splitmix(place * 0x9E3779B97F4A7C15 & MASK)) for place in (1, 2, 3)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_hashed_normals_equal_a_slow_implementation():
    marks = digests("text", ["a", "b", "ü"])
    expected = [slow_normals(mark.tobytes(), 7, seed=123) for mark in marks]
    np.testing.assert_allclose(hashed_normals(marks, 7, seed=123), expected, rtol=1e-6)


def test_hashed_normals_are_standard_and_uncorrelated():
    drawn = hashed_normals(digests("text", [str(number) for number in range(20_000)]), 6, seed=1).astype(np.float64)
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert np.abs(np.corrcoef(drawn.T) - np.eye(6)).max() < 0.03
    assert abs((drawn**4).mean() - 3) < 0.1  # the normal's kurtosis


def test_hashed_normals_of_an_input_do_not_depend_on_other_inputs():
    marks = digests("text", [str(number) for number in range(9_000)])
    whole = hashed_normals(marks, 5, seed=3)
    np.testing.assert_array_equal(hashed_normals(marks[8_500:8_501], 5, seed=3), whole[8_500:8_501])
    assert not np.array_equal(hashed_normals(marks[:1], 5, seed=4), whole[:1])


def test_digest_changes_with_the_content():
    marks = digests("text", ["Ä", "Ä"])
    assert marks[0].tobytes() == hashlib.blake2b("Ä".encode(), digest_size=16).digest()
    np.testing.assert_array_equal(marks[0], marks[1])
    np.testing.assert_array_equal(digests("image", [b"\xc3\x84"])[0], marks[0])
    assert digests("text", ["\ud800"]).shape == (1, 16)
    assert digests("text", []).shape == (0, 16)


def test_equal_numbers_have_equal_digests():
    marks = digests("features", [[0.0, 1.5], [-0.0, 1.5], [0.0, 1.25]])
    np.testing.assert_array_equal(marks[0], marks[1])
    assert not np.array_equal(marks[0], marks[2])


def test_distinct_keeps_the_order_of_appearance():
    values = ["b", "a", "b", "c", "a"]
    first, inverse = distinct(digests("text", values))
    assert first.tolist() == [0, 1, 3]
    assert inverse.tolist() == [0, 1, 0, 2, 1]
    assert [values[first[place]] for place in inverse] == values


def test_combined_digest_depends_on_the_lengths_of_its_parts():
    assert combined(b"ab", b"c") != combined(b"a", b"bc")
    assert combined(b"ab") != combined(b"ab", b"")


def test_string_bytes_returns_utf8_and_offsets():
    text, offsets = string_bytes(["a", "", "üb"])
    assert offsets.tolist() == [0, 1, 1, 4]
    assert text.tobytes().decode() == "aüb"

"""Digests of inputs, and random numbers that depend only on the content of an input.

Numbers drawn from a digest do not depend on the other inputs of the batch, their order, or the machine. The generator
is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from toolkit.encoders.contract.encoder import Kind
from toolkit.encoders.contract.field_values import Files
from toolkit.errors import InputError
from toolkit.files import hash_once, regular

DIGEST = 16
"""Bytes of a digest."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def digests(kind: Kind, inputs: np.ndarray | Sequence[str] | Sequence[bytes] | Sequence[Sequence[float]]) -> np.ndarray:
    """Compute BLAKE2b digests of n inputs, uint8 [n, 16]. Identical contents have identical digests."""
    if isinstance(inputs, Files):
        hashes: Iterable[bytes] = (inputs.digest(index, DIGEST) for index in range(len(inputs)))
    else:
        parts: Iterable[bytes] = _rows(inputs) if kind == "features" else map(bytes_of, inputs)
        hashes = (hashlib.blake2b(part, digest_size=DIGEST).digest() for part in parts)
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, DIGEST)


def bytes_of(value: str | bytes) -> bytes:
    """Return a text or a file as bytes. Lone surrogates are encoded too, so every text has a digest."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)


def _rows(matrix: object) -> Iterable[bytes]:
    # + 0.0 turns -0.0 into 0.0: equal numbers must have equal digests
    return (row.tobytes() for row in np.asarray(matrix, dtype="<f4") + np.float32(0.0))


def distinct(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the distinct digests in uint8 [n, 16].

    Returns the index of the first input with each digest, int64 [u], in order of appearance, and the position in this
    list for each input, int64 [n].
    """
    keys = np.ascontiguousarray(digests).view([("a", "<u8"), ("b", "<u8")]).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse.ravel()]


def combined(*parts: bytes | memoryview) -> str:
    """Return one hex digest of several byte strings. Lengths are included, so different lists do not collide."""
    hasher = hashlib.blake2b(digest_size=DIGEST)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """Return one hex digest of several files, in order, which is remembered while the files are the same.

    Raises `InputError` for an unreadable file.
    """
    listed = list(paths)
    return str(hash_once(listed, lambda: _files_digest(listed)))


def _files_digest(paths: Sequence[Path]) -> str:
    hasher = hashlib.blake2b(digest_size=DIGEST)
    for path in paths:
        try:
            with regular(path) as file:
                hasher.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST)).digest())
        except FileNotFoundError:
            raise InputError(f"{path} does not exist: pass the path of an existing file") from None
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror or error}): check the path and its permissions"
            ) from None
    return hasher.hexdigest()


def string_bytes(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return n strings as UTF-8 bytes in one array, uint8 [bytes], and their offsets, int64 [n + 1]."""
    encoded = [bytes_of(string) for string in strings]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(part) for part in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def hashed_normals(digests: np.ndarray, dim: int, *, seed: int) -> np.ndarray:
    """Draw standard normal numbers from each digest of uint8 [n, 16]. Returns float32 [n, dim].

    The method is the Box-Muller transform of a counter-based SplitMix64 stream.
    """
    out = np.empty((len(digests), dim), np.float32)
    start = np.ascontiguousarray(digests).view("<u8").reshape(-1, 2)
    with np.errstate(over="ignore"):
        keys = _mix(start[:, 0] ^ _mix(start[:, 1] + _mix(np.asarray(np.uint64(seed) * _GOLDEN + np.uint64(1)))))
        for low in range(0, len(keys), 8192):
            out[low : low + 8192] = _normals(keys[low : low + 8192], dim)
    return out


def _normals(keys: np.ndarray, dim: int) -> np.ndarray:
    half = (dim + 1) // 2
    counters = np.arange(1, 2 * half + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(keys[:, None] + counters) >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1): the logarithm is finite
    radius = np.sqrt(-2.0 * np.log(uniform[:, :half]))
    angle = 2.0 * np.pi * uniform[:, half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :dim].astype(np.float32)


def _mix(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))

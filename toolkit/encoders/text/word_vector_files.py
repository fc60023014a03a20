"""Reader for files of pretrained word vectors that loads only the vectors of required words.

The format is detected from the content. Supported formats are GloVe text (a word and d numbers per line), word2vec text
(the same after a line `n d`) and word2vec binary (that line, then each word, a space and d little-endian float32), each
also as `.gz`. A single pass over the file builds an index with the position of each word, 16 bytes per word. The index
is stored in the cache folder with a digest of the content, so a file of 6 GB is read only once. A `.gz` file is
unpacked into the cache folder because a compressed file has no random access.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from toolkit.encoders.contract.content_hash import bytes_of
from toolkit.encoders.contract.encoder import Tensors
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.errors import DataError, InputError
from toolkit.files import changed_while_read, derived_path, file_state, replacing

VERSION = 2
"""Version of the index. Indices of other versions are rebuilt."""

CHUNK = LINE = 2**22
"""Bytes read at once, and the longest first line."""

LONGEST = 4096
"""Maximum length of a word in bytes."""


def checked(path: Path) -> Path:
    """Return the path. Raises `InputError` if the file does not exist."""
    if not path.is_file():
        raise InputError(
            f"path={str(path)!r} must be a file: pass a GloVe or word2vec file, text or binary, optionally .gz"
        )
    return path


class VectorFile:
    """Word vectors in a file, float32 [dim] by word.

    - digest: hash of the unpacked content.

    Raises `InputError` for a missing file and `DataError` for a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self._source, self._place = path, _place(checked(path))
        zipped = _is_gzip(path)
        self.path = _unpacked(path) if zipped else path
        try:
            tensors, header = read_tensors(self._place)
            if header.get("state") != _state(self.path):
                raise DataError(f"{self.path} is not the file that was indexed")
        except DataError:
            self.path = _unpacked(path, again=self._place.exists()) if zipped else path
            tensors, header = _index(self.path, path)
            header["state"] = _state(self.path)
            self._check_unchanged()
            write_tensors(self._place, tensors, header)
        self.hashes, self.offsets = tensors["hashes"], tensors["offsets"]
        self.dim, self.binary, self.digest = int(header["dim"]), bool(header["binary"]), str(header["digest"])

    def __len__(self) -> int:
        return len(self.hashes)

    def having(self, words: Iterable[str]) -> set[str]:
        """Return the words in `words` that are in the file.

        Words are looked up by hash without reading the file. About one unknown word in 10^12 is reported as known.
        """
        listed = list(words)
        known = np.isin(_hashes(bytes_of(word) for word in listed), self.hashes)
        return {listed[row] for row in np.flatnonzero(known)}

    def read(self, words: Iterable[str]) -> dict[str, np.ndarray]:
        """Return the vectors of known words in `words`. The first vector counts for a word that occurs twice."""
        listed = [(word, bytes_of(word)) for word in words]
        hashes = _hashes(raw for _, raw in listed)
        first = np.searchsorted(self.hashes, hashes, side="left")
        last = np.searchsorted(self.hashes, hashes, side="right")
        # in the order of the file, which is fast on every disk
        order = np.argsort(self.offsets[np.minimum(first, len(self) - 1)])
        vectors: dict[str, np.ndarray] = {}
        with self.path.open("rb") as file:
            for row in order:
                word, raw = listed[row]
                for offset in self.offsets[first[row] : last[row]]:
                    vector = self._at(file, int(offset), raw)
                    if vector is not None:
                        vectors[word] = vector
                        break
        self._check_unchanged()
        return vectors

    def _check_unchanged(self) -> None:
        """Raise `DataError` if the file is not the file that was opened."""
        if _place(self._source) != self._place:
            raise changed_while_read(self._source)

    def _at(self, file: IO[bytes], offset: int, raw: bytes) -> np.ndarray | None:
        """Return the vector of the word at `offset`, or None for another word with the same hash."""
        file.seek(offset)
        if self.binary:
            block = file.read(len(raw) + 1 + 4 * self.dim)
            if not block.startswith(raw + b" "):
                return None
            vector = np.frombuffer(block, "<f4", count=self.dim, offset=len(raw) + 1).astype(np.float32)
        else:
            begin, numbers = _split(file.readline(), self.dim)
            if begin != raw:
                return None
            vector = _floats(numbers)
        if not np.isfinite(vector).all():
            word = raw.decode("utf-8", "replace")
            raise DataError(
                f"{self.path}: the vector of {word!r} must be {self.dim} finite numbers: download the file again"
            )
        return vector


def _index(path: Path, source: Path) -> tuple[Tensors, dict[str, object]]:
    """Return hash and offset of every word, sorted by hash, then by offset.

    - source: the file name for messages.
    """
    hasher = hashlib.blake2b(digest_size=16)
    hashes, offsets = bytearray(), array("q")
    with path.open("rb") as file:
        count, dim, binary = _format(file, source)
        for offset, word in (_binary_words if binary else _text_words)(file, count, dim, hasher, source):
            hashes += _hash(word)
            offsets.append(offset)
    keys = np.frombuffer(bytes(hashes), np.uint64)
    order = np.argsort(keys, kind="stable")
    header = {"dim": dim, "binary": binary, "digest": hasher.hexdigest()}
    return {"hashes": keys[order], "offsets": np.frombuffer(offsets, np.int64)[order]}, header


def _format(file: IO[bytes], source: Path) -> tuple[int | None, int, bool]:
    """Return the number of words if there is a header, the dimension, and whether the vectors are binary."""
    parts = file.readline(LINE).split()
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        count, dim = int(parts[0]), int(parts[1])
        if count < 1 or dim < 1:
            raise DataError(f"{source}: line 1 must be two numbers >= 1 but is {count} {dim}: download the file again")
        return count, dim, len(_floats(_split(file.readline(LINE), dim)[1])) != dim
    dim = len(parts) - 1
    if dim < 1 or len(_floats(parts[1:])) != dim:
        raise DataError(
            f"{source}: line 1 must be `n d` or a word and its numbers but is {b' '.join(parts)[:40]!r}: pass a GloVe "
            "or word2vec file"
        )
    return None, dim, False


def _text_words(
    file: IO[bytes], count: int | None, dim: int, hasher: hashlib.blake2b, source: Path
) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    at, n = 0, 0
    for number, line in enumerate(file, 1):
        hasher.update(line)
        if not (number == 1 and count is not None) and line.strip():
            word, numbers = _split(line, dim)
            if len(numbers) != dim or not word:
                raise DataError(
                    f"{source}, line {number} has {len(line.split()) - 1} numbers but must have {dim}: download the "
                    "file again"
                )
            n += 1
            yield at, word
        at += len(line)
    if count is not None and n != count:
        raise DataError(
            f"{source} has {n:,} words but must have {count:,} according to line 1: download the file again"
        )


def _binary_words(
    file: IO[bytes], count: int | None, dim: int, hasher: hashlib.blake2b, source: Path
) -> Iterator[tuple[int, bytes]]:
    assert count is not None  # there is no binary form without a header
    file.seek(0)
    head = file.readline()
    hasher.update(head)
    base, buffer, pos = len(head), b"", 0
    for number in range(count):
        while len(buffer) - pos < LONGEST + 4 * dim and (fresh := file.read(CHUNK)):
            hasher.update(fresh)
            base, buffer, pos = base + pos, buffer[pos:] + fresh, 0
        while buffer[pos : pos + 1] == b"\n":
            pos += 1
        space = buffer.find(b" ", pos, pos + LONGEST)
        if space < 0 or space + 1 + 4 * dim > len(buffer):
            raise DataError(f"{source} ends or is damaged at word {number + 1:,} of {count:,}: download the file again")
        yield base + pos, buffer[pos:space]
        pos = space + 1 + 4 * dim


def _split(line: bytes, dim: int) -> tuple[bytes, list[bytes]]:
    """Return the word of a line, which may contain spaces, and its last d fields."""
    parts = line.rstrip(b" \t\r\n").rsplit(b" ", dim)
    return parts[0], parts[1:]


def _floats(numbers: list[bytes]) -> np.ndarray:
    """Return the numbers of a text line as float32, or an empty array if a field is not a number."""
    if b"_" in b"".join(numbers):  # which Python allows between digits
        return np.array([], np.float32)
    try:
        return np.array([float(number) for number in numbers], np.float32)
    except ValueError:
        return np.array([], np.float32)


def _hashes(words: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(map(_hash, words)), np.uint64)


def _hash(word: bytes) -> bytes:
    return hashlib.blake2b(word, digest_size=8).digest()


def _place(path: Path) -> Path:
    """Return the path of the index in the cache folder."""
    return derived_path("vectors", ".safetensors", path, version=VERSION)


def _state(path: Path) -> list[int]:
    """Return the state of a file as JSON."""
    return list(file_state(path) or ())


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _unpacked(path: Path, *, again: bool = False) -> Path:
    """Return the path of the unpacked `.gz` file in the cache folder. again: whether to unpack it again."""
    unpacked = derived_path("vectors", ".unpacked", path, version=VERSION)
    if again or not unpacked.is_file():
        try:
            with replacing(unpacked) as temporary, gzip.open(path) as packed, temporary.open("wb") as file:
                shutil.copyfileobj(packed, file, CHUNK)
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is damaged ({error}): download the file again") from None
    return unpacked

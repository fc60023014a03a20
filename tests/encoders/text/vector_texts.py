"""Tiny handwritten files of word vectors in every format."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

VECTORS = {
    "midnight": [1.0, 0.0, 0.5],
    "city": [0.0, 1.0, -0.5],
    "rain": [0.25, -2.0, 0.0],
    "singing": [3.0, 3.0, 3.0],
    "tide": [-1.0, 0.125, 4.0],
    "harbour": [0.0, 0.0, -1.0],
}


def glove(vectors: dict[str, list[float]] = VECTORS) -> bytes:
    return "".join(f"{word} {' '.join(str(number) for number in row)}\n" for word, row in vectors.items()).encode()


def word2vec_text(vectors: dict[str, list[float]] = VECTORS) -> bytes:
    lines = "".join(
        f"{word} {' '.join(str(number) for number in row)} \n" for word, row in vectors.items()
    )  # the tool ends lines so
    return f"{len(vectors)} 3\n{lines}".encode()


def word2vec_binary(vectors: dict[str, list[float]] = VECTORS, *, newline: bytes = b"\n") -> bytes:
    rows = b"".join(
        word.encode() + b" " + struct.pack(f"<{len(row)}f", *row) + newline for word, row in vectors.items()
    )
    return f"{len(vectors)} 3\n".encode() + rows


FORMS = {
    "glove.txt": glove(),
    "glove.txt.gz": gzip.compress(glove(), mtime=0),
    "word2vec.txt": word2vec_text(),
    "word2vec.txt.gz": gzip.compress(word2vec_text(), mtime=0),
    "word2vec.bin": word2vec_binary(),
    "gensim.bin": word2vec_binary(newline=b""),
    "word2vec.bin.gz": gzip.compress(word2vec_binary(), mtime=0),
}


def write_glove(path: Path) -> Path:
    path.write_bytes(glove())
    return path

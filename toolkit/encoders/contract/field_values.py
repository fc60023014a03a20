"""Values of a catalogue field as checked inputs of an encoder, with the track id in every message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from toolkit.catalogue.image_check import MAX_BYTES
from toolkit.encoders.contract.encoder import Kind
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import DataError, InputError
from toolkit.files import read_regular, regular

MAX_CONTENT = 512 << 20
"""Maximum size in bytes of a file that is read whole. Decoders of audio read files in blocks and have no such limit."""
CHUNK = 1 << 20
"""Number of bytes of a file that are hashed at a time."""


@runtime_checkable
class OnDisk(Protocol):
    """Lazy sequence of the contents of files on disk, such as the blobs of a catalogue."""

    def path(self, index: int) -> Path:
        """Return the path of a file, without reading it."""


class Files(Sequence[bytes]):
    """Lazy sequence of files that reads each file only on access.

    - values: contents or paths of the files, in a list or any lazy sequence.
    - rows: indices into `values` in the order of this sequence. The default is all values.
    - limit: maximum size of a file that is read whole, in bytes.
    """

    def __init__(
        self,
        values: Sequence[bytes | Path],
        rows: Sequence[int] | np.ndarray | None = None,
        *,
        limit: int = MAX_CONTENT,
    ) -> None:
        self.values = values
        self.rows = range(len(values)) if rows is None else rows
        self.limit = limit

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Files(self.values, self.rows[index], limit=self.limit)
        value = self.source(index)
        if isinstance(value, Path):
            with _readable(index):
                value = read_regular(value, self.limit)
        if len(value) > self.limit:
            raise BadInput(int(index), f"has a file of more than {self.limit >> 20} MB: reduce its size")
        return value

    def source(self, index: int) -> bytes | Path:
        """Return the path of a file, or the content of one that is not on disk."""
        row = int(self.rows[index])
        if isinstance(self.values, Files):
            return self.values.source(row)
        if isinstance(self.values, OnDisk):
            return self.values.path(row)
        value = self.values[row]
        return value if isinstance(value, Path) else bytes(value)

    def digest(self, index: int, size: int) -> bytes:
        """Return a BLAKE2b digest of a file, which is not read whole."""
        value = self.source(index)
        if not isinstance(value, Path):
            return hashlib.blake2b(value, digest_size=size).digest()
        hasher = hashlib.blake2b(digest_size=size)
        with _readable(index), regular(value) as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
        return hasher.digest()

    @property
    def has_paths(self) -> bool:
        """Return whether files are read from paths, whose content may change. A catalogue returns bytes."""
        return isinstance(self.values, list | tuple) and any(isinstance(value, Path) for value in self.values)

    def take(self, rows: np.ndarray) -> Files:
        """Return the files at `rows` without reading them."""
        return Files(self.values, [int(self.rows[int(row)]) for row in rows], limit=self.limit)


@contextmanager
def _readable(index: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(int(index), f"has a file that cannot be read ({error}): replace the file") from None


Inputs = np.ndarray | list[str] | Files
"""Inputs of any kind: features float32 [n, c], n texts or names, n files."""


@dataclass(frozen=True)
class FieldValues:
    """Values of a field for the tracks that have the field.

    - name: name of the modality, for messages.
    - ids: V track ids, in the order of the corpus.
    - present: bool [V], the tracks that have the field.
    - values: one value per present track, in order. `features` requires lists of numbers. `text` and `category` require
      strings. `image` and `audio` require file contents or paths.

    Raises `InputError` if the sizes do not match, or if no track has the field.
    """

    name: str
    ids: Sequence[str]
    present: np.ndarray
    values: Sequence[Any]

    def __post_init__(self) -> None:
        count = int(self.present.sum())
        if self.present.shape != (len(self.ids),) or count != len(self.values):
            raise InputError(
                f"{self.name}: present of shape {self.present.shape} with {count} true must match {len(self.ids)} ids "
                f"and {len(self.values)} values: pass one value per present track"
            )
        if not count:
            raise InputError(
                f"{self.name}: at least 1 of {len(self.ids)} tracks must have this field: collect the field or remove "
                "the modality"
            )

    @cached_property
    def owners(self) -> list[str]:
        """Return the track id of each value."""
        return [self.ids[int(row)] for row in np.flatnonzero(self.present)]

    def inputs(self, kind: Kind) -> Inputs:
        """Return the values as inputs of a kind. Features become finite float32 [n, c].

        Raises `DataError` with the track id and the reason for an invalid value.
        """
        if kind == "features":
            return self._matrix()
        files = kind in ("image", "audio")
        limit = MAX_BYTES if kind == "image" else MAX_CONTENT
        if files and not isinstance(self.values, list | tuple):
            # the lazy sequence of the catalogue: checking each value would read every file
            return Files(self.values, limit=limit)
        allowed: tuple[type, ...] = (bytes, Path) if files else (str,)
        for owner, value in zip(self.owners, self.values, strict=True):
            if not isinstance(value, allowed):
                needed = " or ".join(each.__name__ for each in allowed)
                raise DataError(
                    f"{self.name}: track {owner!r} has {value!r:.40} ({type(value).__name__}), but {kind} requires "
                    f"{needed}: set another field or encoder"
                )
        return Files(self.values, limit=limit) if files else list(self.values)

    def _matrix(self) -> np.ndarray:
        owners = self.owners
        lengths = [len(value) if isinstance(value, Sized) else -1 for value in self.values]
        if not lengths[0]:
            raise DataError(
                f"{self.name}: track {owners[0]!r} has 0 features but must have at least 1: collect the features again"
            )
        for owner, length in zip(owners, lengths, strict=True):
            if length != lengths[0]:
                raise DataError(
                    f"{self.name}: track {owner!r} has {length} features but must have {lengths[0]} like track "
                    f"{owners[0]!r}: use equally long lists"
                )
        try:
            if lengths[0] < 0:
                raise TypeError(f"{self.values[0]!r:.40} is not a list")
            with np.errstate(over="ignore"):
                matrix = np.asarray(self.values, dtype=np.float64).astype(np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.name}: features must be lists of numbers ({error}): convert the values") from None
        for row, column in np.argwhere(~np.isfinite(matrix))[:1]:
            value = self.values[row][column]
            raise DataError(
                f"{self.name}: track {owners[row]!r} has {value} in column {column} (counted from 0) but must have "
                "finite numbers: replace the value"
            )
        return matrix


def take(inputs: Inputs, rows: np.ndarray) -> Inputs:
    """Return the inputs at `rows`, int64 [m], in that order, for any kind."""
    if isinstance(inputs, np.ndarray):
        return inputs[rows]
    return inputs.take(rows) if isinstance(inputs, Files) else [inputs[int(row)] for row in rows]

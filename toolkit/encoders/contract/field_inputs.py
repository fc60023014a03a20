"""What a catalogue gives as an encoder's inputs: checked at the edge, with the track's id in every message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.encoders.contract.encoder import Kind
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import DataError

FILES: tuple[Kind, ...] = ("image", "audio")
"""Kinds whose inputs are files."""


def checked(name: str, kind: Kind, owners: Sequence[str], values: Sequence[Any]) -> Any:
    """Values as their kind's inputs. Raises `DataError` naming track and fault.

    owners: the track id of each value. features -> float32 [n, c], all finite.
    """
    if kind == "features":
        return _matrix(name, owners, values)
    if kind in FILES and not isinstance(values, list | tuple):
        return Files(values)  # the catalogue's own lazy sequence of bytes: a look at each would read every file
    wanted: tuple[type, ...] = (bytes, Path) if kind in FILES else (str,)
    for owner, value in zip(owners, values, strict=True):
        if not isinstance(value, wanted):
            needed = " or ".join(t.__name__ for t in wanted)
            raise DataError(
                f"{name}: track {owner!r} has {type(value).__name__}, {kind} needs {needed}: name another field, or another encoder"
            )
    return Files(values) if kind in FILES else list(values)


def _matrix(name: str, owners: Sequence[str], values: Sequence[Any]) -> np.ndarray:
    try:
        width = len(values[0])
        if not width:
            raise DataError(f"{name}: track {owners[0]!r} has an empty list of features")
        uneven = next((row for row, value in enumerate(values) if len(value) != width), None)
        if uneven is not None:
            raise DataError(
                f"{name}: track {owners[uneven]!r} has {len(values[uneven])} numbers, {owners[0]!r} has {width}"
            )
        with np.errstate(over="ignore"):
            matrix = np.asarray(values, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: features must be lists of numbers: {error}") from None
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = bad[0]
        value = values[row][column]
        raise DataError(
            f"{name}: track {owners[row]!r} has {value} in column {column} (counted from 0), which must be a finite number"
        )
    return matrix


class Files(Sequence[bytes]):
    """Files as bytes, read from wherever they lie only when asked for: a list of bytes or paths, or any lazy sequence of them."""

    def __init__(self, values: Sequence[bytes | Path], places: Sequence[int] | np.ndarray | None = None) -> None:
        self.values = values
        self.places = range(len(values)) if places is None else places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Files(self.values, self.places[place])
        value = self.values[int(self.places[place])]
        try:
            return value.read_bytes() if isinstance(value, Path) else bytes(value)
        except OSError as error:
            raise BadInput(place, f"has a file that cannot be read: {error}") from None

    def take(self, places: np.ndarray) -> Files:
        """The files at `places`, still unread."""
        return Files(self.values, [int(self.places[int(place)]) for place in places])


def take(inputs: Any, places: np.ndarray) -> Any:
    """Inputs of any kind at `places`, in that order."""
    if isinstance(inputs, np.ndarray):
        return inputs[places]
    return inputs.take(places) if isinstance(inputs, Files) else [inputs[int(place)] for place in places]

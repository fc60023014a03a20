"""Rules for the arrays of a saved ranker, whose file may be damaged or from a stranger.

NumPy checks the indices of a gather, but scipy's and LightGBM's compiled code does not: one wrong index of a sparse
matrix reads or writes memory outside the array. Every array is therefore checked when a ranker is loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

Layout = Mapping[str, "Rule"]
"""Rules by the names of entries."""

Sizes = dict[str, int]
"""Sizes by the names of dimensions, such as `tracks` for V + 1."""

TRACKS = "tracks"
"""Name of the dimension V + 1 of tracks."""

EMPTY = 1 << 20
"""Maximum number of empty columns of a saved sparse matrix. Products allocate memory for every column."""


class Rule(ABC):
    """Rule for one entry of a fitted state."""

    @abstractmethod
    def check(self, state: Mapping[str, np.ndarray], name: str, sizes: Sizes) -> None:
        """Raise `ValueError` if entry `name` violates the rule. Sizes of new dimensions are added to `sizes`."""


@dataclass(frozen=True)
class Dense(Rule):
    """Array of given kinds and shape.

    - dtype: accepted types, separated by ` or `.
    - shape: name or size of each dimension. Dimensions with the same name have the same size.
    - least, below: for integers, the smallest value, and the dimension that all values must be smaller than.
    """

    dtype: str
    shape: tuple[str | int, ...]
    least: int | None = None
    below: str | None = None

    def check(self, state: Mapping[str, np.ndarray], name: str, sizes: Sizes) -> None:
        array = _entry(state, name)
        if array.dtype.name not in self.dtype.split(" or "):
            raise ValueError(f"{name} must be {self.dtype}, not {array.dtype}")
        if len(array.shape) != len(self.shape):
            raise ValueError(f"{name} must have {len(self.shape)} dimensions, not {len(array.shape)}")
        for size, dimension in zip(array.shape, self.shape, strict=True):
            _same(name, dimension, size, sizes)
        if not finite(array):
            raise ValueError(f"{name} must have finite values")
        if array.size and array.dtype.kind in "iu":
            low, high = int(array.min()), int(array.max())
            if self.least is not None and low < self.least:
                raise ValueError(f"{name} must be >= {self.least}, not {low}")
            if self.below is not None and high >= sizes[self.below]:
                raise ValueError(f"{name} must be < {sizes[self.below]}, not {high}")


@dataclass(frozen=True)
class Sparse(Rule):
    """CSR matrix in the arrays of `sparse_products.packed`. rows, columns: names of its dimensions."""

    rows: str
    columns: str

    def check(self, state: Mapping[str, np.ndarray], name: str, sizes: Sizes) -> None:
        for dimension, size in zip((self.rows, self.columns), matrix(state, name).shape, strict=True):
            _same(name, dimension, size, sizes)


def floats(*shape: str | int, dtype: str = "float32") -> Dense:
    """Return the rule for finite floating-point numbers."""
    return Dense(dtype, shape)


def flags(*shape: str | int) -> Dense:
    """Return the rule for booleans."""
    return Dense("bool", shape)


def integers(*shape: str | int, least: int | None = None, below: str | None = None) -> Dense:
    """Return the rule for integers from `least` to the size of dimension `below` - 1."""
    return Dense("int64", shape, least, below)


def text(length: str) -> Dense:
    """Return the rule for the bytes of a text. length: name of the dimension."""
    return Dense("uint8", (length,))


def check(state: Mapping[str, np.ndarray], layout: Layout, n_items: int) -> None:
    """Raise `ValueError` if a fitted state violates its layout. Sparse matrices outside the layout are also checked."""
    sizes = {TRACKS: n_items + 1}
    for name, rule in layout.items():
        rule.check(state, name, sizes)
    for name in state:
        prefix = name.removesuffix(".indptr")
        if prefix != name and prefix not in layout:
            matrix(state, prefix)


def matrix(state: Mapping[str, np.ndarray], name: str) -> sp.csr_matrix:
    """Return a packed CSR matrix without a copy. Raises `ValueError` if scipy's compiled code cannot read it safely."""
    data, indices, indptr, shape = (_entry(state, f"{name}.{part}") for part in ("data", "indices", "indptr", "shape"))
    if shape.shape != (2,) or shape.dtype.kind != "i" or (shape < 0).any():
        raise ValueError(f"{name}.shape must be two sizes")
    rows, columns = int(shape[0]), int(shape[1])
    if data.ndim != 1 or indices.shape != data.shape or indptr.shape != (rows + 1,):
        raise ValueError(f"{name} must have an index for each of {data.shape} values and rows for {rows} + 1 offsets")
    if indices.dtype not in (np.int32, np.int64) or indptr.dtype not in (np.int32, np.int64):
        raise ValueError(f"{name} must have indices of int32 or int64")
    if data.dtype.kind not in "fiub" or data.dtype == np.float16 or not finite(data):
        raise ValueError(f"{name} must have finite values of float32 or float64, not {data.dtype}")
    if columns > rows + len(data) + EMPTY:
        raise ValueError(f"{name} must not have {columns:,} columns for {len(data):,} values")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name} must have ascending offsets from 0 to {len(indices):,}")
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < columns:
        raise ValueError(f"{name} must have indices from 0 to {columns:,} - 1")
    return sp.csr_matrix((data, indices, indptr), (rows, columns))


def finite(values: np.ndarray) -> bool:
    """Return whether all floating-point numbers are finite, without an array of that size."""
    return not values.size or values.dtype.kind != "f" or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _entry(state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in state:
        raise ValueError(f"{name} is missing")
    return state[name]


def _same(name: str, dimension: str | int, size: int, sizes: Sizes) -> None:
    expected = dimension if isinstance(dimension, int) else sizes.setdefault(dimension, size)
    if size != expected:
        raise ValueError(f"{name} must have {expected:,} {dimension}, not {size:,}")

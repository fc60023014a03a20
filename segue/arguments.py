"""Checks of arguments that several functions share."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.continuation import Continuation

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
"""Names of models, which are also names of folders."""


def seed_of(seed: int) -> int:
    """Return a random seed. Raises `InputError` for anything but a whole number from 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r} must be a whole number from 0")
    return int(seed)


def length_of(k: int) -> int:
    """Return the length of a ranking. Raises `InputError` for anything but a whole number from 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k={k!r} must be a whole number from 1")
    return int(k)


def list_of(values: Iterable[T]) -> list[T]:
    """Return the values as a list. Raises `InputError` for a string, which Python would split into letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{values!r} must be a list of track ids, such as [{values!r}]")
    return list(values)


def check_cache(folder: Path) -> None:
    """Create the folder of the cache. Raises `InputError` if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"{folder} cannot hold the cache ({error.strerror}): pass cache=, or set SEGUE_CACHE to a folder of yours"
        ) from None


def seeds_of(
    catalogue: Continuation, playlists: Sequence[Sequence[str]], titles: Sequence[str | None] | None
) -> list[list[int]]:
    """Return the known tracks of each playlist as items. Raises `InputError` for wrong lists or numbers of titles."""
    if not isinstance(playlists, Sequence) or isinstance(playlists, str):
        raise InputError(
            "rank takes a list of lists of track ids, such as [['local:t1', 'local:t2']],"
            f" not {type(playlists).__name__}"
        )
    if titles is not None and len(titles) != len(playlists):
        raise InputError(f"{len(titles)} titles for {len(playlists)} playlists: give one a playlist, or None")
    item_of = catalogue.item_of
    ids = [[catalogue.outside_id(track) for track in list_of(playlist)] for playlist in playlists]
    return [[item_of[track] for track in playlist if track in item_of] for playlist in ids]

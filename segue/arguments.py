"""Checks of arguments that are shared by several functions."""

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
    """Return a random seed. Raises `InputError` unless it is an integer >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r} must be an integer >= 0, such as seed=0")
    return int(seed)


def length_of(k: int) -> int:
    """Return the length of a ranking. Raises `InputError` unless it is an integer >= 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k={k!r} must be an integer >= 1, such as k=10")
    return int(k)


def list_of(values: Iterable[T]) -> list[T]:
    """Return the values as a list. Raises `InputError` for a string, which Python would split into letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{values!r} must be a list of track ids: pass [{values!r}]")
    return list(values)


def check_cache(folder: Path) -> None:
    """Create the cache folder. Raises `InputError` if the folder is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"cache folder {folder} must be writable ({error.strerror}): pass cache= or set SEGUE_CACHE to a folder"
        ) from None


def seeds_of(
    catalogue: Continuation, playlists: Sequence[Sequence[str]], titles: Sequence[str | None] | None
) -> list[list[int]]:
    """Return the known tracks of each playlist as item ids. Raises `InputError` for playlists or titles of a wrong
    form."""
    if not isinstance(playlists, Sequence) or isinstance(playlists, str):
        raise InputError(
            f"playlists must be a list of lists of track ids, not {type(playlists).__name__}:"
            " pass [['local:t1', 'local:t2']], for example"
        )
    if titles is not None and len(titles) != len(playlists):
        raise InputError(
            f"{len(titles)} titles must match {len(playlists)} playlists: pass one title or None per playlist"
        )
    item_of = catalogue.item_of
    ids = [[catalogue.outside_id(track) for track in list_of(playlist)] for playlist in playlists]
    return [[item_of[track] for track in playlist if track in item_of] for playlist in ids]

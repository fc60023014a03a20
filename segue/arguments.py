"""Checks of arguments: what each function refuses, and how it says so."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from toolkit.errors import InputError

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
"""Names of models, which are also names of folders."""


def seed_of(seed: int) -> int:
    """A seed. Raises `InputError` for anything but a whole number from 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r} must be a whole number from 0")
    return int(seed)


def length_of(k: int) -> int:
    """The length of a ranking. Raises `InputError` for anything but a whole number from 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k={k!r} must be a whole number from 1")
    return int(k)


def list_of(values: Iterable[T]) -> list[T]:
    """Values one after the other. Raises `InputError` for a text, which Python would take apart into letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{values!r} must be a list of track ids, such as [{values!r}]")
    return list(values)


def check_cache(folder: Path) -> None:
    """Raise `InputError` where nothing can be kept in the folder of the cache."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"{folder} cannot hold the cache ({error.strerror}): pass cache=, or set SEGUE_CACHE to a folder of yours"
        ) from None


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise `InputError` for a folder that a saved model must not replace."""
    from toolkit import run_directory

    if not target.exists():
        return
    saved = (
        target.is_dir() and (target / run_directory.SYSTEMS).exists() and not (target / run_directory.RECIPE).exists()
    )
    if not saved and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} holds something other than a saved model: choose another folder")
    if saved and not overwrite:
        raise InputError(f"{target} holds a saved model: choose another folder, or pass overwrite=True")

"""Checks of arguments: what each function refuses, and how it says so."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from segue.split import HeldOutPlaylists, Training
from toolkit.errors import InputError, LeakError

if TYPE_CHECKING:
    from segue.modalities import Modality

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


def modalities_of(given: Sequence[Modality]) -> list[Modality]:
    """Modalities, each under its own name. Raises `InputError`."""
    from segue.modalities import Modality

    found = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for each in found:
        if not isinstance(each, Modality):
            raise InputError(f"modalities={given!r} must be a list of what segue.encode and segue.vectors return")
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two modalities are called {twice!r}: give each a name of its own, segue.encode(…, name=…)")
    return found


def check_parts(train: object, valid: object) -> None:
    """Raise `InputError` for what is not part of a split or of another catalogue, `LeakError` for a choice on the test."""

    if not isinstance(train, Training):
        raise InputError(
            f"fit takes split.train, not {type(train).__name__}: split = data.split(); model.fit(split.train, split.valid)"
        )
    if valid is None:
        return
    if not isinstance(valid, HeldOutPlaylists):
        raise InputError(f"valid must be split.valid, not {type(valid).__name__}")
    if valid.part == "test":
        raise LeakError("valid=split.test would choose on the test: pass split.valid")
    _check_apart(train, valid)


def _check_apart(train: Training, held: HeldOutPlaylists) -> None:
    """Raise `InputError` if two parts are of different playlists, `LeakError` if the first holds what the second hides."""
    from toolkit.evaluation import leaks

    if held.train is train:
        return
    ours, theirs = train.data.corpus, held.data.corpus
    if ours is not theirs and ours.digest() != theirs.digest():
        raise InputError(
            "the parts are of different playlists: take them from one split, or from splits of the same data"
        )
    if held.playlists.hides is None:
        leaks.check_hidden(train.playlists, held.playlists)


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


def check_evaluation(model: object, held: object) -> None:
    """Raise `InputError` for what cannot be evaluated, `LeakError` where the model was fitted to what is hidden."""
    from segue.model import Model

    if not isinstance(model, Model):
        raise InputError(f"evaluate takes one fitted model, not {getattr(model, '__name__', type(model).__name__)}")
    if not isinstance(held, HeldOutPlaylists):
        raise InputError(f"evaluate takes split.valid or split.test, not {type(held).__name__}")
    if model.tracks["id"] != held.data.corpus.tracks["id"]:
        raise InputError(f"{model.name} was fitted to a different catalogue: fit it to a split of the same data")
    if model.train is not None:
        _check_apart(model.train, held)

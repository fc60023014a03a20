"""Hidden tracks whose recording is in training under another id.

Such a track has no training interactions and counts as cold. Models are trained on the same recording nevertheless,
because the other id has the same names, lyrics and audio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import LeakError
from toolkit.evaluation.split_size import NAMES

SLICE = "recording:in-training"
"""Slice of hidden tracks."""


def in_training(parts: Split) -> dict[str, np.ndarray]:
    """Return the hidden tracks of `test` and `valid` that are in training only under other ids, ascending int64."""
    corpus, counts = parts.train.corpus, parts.train.counts()
    groups = corpus.recordings
    played = np.bincount(groups, weights=counts, minlength=len(groups))[groups] > 0
    shared = played & (counts == 0)
    return {name: _hidden(part, shared) for name, part in (("test", parts.test), ("valid", parts.valid))}


def slice_of(tracks: np.ndarray, n_items: int) -> dict[str, np.ndarray]:
    """Return the slice of these tracks as bool [V + 1] by name, or nothing without tracks."""
    inside = np.zeros(n_items + 1, bool)
    inside[tracks] = True
    return {SLICE: inside} if len(tracks) else {}


def report(parts: Split, shared: Mapping[str, np.ndarray], *, strict: bool, note: Callable[[str], None]) -> None:
    """Pass one line with an example to `note` for each part with such tracks.

    - shared: result of `in_training`.

    Raises `LeakError` with `strict`.
    """
    for name, tracks in shared.items():
        if not len(tracks):
            continue
        message = _message(parts, name, tracks)
        if strict:
            raise LeakError(
                f"{message}, but `strict_overlap: true` allows none: give each recording a single id in the data, or"
                " set `evaluation.split.strict_overlap: false`"
            )
        note(f"{message}: see the slice {SLICE}")


def _message(parts: Split, name: str, tracks: np.ndarray) -> str:
    corpus, counts = parts.train.corpus, parts.train.counts()
    same = np.flatnonzero(corpus.recordings == corpus.recordings[tracks[0]])
    other = int(same[counts[same] > 0][0])
    ids = [corpus.tracks["id"][int(item) - 1].as_py() for item in (tracks[0], other)]
    verb = "track is" if len(tracks) == 1 else "tracks are"
    return (
        f"{len(tracks):,} hidden {NAMES[name]} {verb} in training under another id of the same recording"
        f" (such as {ids[0]!r} and {ids[1]!r})"
    )


def _hidden(part: HeldOut, shared: np.ndarray) -> np.ndarray:
    if not shared.any():
        return np.zeros(0, np.int64)
    inside = np.zeros(len(shared), bool)
    inside[part.hidden()[0]] = True
    return np.flatnonzero(inside & shared)

"""Faults of a published implementation of `leave_last_out`, reproduced separately to measure their effects.

The implementation belongs to a report on multimodal BERT4Rec for playlist continuation. Its evaluation overwrites the
validation track and the last training track before prediction (`lost_tracks`). Tracks are numbered from 0, which is
also the padding id (`item_zero`). Training uses the first 50 tracks of a playlist, but prediction the last 50
(`first_50`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split, gather

WINDOW = 50
ZERO = 1
"""Item id of the first track of the catalogue, which the published implementation numbers 0."""


def with_faults(parts: Split, faults: Sequence[str]) -> Split:
    """Return a split of `leave_last_out` with the given faults and unchanged hidden tracks."""
    train, valid, test = parts.train, parts.valid, parts.test
    if "lost_tracks" in faults:
        test = _with_seeds(test, test.starts, np.maximum(test.starts, test.cuts - 2))
    if "first_50" in faults:
        train = replace(train, ends=np.minimum(train.ends, train.starts + WINDOW))
        valid, test = (
            _with_seeds(part, np.maximum(part.starts, part.cuts - WINDOW), part.cuts) for part in (valid, test)
        )
    if "item_zero" in faults:
        train, valid, test = (
            _without_zero(train),
            *(_with_seeds(part, part.starts, part.cuts, without=ZERO) for part in (valid, test)),
        )
    return Split(train, valid, test)


def _with_seeds(part: HeldOut, starts: np.ndarray, stops: np.ndarray, *, without: int | None = None) -> HeldOut:
    """Return the playlists with seeds starts…stops, without one track, and with the same hidden tracks."""
    seeds, offsets = gather(part.items, starts, stops)
    if without is not None:
        owners = np.repeat(np.arange(len(part)), np.diff(offsets))[seeds != without]
        seeds = seeds[seeds != without]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(part)))])
    hidden, ends = gather(part.items, part.cuts, part.ends)
    owners = np.concatenate([np.repeat(np.arange(len(part)), np.diff(each)) for each in (offsets, ends)])
    order = np.argsort(owners, kind="stable")
    begins = offsets[:-1] + ends[:-1]
    cuts = begins + np.diff(offsets)
    return replace(
        part, starts=begins, cuts=cuts, ends=cuts + np.diff(ends), placements=np.concatenate([seeds, hidden])[order]
    )


def _without_zero(train: PlaylistSet) -> PlaylistSet:
    """Return the training playlists without the first track of the catalogue, in a new corpus with the same rows."""
    corpus, kept = train.corpus, np.asarray(train.corpus.items) != ZERO
    before = np.concatenate([[0], np.cumsum(kept)])
    other = Corpus(np.asarray(corpus.items)[kept], before[corpus.offsets], corpus.tracks, corpus.playlists)
    return PlaylistSet(other, train.rows, before[train.starts], before[train.ends])

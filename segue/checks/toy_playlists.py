"""Small training set for checks: learnable walks around a ring of tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

TRACKS, PLAYED, LISTS, HELD_OUT = 40, 36, 60, 8


def walks(*, workdir: Path | None = None, content: bool = True) -> TrainingData:
    """Return 60 playlists of 4 to 14 tracks, 8 playlists held out after three tracks, and one modality.

    The last tracks of the catalogue are in no playlist.
    """
    draw = np.random.default_rng(0)
    lists = []
    for _ in range(LISTS + HELD_OUT):
        steps = draw.integers(1, 3, draw.integers(4, 15))
        lists.append(list(dict.fromkeys(((draw.integers(PLAYED) + np.cumsum(steps)) % PLAYED + 1).tolist())))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    names, empty = [f"local:{item}" for item in range(1, TRACKS + 1)], pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": empty, "group": empty, "split": empty}
    )
    items = np.array([item for row in lists for item in row], np.int32)
    corpus = Corpus(items, offsets, pa.table({"id": names, "title": names}), playlists)
    rows, first, last = np.arange(len(lists)), offsets[:-1], offsets[1:]
    train = PlaylistSet(corpus, rows[:LISTS], first[:LISTS], last[:LISTS])
    valid = HeldOut(corpus, rows[LISTS:], first[LISTS:], first[LISTS:] + 3, last[LISTS:])
    vectors = draw.normal(size=(TRACKS + 1, 5)).astype(np.float32)
    vectors[0] = 0
    present = np.arange(TRACKS + 1) > 0
    return TrainingData(
        train, valid, {"sound": Modality("sound", vectors, present)} if content else {}, seed=3, workdir=workdir
    )

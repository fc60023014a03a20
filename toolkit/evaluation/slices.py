"""Slices: playlists by number of seeds, length and fields, hidden tracks by popularity and modalities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from toolkit.corpus.arrays import FIELD
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError

SEEDS, LENGTHS = (0, 1, 5, 10, 25, 100), (9, 24, 49, 99)
"""Upper bounds of the buckets. The last bucket is open."""

MOST = 20
"""Number of values of a playlist field that have a slice of their own. The interval of a rare value is too wide."""

THIRDS = ("head", "middle", "tail")


def by_playlist(held_out: HeldOut, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """Return labels of playlists by kind, text [n], including the protocol's own labels."""
    slices = dict(held_out.labels)
    if "seeds" in kinds:
        slices["seeds"] = _buckets(held_out.cuts - held_out.starts, SEEDS)
    if "length" in kinds:
        slices["length"] = _buckets(held_out.ends - held_out.starts, LENGTHS)
    fields = [kind for kind in kinds if kind.startswith(FIELD)]
    return slices | {kind: _values(held_out.corpus.playlists[kind], held_out.rows) for kind in fields}


def check_fields(kinds: Sequence[str], playlists: pa.Table) -> None:
    """Raise `InputError` for a kind `field:NAME` if playlists do not have the field."""
    known = [name for name in playlists.column_names if name.startswith(FIELD)]
    for kind in kinds:
        if kind.startswith(FIELD) and kind not in known:
            cure = f"use {' or '.join(known)}" if known else "declare it under `data.options.playlist_fields`"
            raise InputError(f"evaluation.slices={kind} is not a field of the playlists: {cure}")


def by_track(
    train_counts: np.ndarray, present: Mapping[str, np.ndarray], kinds: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return slices of hidden tracks by name, bool [V + 1], without slices of all tracks or of none.

    - train_counts: int64 [V + 1], number of training entries of each item. The kind `popularity` has the tracks that
      make up the first, second and last third of all entries, sorted by descending popularity.
    - present: by modality, bool [V + 1]. The kind `modalities` has tracks with none, some or all modalities.
    """
    slices = _by_popularity(train_counts) if "popularity" in kinds else {}
    if "modalities" in kinds and present:
        had = np.sum([np.asarray(each, bool) for each in present.values()], axis=0)
        slices |= {
            "modalities:none": had == 0,
            "modalities:some": (had > 0) & (had < len(present)),
            "modalities:all": had == len(present),
        }
    return {name: inside for name, inside in slices.items() if inside[1:].any() and not inside[1:].all()}


def _values(column: pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
    """Return the values of a field of some playlists, text [n]. Values that are rare in the corpus are `other`."""
    counts = Counter(filter(None, column.to_pylist()))
    names = {value: value for value, _ in counts.most_common(MOST)}
    values = column.take(pa.array(rows)).to_pylist()
    return np.array([names.get(value, "other") if value else "none" for value in values], str)


def _by_popularity(train_counts: np.ndarray) -> dict[str, np.ndarray]:
    counts = np.asarray(train_counts, np.int64)
    order = np.argsort(-counts, kind="stable")
    before = np.concatenate([[0], np.cumsum(counts[order])[:-1]])
    third = np.empty(len(counts), np.int64)
    third[order] = np.minimum(2, 3 * before // max(1, int(counts.sum())))
    return {f"popularity:{name}": (third == at) & (counts > 0) for at, name in enumerate(THIRDS)}


def _buckets(sizes: np.ndarray, ends: Sequence[int]) -> np.ndarray:
    """Return bucket names such as `0`, `2-5` and `101+`, text [n]."""
    starts = [0, *(end + 1 for end in ends)]
    names = [str(low) if low == high else f"{low}-{high}" for low, high in zip(starts, ends, strict=False)] + [
        f"{starts[-1]}+"
    ]
    return np.array(names)[np.searchsorted(ends, sizes)]

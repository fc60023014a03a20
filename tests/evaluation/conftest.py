"""Corpora with obvious correct results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus.arrays import Corpus


@pytest.fixture(scope="session")
def corpus_of() -> Callable[..., Corpus]:
    """Return a function corpus_of(lists, n_items, groups=…, splits=…)."""

    def build(
        lists: Sequence[Sequence[int]],
        n_items: int,
        groups: Sequence[str | None] | None = None,
        splits: Sequence[str | None] | None = None,
    ) -> Corpus:
        offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
        columns = {"id": [f"p{row}" for row in range(len(lists))], "title": [None] * len(lists)}
        columns |= {"group": list(groups or [None] * len(lists)), "split": list(splits or [None] * len(lists))}
        playlists = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
        tracks = pa.table({"id": [f"t{item}" for item in range(1, n_items + 1)]})
        return Corpus(np.concatenate(lists).astype(np.int32), offsets, tracks, playlists)

    return build

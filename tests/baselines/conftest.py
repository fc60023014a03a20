"""A small corpus with modalities, and the real playlists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from tests.baselines import real_playlists
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

Training = Callable[..., TrainingData]


@pytest.fixture(scope="session")
def training() -> Training:
    """Return a function training(lists, n_items, modalities) that creates training data from playlists."""

    def build(
        lists: Sequence[Sequence[int]], n_items: int, modalities: dict[str, Modality] | None = None
    ) -> TrainingData:
        corpus = corpus_of(lists, n_items)
        train = PlaylistSet(corpus, np.arange(len(lists)), corpus.offsets[:-1], corpus.offsets[1:])
        return TrainingData(train, modalities=modalities or {}, seed=3)

    return build


@pytest.fixture(scope="session")
def small() -> tuple[TrainingData, HeldOut]:
    """Return 60 training and 12 held-out playlists over 90 tracks, and two modalities with gaps.

    The last 10 tracks are unplayed.
    """
    generator = np.random.default_rng(5)
    weight = 1.0 / np.arange(1, 81)
    lists = [
        (generator.choice(80, size=generator.integers(4, 15), replace=False, p=weight / weight.sum()) + 1).tolist()
        for _ in range(72)
    ]
    corpus = corpus_of(lists, 90)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    modalities = {name: _modality(name, 90, dim, generator) for name, dim in (("audio", 5), ("lyrics", 8))}
    held_out = HeldOut(corpus, np.arange(60, 72), starts[60:], starts[60:] + 2, ends[60:])
    train = PlaylistSet(corpus, np.arange(60), starts[:60], ends[:60])
    labels = {"artist": _labels(90, 30, 1, generator), "genre": _labels(90, 6, 2, generator)}
    return TrainingData(train, modalities=modalities, seed=3, labels=labels), held_out


def corpus_of(lists: Sequence[Sequence[int]], n_items: int) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    nothing = pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    return Corpus(
        np.concatenate(lists).astype(np.int32),
        offsets,
        pa.table({"id": [f"t{i}" for i in range(1, n_items + 1)]}),
        playlists,
    )


def _labels(n_items: int, n_labels: int, most: int, generator: np.random.Generator) -> sp.csr_matrix:
    """Return one to `most` labels for two thirds of the tracks."""
    rows = np.repeat(np.flatnonzero(generator.random(n_items + 1) < 0.67), most)
    matrix = sp.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, generator.integers(0, n_labels, len(rows)))), (n_items + 1, n_labels)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def _modality(name: str, n_items: int, dim: int, generator: np.random.Generator) -> Modality:
    present = generator.random(n_items + 1) < 0.7
    present[0] = False
    matrix = generator.normal(size=(n_items + 1, dim)).astype(np.float32) * present[:, None]
    return Modality(name, matrix, present)


@pytest.fixture(scope="session")
def spa(shared_data: Path) -> Split:
    return real_playlists.spa(shared_data)


@pytest.fixture(scope="session")
def mpd5k(shared_data: Path) -> Split:
    return real_playlists.mpd5k(shared_data)

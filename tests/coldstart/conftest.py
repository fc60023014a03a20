"""Small corpus with unplayed last tracks, and modalities that contain its planted factors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

TRACKS, COLD, PLAYLISTS, TASTES = 120, 24, 260, 4


def corpus_of(lists: list[list[int]], n_items: int, plays: list[list[float]] | None = None) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    nothing = pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    tracks = pa.table({"id": [f"t{i}" for i in range(1, n_items + 1)]})
    counts = None if plays is None else np.concatenate(plays).astype(np.float32)
    return Corpus(np.concatenate(lists).astype(np.int32), offsets, tracks, playlists, plays=counts)


@pytest.fixture(scope="module")
def planted() -> tuple[TrainingData, HeldOut]:
    return planted_tastes()


def planted_tastes() -> tuple[TrainingData, HeldOut]:
    """Return playlists of one taste each over 120 tracks, and two modalities.

    The last 24 tracks are only hidden tracks of the 60 held-out playlists. Each modality distinguishes two halves of
    the tastes.
    """
    rng = np.random.default_rng(7)
    taste = rng.integers(0, TASTES, TRACKS + 1)
    cold = np.arange(TRACKS + 1) > TRACKS - COLD
    lists, cuts = [], []
    for row in range(PLAYLISTS + 60):
        own = np.flatnonzero(taste == row % TASTES)
        warm, new = own[(own > 0) & ~cold[own]], own[cold[own]]
        shown = rng.choice(warm, size=8, replace=False).tolist()
        lists.append(shown + ([] if row < PLAYLISTS else rng.choice(new, size=2, replace=False).tolist()))
        cuts.append(len(shown))
    corpus = corpus_of(lists, TRACKS)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    held = np.arange(PLAYLISTS, PLAYLISTS + 60)
    test = HeldOut(corpus, held, starts[held], starts[held] + np.array(cuts)[held], ends[held])
    train = PlaylistSet(corpus, np.arange(PLAYLISTS), starts[:PLAYLISTS], ends[:PLAYLISTS])
    modalities = {name: _modality(name, bit, rng) for name, bit in (("audio", taste % 2), ("lyrics", taste // 2))}
    return TrainingData(train, test.part(0, 30), modalities, seed=3), test.part(30, 60)


def _modality(name: str, bit: np.ndarray, rng: np.random.Generator) -> Modality:
    present = rng.random(len(bit)) < 0.95
    present[0] = False
    matrix = (2.0 * bit - 1)[:, None] * np.ones(3) + rng.normal(0, 0.4, (len(bit), 3))
    return Modality(name, (matrix * present[:, None]).astype(np.float32), present)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, because small networks otherwise wait for their threads longer than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

"""Small random data for trying a ranker, with every kind of input of `TrainingData`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

TRACKS, PLAYED = 90, 80
TRAINING, VALIDATION, TEST = 60, 8, 12
SHOWN = 2
WORDS = ("summer", "rain", "focus", "party", "road", "sleep")


def example_data(*, seed: int = 5) -> tuple[TrainingData, HeldOut]:
    """Return training data of 60 playlists over 90 tracks, and 12 other playlists to continue.

    There are 8 validation playlists. The last 10 tracks are in no training playlist, and some playlists have no title.
    Tracks have two modalities, `audio` and `lyrics`, and labels of the kinds `artist`, `album` and `genre`, each with
    gaps. The first two tracks of a held-out playlist are shown. The data is random: no ranker is better than chance.

    Example:
        data, held_out = example_data()
        ranker = MyRanker().fit(data)
        ids, scores = ranker.rank(held_out.queries(), 10)
    """
    random = np.random.default_rng(seed)
    corpus = _corpus(random)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    rows = np.arange(len(corpus))
    train, valid, test = np.split(rows, [TRAINING, TRAINING + VALIDATION])
    modalities = {name: _modality(name, dim, random) for name, dim in (("audio", 5), ("lyrics", 8))}
    labels = {kind: _labels(count, random) for kind, count in (("artist", 30), ("album", 40), ("genre", 6))}
    held = [HeldOut(corpus, part, starts[part], starts[part] + SHOWN, ends[part]) for part in (valid, test)]
    data = TrainingData(
        PlaylistSet(corpus, train, starts[train], ends[train]), held[0], modalities, seed=3, device="cpu", labels=labels
    )
    return data, held[1]


def _corpus(random: np.random.Generator) -> Corpus:
    """Return playlists of 4 to 14 tracks, most of which contain the first tracks of the catalogue."""
    count, weight = TRAINING + VALIDATION + TEST, 1.0 / np.arange(1, PLAYED + 1)
    lists = [
        random.choice(PLAYED, random.integers(4, 15), replace=False, p=weight / weight.sum()) + 1 for _ in range(count)
    ]
    lengths = [len(each) for each in lists]
    words = random.choice([*WORDS, ""], (count, 2))
    titles = [" ".join(filter(None, pair)) or None for pair in words.tolist()]
    nothing = pa.nulls(count, pa.string())
    playlists = {
        "id": [f"p{row}" for row in range(count)],
        "title": pa.array(titles, pa.string()),
        "group": nothing,
        "split": nothing,
    }
    ids = [f"t{item}" for item in range(1, TRACKS + 1)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tracks = pa.table(
        {
            name: pa.array(ids if name == "id" else [None] * TRACKS, pa.string())
            for name in ("id", "title", "artist", "album")
        }
    )
    return Corpus(np.concatenate(lists).astype(np.int32), offsets, tracks, pa.table(playlists))


def _modality(name: str, dim: int, random: np.random.Generator) -> Modality:
    """Return random vectors for 70 % of the tracks."""
    present = random.random(TRACKS + 1) < 0.7
    present[0] = False
    return Modality(name, random.normal(size=(TRACKS + 1, dim)).astype(np.float32) * present[:, None], present)


def _labels(count: int, random: np.random.Generator) -> sp.csr_matrix:
    """Return one of `count` labels for 67 % of the tracks, float32 [V + 1, count]."""
    rows = np.flatnonzero(random.random(TRACKS + 1) < 0.67)
    rows = rows[rows > 0]
    ones = np.ones(len(rows), np.float32)
    return sp.csr_matrix((ones, (rows, random.integers(0, count, len(rows)))), (TRACKS + 1, count))

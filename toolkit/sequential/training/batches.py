"""Training windows and batches from flat arrays, without a row per prefix or a loop over playlist entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toolkit.constants import PAD
from toolkit.corpus.splits import PlaylistSet

SORTED = 1 << 20
"""Placements shuffled at once."""


@dataclass(frozen=True)
class Windows:
    """Spans of a flat array of playlists, each trained on as a whole.

    - starts, lengths: int64 [n], tracks start…start + length − 1, at most `max_length + 1` tracks.
    - scored: int64 [n], the first position with a target scored in this window. Earlier targets are scored in the
      previous window.
    - playlists: int64 [n], row of the playlist set.
    """

    starts: np.ndarray
    lengths: np.ndarray
    scored: np.ndarray
    playlists: np.ndarray


def windows(
    offsets: np.ndarray, max_length: int, *, overlap: bool = True, rng: np.random.Generator | None = None
) -> Windows:
    """Cut playlists into windows of max_length inputs, such that every target is scored once.

    - overlap: whether the stride is half a window. Windows after the first then score only targets with at least half a
      window of context. Otherwise the stride is a whole window. The last window is moved back to end with the playlist.
    - rng: generator of random cuts for longer playlists, which give a target a different context in each epoch. With
      overlap the first window is shorter by up to half, and every target has its full context of `max_length` tracks in
      some epoch. Without overlap, no track is read twice.
    """
    lengths = np.diff(offsets)
    rows = np.flatnonzero(lengths >= 2)
    targets, stride = lengths[rows] - 1, max(1, max_length // 2) if overlap else max_length
    if rng is not None and not overlap:
        first = np.where(targets > max_length, rng.integers(1, max_length + 1, len(rows)), targets)
    else:
        early = np.zeros(len(rows), np.int64) if rng is None else rng.integers(0, stride, len(rows))
        first = np.where(targets > max_length, max_length - early, max_length)
    count = 1 + np.maximum(0, -(-(targets - first) // stride))
    playlists = np.repeat(rows, count)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    total, first = np.repeat(targets, count), np.repeat(first, count)
    end = np.minimum(first + nth * stride, total)
    # targets before this one were scored by the window before
    done = np.where(nth == 0, 0, first + (nth - 1) * stride)
    begin = done if rng is not None and not overlap else np.maximum(end - max_length, 0)
    return Windows(offsets[playlists] + begin, end - begin + 1, done - begin, playlists)


def shuffled(items: np.ndarray, offsets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same playlists with the tracks of each in a random order.

    Working memory is bounded by `SORTED` entries and one playlist.
    """
    mixed = np.empty_like(items)
    blocks = np.unique(np.searchsorted(offsets, np.arange(0, len(items) + SORTED, SORTED)).clip(max=len(offsets) - 1))
    for first, last in pairwise(blocks.tolist()):
        start, stop = offsets[first], offsets[last]
        rows = np.repeat(np.arange(first, last), np.diff(offsets[first : last + 1]))
        mixed[start:stop] = items[start:stop][np.lexsort((rng.random(stop - start), rows))]
    return mixed


@dataclass(frozen=True)
class Batch:
    """Batch of windows with similar lengths.

    - inputs: int64 [B, T], left-aligned and padded with 0. A row holds the whole window, including targets. A causal
      model reads all tracks of a row but the last.
    - lengths, scored, playlists: int64 [B], as in `Windows`.
    """

    inputs: np.ndarray
    lengths: np.ndarray
    scored: np.ndarray
    playlists: np.ndarray


def batches(
    train: PlaylistSet, *, max_length: int, tokens: int, shuffle: bool, rng: np.random.Generator, overlap: bool = True
) -> Iterator[Batch]:
    """Yield the batches of an epoch, with similar lengths in a batch and at most `tokens` padded positions."""
    if shuffle:
        items, offsets = train.flat()
        items = shuffled(items, offsets, rng)
        # in shuffled playlists every window is as good a context as another
        cut = windows(offsets, max_length, overlap=False)
    else:
        # read from the mapped file: a copy would be as large as the corpus
        items, offsets = np.asarray(train.corpus.items), np.concatenate([[0], np.cumsum(train.lengths)])
        cut = windows(offsets, max_length, overlap=overlap, rng=rng)
        cut.starts[:] += (train.starts - offsets[:-1])[cut.playlists]
    for chosen in _buckets(cut.lengths, tokens, rng):
        yield _batch(items, cut, chosen)


def _buckets(lengths: np.ndarray, tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the window indices of each batch, sorted by length within large random chunks, in random batch order."""
    order = rng.permutation(len(lengths))
    chunk = max(1, 50 * tokens // max(1, int(lengths.mean())))
    groups: list[np.ndarray] = []
    for start in range(0, len(order), chunk):
        part = order[start : start + chunk]
        part = part[np.argsort(-lengths[part], kind="stable")]
        while len(part):
            size = max(1, tokens // int(lengths[part[0]]))
            groups.append(part[:size])
            part = part[size:]
    return [groups[i] for i in rng.permutation(len(groups))]


def _batch(items: np.ndarray, cut: Windows, chosen: np.ndarray) -> Batch:
    lengths = cut.lengths[chosen]
    columns = np.arange(int(lengths.max()))[None, :]
    inside = columns < lengths[:, None]
    index = np.where(inside, cut.starts[chosen][:, None] + columns, 0)
    inputs = np.where(inside, items[index], PAD).astype(np.int64)
    return Batch(inputs, lengths, cut.scored[chosen], cut.playlists[chosen])

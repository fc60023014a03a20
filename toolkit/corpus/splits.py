"""Training and held-out playlists as spans of flat arrays.

`leave_last_out`: the last track is the test, the last but one the validation (the published setting).
`playlist_disjoint`: whole playlists are held out; their first part is shown and the rest hidden.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
import scipy.sparse as sp

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError

BLOCK = 2**20
"""Placements that are gathered or counted at once: an index of all would take eight times the memory of the arrays."""

LONGEST_NUMBER = 4300  # most digits of a number; an id with more is text


def gather(items: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the concatenated spans of a flat array, flat [sum], and their offsets, int64 [n + 1]."""
    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.empty(offsets[-1], items.dtype)
    for first, last in blocks_of(lengths, BLOCK):
        low, high = offsets[first], offsets[last]
        flat[low:high] = items[
            np.arange(low, high) + np.repeat(starts[first:last] - offsets[first:last], lengths[first:last])
        ]
    return flat, offsets


@dataclass(frozen=True)
class PlaylistSet:
    """Training playlists, each with the span starts…ends of the flat array of the corpus."""

    corpus: Corpus
    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        return self.ends - self.starts

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries, int32, and the offsets, int64 [n + 1], of these playlists."""
        return gather(self.corpus.items, self.starts, self.ends)

    def counts(self) -> np.ndarray:
        """Return the number of entries of each item in these playlists, int64 [V + 1]."""
        counts = np.zeros(self.corpus.n_items + 1, np.int64)
        for first, last in blocks_of(self.lengths, BLOCK):
            part = np.bincount(gather(self.corpus.items, self.starts[first:last], self.ends[first:last])[0])
            counts[: len(part)] += part
        return counts

    def matrix(self) -> sp.csr_matrix:
        """Return the tracks of each playlist as a binary matrix, float32 [n, V + 1]."""
        items, offsets = self.flat()
        return Queries(items, offsets).matrix(self.corpus.n_items)

    def plays(self) -> sp.csr_matrix:
        """Return the plays or occurrences of each track by playlist, float32 [n, V + 1]."""
        items, offsets = self.flat()
        plays = None if self.corpus.plays is None else gather(self.corpus.plays, self.starts, self.ends)[0]
        return Queries(items, offsets, plays=plays).plays_matrix(self.corpus.n_items)

    def titles(self) -> list[str | None]:
        return self.corpus.titles(self.rows)


@dataclass(frozen=True)
class HeldOut:
    """Playlists to continue, with seeds in the span starts…cuts and hidden tracks in cuts…ends or hides…ends.

    - placements: flat array of the spans, by default the array of the corpus.
    - titled: bool [n], playlists with a visible title, by default all.
    - labels: texts [n] by kind (`situation`, …), under which metrics are reported.
    - candidates: int32, ascending, tracks to rank, by default the whole catalogue.
    """

    corpus: Corpus
    rows: np.ndarray
    starts: np.ndarray
    cuts: np.ndarray
    ends: np.ndarray
    placements: np.ndarray | None = None
    titled: np.ndarray | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    hides: np.ndarray | None = None
    candidates: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def items(self) -> np.ndarray:
        """Return the flat array of the spans."""
        return self.corpus.items if self.placements is None else self.placements

    @property
    def begins(self) -> np.ndarray:
        """Return the starts of the hidden spans."""
        return self.cuts if self.hides is None else self.hides

    def part(self, start: int, stop: int) -> HeldOut:
        """Return the playlists start…stop − 1."""
        return self.take(np.arange(*slice(start, stop).indices(len(self))))

    def take(self, chosen: np.ndarray) -> HeldOut:
        """Return the playlists at the indices `chosen`, int [m]."""
        spans = (self.rows[chosen], self.starts[chosen], self.cuts[chosen], self.ends[chosen])
        titled, hides = (None if values is None else values[chosen] for values in (self.titled, self.hides))
        labels = {name: label[chosen] for name, label in self.labels.items()}
        return HeldOut(self.corpus, *spans, self.placements, titled, labels, hides, self.candidates)

    def queries(self) -> Queries:
        """Return the visible part of the playlists as queries for a ranker."""
        seeds, offsets = gather(self.items, self.starts, self.cuts)
        titles = self.corpus.titles(self.rows)
        if self.titled is not None:
            titles = [title if shown else None for title, shown in zip(titles, self.titled.tolist(), strict=True)]
        counts = self.corpus.plays if self.placements is None else None
        plays = None if counts is None else gather(counts, self.starts, self.cuts)[0]
        return Queries(seeds, offsets, titles=titles, rows=self.rows, plays=plays)

    def hidden(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct hidden tracks that are not seeds, flat int32, and offsets int64 [n + 1]."""
        tracks, offsets = gather(self.items, self.begins, self.ends)
        rows = np.repeat(np.arange(len(self)), np.diff(offsets))
        seeds, seed_offsets = gather(self.items, self.starts, self.cuts)
        width = self.corpus.n_items + 1
        keys = rows * width + tracks
        seed_keys = np.repeat(np.arange(len(self)), np.diff(seed_offsets)) * width + seeds
        first = np.zeros(len(keys), dtype=bool)
        first[np.unique(keys, return_index=True)[1]] = True
        keep = first & ~np.isin(keys, seed_keys)
        counts = np.bincount(rows[keep], minlength=len(self))
        return tracks[keep].astype(np.int32), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def groups(self) -> np.ndarray:
        """Return the group of each playlist, int64 [n], which is equal for versions of a playlist."""
        return self.corpus.groups[self.rows]

    def whole(self) -> PlaylistSet:
        """Return the complete playlists for training."""
        return PlaylistSet(self.corpus, self.rows, self.starts, self.ends)


@dataclass(frozen=True)
class Split:
    """Split with training, validation and test playlists.

    - facts, examples: counts and first ids of data that the split excludes, by name, for summaries.
    - cuts: start times of validation and testing in seconds since 1970, for a split by time.
    """

    train: PlaylistSet
    valid: HeldOut
    test: HeldOut
    facts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    cuts: tuple[int, int] | None = None


def leave_last_out(corpus: Corpus) -> Split:
    """Return a split with the last track for testing, the second last for validation and the rest for training."""
    starts, ends = np.asarray(corpus.offsets[:-1]), np.asarray(corpus.offsets[1:])
    rows = np.flatnonzero(ends - starts >= 3)
    if not len(rows):
        raise InputError(
            f"leave_last_out requires playlists of at least 3 tracks, but all {len(corpus)} are shorter: add tracks"
        )
    starts, ends = starts[rows], ends[rows]
    return Split(
        PlaylistSet(corpus, rows, starts, ends - 2),
        HeldOut(corpus, rows, starts, ends - 2, ends - 1),
        HeldOut(corpus, rows, starts, ends - 1, ends),
    )


def playlist_disjoint(
    corpus: Corpus,
    *,
    shown: float = 0.7,
    seeds: int | None = None,
    min_tracks: int = 10,
    by: str = "auto",
    folds: int = 5,
    test_fold: int = 0,
    valid_fraction: float = 0.1,
) -> Split:
    """Return a split that holds out whole playlists, with all versions of a playlist in the same part.

    - shown, seeds: the first ⌊shown · n⌋ tracks are seeds, unless `seeds` sets their number.
    - min_tracks: shorter held-out playlists are not evaluated.
    - by: `column` uses the split in the data; `hash` assigns one of `folds` folds by a hash of the group, which
      does not depend on other playlists; `auto` uses the column if it exists.
    - valid_fraction: share of the remaining groups used for validation under `hash`.

    Raises `InputError` for an empty part.
    """
    label = _labels(corpus, by=by, folds=folds, test_fold=test_fold, valid_fraction=valid_fraction)
    starts, ends = np.asarray(corpus.offsets[:-1]), np.asarray(corpus.offsets[1:])
    train = np.flatnonzero((label == "train") & (ends - starts >= 2))
    parts = [_held_out(corpus, np.flatnonzero(label == part), shown, seeds, min_tracks) for part in ("valid", "test")]
    for part, rows in (("train", train), ("valid", parts[0].rows), ("test", parts[1].rows)):
        if not len(rows):
            held = f"min_tracks={min_tracks}" + (f", seeds={seeds}" if seeds is not None else "")
            raise InputError(
                f"the {part} split is empty: {len(corpus)} playlists, {held}, split by {by}:"
                " reduce evaluation.split.min_tracks or seeds, or change the held-out shares in evaluation.split"
                " (folds, valid_fraction)"
            )
    return Split(PlaylistSet(corpus, train, starts[train], ends[train]), parts[0], parts[1])


def _held_out(corpus: Corpus, rows: np.ndarray, shown: float, seeds: int | None, min_tracks: int) -> HeldOut:
    starts, ends = np.asarray(corpus.offsets[:-1])[rows], np.asarray(corpus.offsets[1:])[rows]
    lengths = ends - starts
    cuts = starts + beginnings(lengths, shown, seeds)
    part = HeldOut(corpus, rows, starts, cuts, ends)
    hidden = np.diff(part.hidden()[1]) if len(rows) else np.zeros(0, int)
    keep = (lengths >= min_tracks) & (hidden > 0) & ((cuts > starts) | (seeds == 0))
    return HeldOut(corpus, rows[keep], starts[keep], cuts[keep], ends[keep])


def by_column(corpus: Corpus) -> bool:
    """Return whether the data has a split for any playlist, which `by: auto` then uses."""
    column = corpus.playlists["split"]
    return bool(column.null_count < len(column))


def beginnings(lengths: np.ndarray, shown: float, seeds: int | None) -> np.ndarray:
    """Return the number of shown tracks, from the share `shown` or from `seeds`, int64 [n]."""
    # integer arithmetic: 0.7 * 10 is 7.000000000000001 or 6.999…, depending on the platform
    per_mille = round(shown * 1000)
    return np.asarray(lengths * per_mille // 1000 if seeds is None else np.minimum(seeds, lengths))


def _labels(corpus: Corpus, *, by: str, folds: int, test_fold: int, valid_fraction: float) -> np.ndarray:
    column = corpus.playlists["split"]
    if by == "auto":
        by = "column" if by_column(corpus) else "hash"
    if by == "column":
        if column.null_count:
            raise InputError(
                f"all playlists must have a split ({column.null_count} are missing): set evaluation.split.by to hash"
            )
        return np.array(column.to_pylist(), dtype=object)
    if by != "hash":
        raise InputError(f"by={by!r} must be auto, column or hash")
    if folds < 2 or not 0 <= test_fold < folds:
        raise InputError(
            f"test_fold={test_fold} must be from 0 to folds-1 for folds={folds} >= 2: change `test_fold` or `folds`"
        )
    groups = pc.coalesce(corpus.playlists["group"], corpus.playlists["id"]).to_pylist()
    keys = np.array([group_hash(group) for group in groups], dtype=np.int64)
    rest = (keys // folds) % 1000 < round(valid_fraction * 1000)
    return np.where(keys % folds == test_fold, "test", np.where(rest, "valid", "train")).astype(object)


def group_hash(group: str) -> int:
    """Return a 32-bit hash of a group, multiplicative (Knuth) for numbers and BLAKE2 otherwise."""
    digits = group.rsplit(":", 1)[-1]
    if digits.isdecimal() and len(digits) <= LONGEST_NUMBER:
        return int(digits) * 2654435761 % 2**32
    return int.from_bytes(hashlib.blake2b(group.encode(), digest_size=4).digest(), "little")

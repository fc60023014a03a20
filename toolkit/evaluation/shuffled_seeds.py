"""Held-out playlists whose seeds are not the first tracks in order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toolkit.corpus.permutation import hashed
from toolkit.corpus.splits import HeldOut, gather
from toolkit.seeds import derived_seed


@dataclass(frozen=True)
class Placements:
    """Playlist entries of held-out playlists, one playlist after another.

    - items, offsets: the tracks of playlist b are items[offsets[b]:offsets[b + 1]].
    - owners, positions: playlist of each entry and position in the playlist, int64.
    """

    items: np.ndarray
    offsets: np.ndarray
    owners: np.ndarray
    positions: np.ndarray

    @classmethod
    def of(cls, part: HeldOut) -> Placements:
        items, offsets = gather(part.items, part.starts, part.ends)
        lengths = np.diff(offsets)
        positions = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
        return cls(items, offsets, np.repeat(np.arange(len(part)), lengths), positions)

    def drawn(self, part: HeldOut, seed: int, purpose: str) -> np.ndarray:
        """Return a pseudo-random number for each entry by playlist row and position, uint64 [n]."""
        return hashed(part.rows[self.owners] * np.int64(2**20) + self.positions, derived_seed(seed, purpose))


def in_order(part: HeldOut, placements: Placements, order: np.ndarray, seeds: np.ndarray) -> HeldOut:
    """Return the playlists with their entries in the order `order`, where the first `seeds` (int [n]) are shown."""
    starts = placements.offsets[:-1]
    return replace(
        part, starts=starts, cuts=starts + seeds, ends=placements.offsets[1:], placements=placements.items[order]
    )


def shuffled(part: HeldOut, *, seed: int = 0) -> HeldOut:
    """Return the playlists with seeds in random order by playlist row, to measure the effect of order."""
    placements = Placements.of(part)
    seeds = part.cuts - part.starts
    shown = placements.positions < seeds[placements.owners]
    keys = np.where(
        shown,
        placements.drawn(part, seed, "shuffle") >> np.uint64(1),
        np.uint64(2**63) + placements.positions.astype(np.uint64),
    )
    return in_order(part, placements, np.lexsort((keys, placements.owners)), seeds)

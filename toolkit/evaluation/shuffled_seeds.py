"""What of a held-out playlist is shown, other than its first tracks in their order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toolkit.corpus.permutation import hashed
from toolkit.corpus.splits import HeldOut, gather
from toolkit.seeds import derived_seed


@dataclass(frozen=True)
class Laid:
    """Held-out playlists one after the other: whose each placement is, and where in its list. `gathered` has them so."""

    items: np.ndarray
    offsets: np.ndarray
    owners: np.ndarray
    positions: np.ndarray

    @classmethod
    def of(cls, part: HeldOut) -> Laid:
        items, offsets = gather(part.items, part.starts, part.ends)
        lengths = np.diff(offsets)
        positions = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
        return cls(items, offsets, np.repeat(np.arange(len(part)), lengths), positions)

    def drawn(self, part: HeldOut, seed: int, purpose: str) -> np.ndarray:
        """A pseudo-random number for each placement, by its playlist's row and its position: uint64 [n]."""
        return hashed(part.rows[self.owners] * np.int64(2**20) + self.positions, derived_seed(seed, purpose))


def in_order(part: HeldOut, laid: Laid, order: np.ndarray, seeds: np.ndarray) -> HeldOut:
    """The playlists with their placements as `order` has them, the first `seeds` int [n] of each shown."""
    starts = laid.offsets[:-1]
    return replace(part, starts=starts, cuts=starts + seeds, ends=laid.offsets[1:], placements=laid.items[order])


def shuffled(part: HeldOut, *, seed: int = 0) -> HeldOut:
    """The same seeds in another order, drawn by each playlist's row: what order is worth to a system that was trained with it."""
    laid = Laid.of(part)
    seeds = part.cuts - part.starts
    shown = laid.positions < seeds[laid.owners]
    keys = np.where(
        shown, laid.drawn(part, seed, "shuffle") >> np.uint64(1), np.uint64(2**63) + laid.positions.astype(np.uint64)
    )
    return in_order(part, laid, np.lexsort((keys, laid.owners)), seeds)

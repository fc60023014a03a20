"""The ten situations of the Million Playlist Dataset challenge, on any corpus.

Source: Zamani et al. 2019, "An analysis of approaches taken in the ACM RecSys Challenge 2018", table 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.corpus.permutation import hashed
from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import InputError
from toolkit.evaluation.shuffled_seeds import Placements, in_order
from toolkit.seeds import derived_seed

KIND = "situation"
"""The kind of label that holds a playlist's situation."""


@dataclass(frozen=True)
class Situation:
    """What is shown of a playlist: a number of seeds, the first ones or random ones, and its title if `titled`."""

    name: str
    seeds: int
    titled: bool = True
    random: bool = False


SITUATIONS = (
    Situation("title", 0),
    Situation("title_first_1", 1),
    Situation("title_first_5", 5),
    Situation("first_5", 5, titled=False),
    Situation("title_first_10", 10),
    Situation("first_10", 10, titled=False),
    Situation("title_first_25", 25),
    Situation("title_random_25", 25, random=True),
    Situation("title_first_100", 100),
    Situation("title_random_100", 100, random=True),
)


def challenge(split: Split, chosen: Sequence[str], *, seed: int = 0) -> Split:
    """Assign each held-out playlist of a split to one situation.

    Each situation that a playlist is long enough for, and has a title for, is equally likely. The choice depends on the
    playlist's row and `seed` alone. Raises `InputError` if no playlist of a part fits any situation.
    """
    return Split(split.train, _dealt(split.valid, chosen, "valid", seed), _dealt(split.test, chosen, "test", seed))


def _dealt(part: HeldOut, chosen: Sequence[str], name: str, seed: int) -> HeldOut:
    situations = [situation for situation in SITUATIONS if situation.name in chosen]
    lengths = part.ends - part.starts
    has_title = np.array([bool(title) for title in part.corpus.titles(part.rows)], bool)
    fits = np.stack([(lengths > each.seeds) & (has_title | (not each.titled)) for each in situations], axis=1)
    kept = np.flatnonzero(fits.any(axis=1))
    if not len(kept):
        fitting = f"is long enough, or titled, for any of {', '.join(chosen)}"
        raise InputError(f"no {name} playlist of {len(part)} {fitting}: choose others")
    drawn = hashed(part.rows[kept], derived_seed(seed, "situation")) % fits[kept].sum(axis=1).astype(np.uint64)
    place = (np.cumsum(fits[kept], axis=1) == drawn[:, None].astype(np.int64) + 1).argmax(axis=1)
    seeds = np.array([each.seeds for each in situations])[place]
    random = np.array([each.random for each in situations])[place]
    return _shown(
        part.take(kept), seeds, random, np.array([each.titled for each in situations])[place], situations, place, seed
    )


def _shown(
    part: HeldOut,
    seeds: np.ndarray,
    random: np.ndarray,
    titled: np.ndarray,
    situations: Sequence[Situation],
    place: np.ndarray,
    seed: int,
) -> HeldOut:
    """The playlists with `seeds` of each first, in their former order, without playlists that then hide nothing."""
    placements = Placements.of(part)
    keys = np.where(
        random[placements.owners], placements.drawn(part, seed, "seeds"), placements.positions.astype(np.uint64)
    )
    rank = np.empty(len(keys), np.int64)
    rank[np.lexsort((keys, placements.owners))] = placements.positions
    order = np.lexsort((placements.positions, rank >= seeds[placements.owners], placements.owners))
    names = np.array([each.name for each in situations])[place]
    shown = replace(in_order(part, placements, order, seeds), titled=titled, labels={**part.labels, KIND: names})
    return shown.take(np.flatnonzero(np.diff(shown.hidden()[1])))

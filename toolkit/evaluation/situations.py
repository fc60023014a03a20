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
from toolkit.evaluation.shuffled_seeds import Laid, in_order
from toolkit.seeds import derived_seed

KIND = "situation"
"""Under which a held-out playlist's label says its situation."""


@dataclass(frozen=True)
class Situation:
    """What of a playlist is shown: so many seeds, its first ones or any, with or without its title."""

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
    """The held-out playlists of a split dealt into situations, each playlist into one.

    A playlist is dealt to any of the situations it is long enough and titled for, evenly, so that those of a situation are a
    fair sample of all that could stand in it. Which one depends on its row and `seed` alone. Raises `InputError` where a part
    fits none.
    """
    return Split(split.train, _dealt(split.valid, chosen, "valid", seed), _dealt(split.test, chosen, "test", seed))


def _dealt(part: HeldOut, chosen: Sequence[str], name: str, seed: int) -> HeldOut:
    situations = [situation for situation in SITUATIONS if situation.name in chosen]
    lengths = part.ends - part.starts
    has_title = np.array([bool(title) for title in part.corpus.titles(part.rows)], bool)
    fits = np.stack([(lengths > each.seeds) & (has_title | (not each.titled)) for each in situations], axis=1)
    kept = np.flatnonzero(fits.any(axis=1))
    if not len(kept):
        raise InputError(
            f"no {name} playlist of {len(part)} is long enough, or titled, for any of {', '.join(chosen)}: choose others"
        )
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
    """The playlists with `seeds` of each in front, in the order they had; those that then hide nothing left out."""
    laid = Laid.of(part)
    keys = np.where(random[laid.owners], laid.drawn(part, seed, "seeds"), laid.positions.astype(np.uint64))
    rank = np.empty(len(keys), np.int64)
    rank[np.lexsort((keys, laid.owners))] = laid.positions
    order = np.lexsort((laid.positions, rank >= seeds[laid.owners], laid.owners))
    names = np.array([each.name for each in situations])[place]
    found = replace(in_order(part, laid, order, seeds), titled=titled, labels={**part.labels, KIND: names})
    return found.take(np.flatnonzero(np.diff(found.hidden()[1])))

"""The ten situations of the Million Playlist Dataset challenge, for any corpus.

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
"""Label kind for the situation of a playlist."""


@dataclass(frozen=True)
class Situation:
    """Number of seeds, whether they are the first or random tracks, and whether the title is shown."""

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
    """Assign each held-out playlist of a split to a situation.

    The situations that fit a playlist's length and title are equally likely. The choice depends only on the playlist's
    row and `seed`. Raises `InputError` if no playlist of a part fits any situation.
    """
    return Split(split.train, _dealt(split.valid, chosen, "valid", seed), _dealt(split.test, chosen, "test", seed))


def _dealt(part: HeldOut, chosen: Sequence[str], side: str, seed: int) -> HeldOut:
    situations = [situation for situation in SITUATIONS if situation.name in chosen]
    lengths = part.ends - part.starts
    has_title = np.array([bool(title) for title in part.corpus.titles(part.rows)], bool)
    fits = np.stack([(lengths > each.seeds) & (has_title | (not each.titled)) for each in situations], axis=1)
    kept = np.flatnonzero(fits.any(axis=1))
    if not len(kept):
        raise InputError(
            f"one of {len(part)} {side} playlists must be long enough and titled for {', '.join(chosen)}:"
            " add situations or playlists"
        )
    drawn = hashed(part.rows[kept], derived_seed(seed, "situation")) % fits[kept].sum(axis=1).astype(np.uint64)
    place = (np.cumsum(fits[kept], axis=1) == drawn[:, None].astype(np.int64) + 1).argmax(axis=1)
    names, seeds, titled, random = (
        np.array([getattr(each, name) for each in situations])[place] for name in ("name", "seeds", "titled", "random")
    )
    # the chosen seeds come first, in their former order; playlists that then hide nothing are left out
    part = part.take(kept)
    placements = Placements.of(part)
    keys = np.where(
        random[placements.owners], placements.drawn(part, seed, "seeds"), placements.positions.astype(np.uint64)
    )
    rank = np.empty(len(keys), np.int64)
    rank[np.lexsort((keys, placements.owners))] = placements.positions
    order = np.lexsort((placements.positions, rank >= seeds[placements.owners], placements.owners))
    shown = replace(in_order(part, placements, order, seeds), titled=titled, labels={**part.labels, KIND: names})
    return shown.take(np.flatnonzero(np.diff(shown.hidden()[1])))

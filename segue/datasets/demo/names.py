"""Pronounceable, unique names of artists, albums and tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from segue.datasets.demo.lexicon import adjective, choose, list_of, noun, with_articles
from segue.datasets.demo.tastes import pick
from segue.datasets.demo.world import World

ONSETS = list_of("b br c d dr f fl g gr h j k l m n p r s sh st t tr v w")
VOWELS = list_of("a e i o u ai ea ia o a e")
CODAS = ["", "", "", "l", "n", "r", "s", "m", "nd", "rn"]
ENSEMBLES = ["The {0}s", "{0} & {1}", "{0} Trio", "{0} Parade", "{1} {0}", "{1} {0}", "{0}", "Little {0}"]


def artist_names(n: int, rng: np.random.Generator) -> list[str]:
    """Return n unique names that are independent of the music."""
    return _different(lambda _: choose(ENSEMBLES, rng).format(_word(rng), _word(rng)), range(n))


def album_names(world: World, rng: np.random.Generator) -> list[str]:
    """Return a unique name per album."""
    return _different(
        lambda album: _title(world, int(np.searchsorted(world.track_album, album)), rng), range(world.n_albums)
    )


def track_titles(world: World, rng: np.random.Generator) -> list[str]:
    """Return a unique title per track. About half of the titles contain a word of the track's theme."""
    return _different(lambda track: _title(world, track, rng), range(world.n_tracks))


def _title(world: World, track: int, rng: np.random.Generator) -> str:
    theme, style = pick(world.taste[track], rng).theme, float(world.style[track])
    words = [adjective(style, rng), noun(theme, rng, on_theme=0.4), noun(theme, rng, on_theme=0.4)]
    form = choose(
        ["{0} {1}", "{1} of {2}", "the {0} {1}", "{1} and {2}", "{0} {1}, {2}", "no {1}, no {2}", "{1} for a {0} {2}"],
        rng,
    )
    return with_articles(form.format(*words)).capitalize()


def _word(rng: np.random.Generator) -> str:
    syllables = [choose(ONSETS, rng) + choose(VOWELS, rng) for _ in range(1 + (rng.random() < 0.3))]
    return ("".join(syllables) + choose(ONSETS, rng) + choose(VOWELS, rng) + choose(CODAS, rng)).capitalize()


def _different(make: Callable[[int], str], indices: Iterable[int]) -> list[str]:
    """Return a unique name per index. A number is added after ten repetitions."""
    taken: dict[str, None] = {}
    for index in indices:
        name = make(index)
        for _ in range(10):
            name = make(index) if name in taken else name
        stem, number = name, 2
        while name in taken:
            name, number = f"{stem} ({number})", number + 1
        taken[name] = None
    return list(taken)

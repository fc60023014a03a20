"""Lyrics, biographies and playlist titles, generated from templates."""

from __future__ import annotations

import numpy as np

from segue.datasets.demo.lexicon import act, adjective, choose, noun, with_articles
from segue.datasets.demo.tastes import TASTES, pick

LINES = [
    "The {adjective} {noun} {act} under the {other}",
    "I left my {noun} by the {adjective} {other}",
    "And the {noun} {act}, oh the {noun} {act}",
    "You said the {other} was a {adjective} {noun}",
    "Every {noun} {act} when the {other} {act2}",
    "{adjective} {noun}, carry me past the {other}",
    "There is a {noun} in the {adjective} {other}",
    "Tell the {other} that the {noun} {act}",
]

COMMON_TAGS = ["seen live", "favourites", "albums I own", "to listen", "great", "best of"]
VAGUE_TITLES = ["my mix", "favourites", "stuff", "new playlist", "everything", "for later", "shared", "2nd try"]


def lyrics(taste: np.ndarray, style: float, rng: np.random.Generator) -> str:
    """Return two verses and a chorus. Each line is about the theme of a random taste. taste: float64 [K]."""
    verses = ["\n".join(_line(taste, style, rng) for _ in range(4)) for _ in range(2)]
    chorus = "\n".join([_line(taste, style, rng)] * 2)
    return "\n\n".join([verses[0], chorus, verses[1], chorus])


def _line(taste: np.ndarray, style: float, rng: np.random.Generator) -> str:
    theme = pick(taste, rng).theme
    line = choose(LINES, rng).format(
        adjective=adjective(style, rng),
        noun=noun(theme, rng),
        other=noun(theme, rng),
        act=act(style, rng),
        act2=act(style, rng),
    )
    return with_articles(line[0].upper() + line[1:])


def biography(name: str, taste: np.ndarray, style: float, rng: np.random.Generator) -> str:
    """Return four or five sentences about an artist's origin, instruments and style. taste: float64 [K]."""
    main = TASTES[int(np.argmax(taste))]
    year = 1975 + int(rng.integers(45))
    place, instruments = choose(main.places, rng), rng.permutation(main.instruments)[:2]
    genre = main.genre if rng.random() < 0.4 else "music that is hard to file"
    sentences = [
        f"{name} formed in {place} in {year}.",
        f"They play {genre}, mostly on {instruments[0]} and {instruments[1]}.",
        f"Reviewers called the first record {adjective(style, rng)} and {adjective(style, rng)}.",
        f"Its songs return again and again to the {noun(main.theme, rng)} and the {noun(main.theme, rng)}.",
    ]
    if taste.max() < 1:
        second = TASTES[int(np.argsort(-taste, kind="stable")[1])]
        sentences.append(f"Later work borrows the {choose(second.instruments, rng)} of {second.genre}.")
    return " ".join(sentences)


def tags(taste: np.ndarray, style: float, rng: np.random.Generator) -> str:
    """Return three to six tags of an artist, separated by commas: genres, style and a common tag.

    - taste: float64 [K]. One in six genres is drawn at random.
    """
    anyone = np.ones(len(taste))
    names = [pick(anyone if rng.random() < 1 / 6 else taste, rng).genre for _ in range(3)]
    names += [adjective(style, rng), adjective(style, rng), choose(COMMON_TAGS, rng)]
    return ", ".join(dict.fromkeys(names))


def playlist_title(mix: np.ndarray, style: float, rng: np.random.Generator) -> str | None:
    """Return a title by taste and style, a vague title (1 in 6), or None (1 in 5). mix: float64 [K]."""
    taste, fate = pick(mix, rng), rng.random()
    if fate < 0.2:
        return None
    if fate < 0.36:
        return choose(VAGUE_TITLES, rng)
    form = choose(
        [
            "{adjective} {genre}",
            "{genre} mix",
            "{adjective} {noun}s",
            "{noun} songs",
            "{adjective} {genre} for the {noun}",
        ],
        rng,
    )
    return form.format(adjective=adjective(style, rng), genre=taste.genre, noun=noun(taste.theme, rng, on_theme=1.0))

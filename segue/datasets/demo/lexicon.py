"""Vocabulary of the demo catalogue, by theme and by style."""

from __future__ import annotations

import re

import numpy as np


def list_of(words: str) -> list[str]:
    """Split a line into words."""
    return words.split()


NOUNS = {
    "sea": list_of("tide harbour anchor gull lighthouse sail shore wave salt island net pier storm rope"),
    "city": list_of(
        "neon window taxi corner rooftop subway crowd billboard midnight alley lamplight bridge tower rain"
    ),
    "road": list_of("highway engine mile suitcase dust motel crossing wheel border map horizon truck junction gravel"),
    "garden": list_of("blossom root orchard bee meadow ivy seed willow fern petal moss thorn acorn river"),
    "machine": list_of(
        "signal satellite circuit robot antenna battery orbit radar wire static rocket screen motor planet"
    ),
    "home": list_of(
        "kitchen table mother hearth blanket letter door cradle coffee photograph doorstep sister candle porch"
    ),
}

HUSHED = list_of("slow quiet soft pale sleeping distant gentle hollow silent drifting")
DRIVING = list_of("loud racing burning wild shouting electric sudden roaring restless blazing")
PLAIN = list_of("old little long open last blue strange broken golden early")

SMALL_WORDS = list_of("heart morning name hand song year night shadow light dream voice stranger summer winter")
HUSHED_ACTS = list_of("waits fades sleeps whispers drifts lingers settles")
DRIVING_ACTS = list_of("runs shouts burns breaks jumps rattles thunders")


def choose(words: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    """Draw a word from `words` with equal probabilities."""
    return words[int(rng.integers(len(words)))]


def adjective(style: float, rng: np.random.Generator) -> str:
    """Draw an adjective for `style`, 0 (hushed) to 1 (driving). Half of the draws are neutral words."""
    if rng.random() < 0.5:
        return choose(PLAIN, rng)
    return choose(DRIVING if rng.random() < style else HUSHED, rng)


def act(style: float, rng: np.random.Generator) -> str:
    """Draw a verb, slightly more often a verb that fits `style`."""
    return choose(DRIVING_ACTS if rng.random() < 0.25 + 0.5 * style else HUSHED_ACTS, rng)


def noun(theme: str, rng: np.random.Generator, *, on_theme: float = 0.5) -> str:
    """Draw a noun for `theme` with probability `on_theme`, otherwise a general noun."""
    return choose(NOUNS[theme] if rng.random() < on_theme else SMALL_WORDS, rng)


def with_articles(text: str) -> str:
    """Correct articles before vowels: `a early light` becomes `an early light`."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)

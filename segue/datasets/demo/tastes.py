"""The twelve tastes of the demo catalogue, with their names and the sounds, themes and colours that they share.

No single modality distinguishes all tastes: audio features have four families, lyrics six themes, covers four palettes,
and a biography describes the artist, not the track. Audio has the four families in its timbre, and two figures in the
order of its notes (`demo_audio`). The combinations of family with theme or with palette distinguish all tastes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAMILIES = ("acoustic", "band", "electronic", "loud")
THEMES = ("sea", "city", "road", "garden", "machine", "home")
PALETTES = ("ember", "lagoon", "orchard", "dusk")


@dataclass(frozen=True)
class Taste:
    """A cluster of listeners, with the words that describe their music."""

    genre: str
    family: str
    theme: str
    palette: str
    instruments: tuple[str, ...]
    places: tuple[str, ...]


def _taste(number: int, genre: str, instruments: str, places: str) -> Taste:
    return Taste(
        genre,
        FAMILIES[number // 3],
        THEMES[number % 6],
        PALETTES[number % 4],
        tuple(instruments.split(", ")),
        tuple(places.split(", ")),
    )


TASTES = (
    _taste(0, "harbour folk", "guitar, fiddle, concertina, piano", "Port Ansel, Low Quay, Oldbridge"),
    _taste(1, "lamplight jazz", "piano, double bass, clarinet, drums", "Vell Street, Oldbridge, Redmile"),
    _taste(2, "dust-road blues", "guitar, harmonica, piano, double bass", "Redmile, Tanner's Fork, Fernley"),
    _taste(3, "garden pop", "guitar, glockenspiel, drums, ukulele", "Fernley, Thistledown, Northmast"),
    _taste(4, "orbit rock", "guitar, organ, drums, synthesiser", "Northmast, Dishfield, Baker's Row"),
    _taste(5, "kitchen soul", "organ, bass guitar, drums, trumpet", "Baker's Row, Eastpan, Low Quay"),
    _taste(6, "tide ambient", "synthesiser, tape loops, piano, guitar", "Low Quay, Glass Bay, Vell Street"),
    _taste(7, "neon house", "synthesiser, drum machine, sampler, organ", "Vell Street, Oldbridge, Redmile"),
    _taste(8, "motorway techno", "drum machine, synthesiser, tape loops, sampler", "Redmile, Ringroad West, Dishfield"),
    _taste(9, "moss metal", "guitar, bass guitar, drums, choir", "Fernley, Thornwick, Northmast"),
    _taste(10, "circuit punk", "guitar, bass guitar, drums, drum machine", "Dishfield, Northmast, Soldergate"),
    _taste(11, "hearth brass", "trumpet, tuba, drums, clarinet", "Baker's Row, Emberton, Eastpan"),
)


def shares(weights: np.ndarray, aspect: str) -> dict[str, float]:
    """Return the weight of each family, theme or palette (`aspect`) from the weights of the tastes, float64 [K]."""
    total: dict[str, float] = {}
    for taste, weight in zip(TASTES, weights, strict=False):
        value = getattr(taste, aspect)
        total[value] = total.get(value, 0.0) + float(weight)
    return total


def pick(weights: np.ndarray, rng: np.random.Generator) -> Taste:
    """Draw a taste by weight."""
    edges = np.cumsum(weights)
    return TASTES[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]

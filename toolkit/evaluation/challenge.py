"""Metrics of the Million Playlist Dataset challenge, and of lists rather than hits: R-precision, CLICKS, novelty, coverage.

Source: Chen et al. 2018, "RecSys Challenge 2018: automatic music playlist continuation"; Zamani et al. 2019, "An analysis of
approaches taken in the ACM RecSys Challenge 2018", section 2.3. Artists count for R-precision in three ways that public codes
disagree on; each has its name. Values are one a playlist, NaN where nothing is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ARTIST_SHARE = 0.25
"""What an artist found is worth, of a track found."""

PAGE = 10
"""Tracks that a listener sees at once; each further page is a click."""


@dataclass(frozen=True)
class Block:
    """Rankings beside what is hidden.

    ranked: int [B, K], best first, 0 for nothing. hits: bool [B, K]. tracks, offsets: the hidden tracks of playlist b are
    tracks[offsets[b]:offsets[b + 1]]. artists: int64 [V + 1], -1 where unknown. information: float64 [V + 1], bits.
    """

    ranked: np.ndarray
    hits: np.ndarray
    tracks: np.ndarray
    offsets: np.ndarray
    artists: np.ndarray
    information: np.ndarray

    @property
    def n_hidden(self) -> np.ndarray:
        return np.diff(self.offsets)

    @property
    def first_r(self) -> np.ndarray:
        """Which ranks are among the first R = |I|: bool [B, K]. Raises `ValueError` where the ranking is shorter."""
        if self.n_hidden.max(initial=0) > self.ranked.shape[1]:
            raise ValueError(f"R-precision of {int(self.n_hidden.max())} hidden tracks needs as long a ranking, not {self.ranked.shape[1]}")
        return np.asarray(np.arange(self.ranked.shape[1]) < self.n_hidden[:, None])


ListMetric = Callable[[Block, int], np.ndarray]
"""metric(block, k) -> float64 [B]."""


def rprec(block: Block, k: int = 0) -> np.ndarray:
    """Hits among the first R = |I|, over R."""
    return np.asarray((block.hits & block.first_r).sum(axis=1) / _some(block.n_hidden))


def rprec_artist(block: Block, k: int = 0) -> np.ndarray:
    """R-precision by the challenge's last rules: a miss among the first R whose artist has a hidden track adds 0.25 / R, once an artist."""
    inside = block.first_r
    artists = _artists_found(block, inside & ~block.hits)
    return np.asarray(((block.hits & inside).sum(axis=1) + ARTIST_SHARE * artists) / _some(block.n_hidden))


def rprec_artist_set(block: Block, k: int = 0) -> np.ndarray:
    """As the overview paper writes it: (|S_T ∩ G_T| + 0.25 |S_A ∩ G_A|) / R over the first R, hits' artists included; above 1 at best."""
    inside = block.first_r
    return np.asarray(((block.hits & inside).sum(axis=1) + ARTIST_SHARE * _artists_found(block, inside)) / _some(block.n_hidden))


def rprec_artist_list(block: Block, k: int = 0) -> np.ndarray:
    """As a public code of 2022 has it: hits among the first R, and 0.25 for each hidden artist anywhere in the ranking."""
    artists = _artists_found(block, np.ones(block.ranked.shape, bool))
    return np.asarray(((block.hits & block.first_r).sum(axis=1) + ARTIST_SHARE * artists) / _some(block.n_hidden))


def clicks(block: Block, k: int) -> np.ndarray:
    """⌊(rank of the first hit − 1) / 10⌋; ⌊k / 10⌋ + 1 where the first k hold none, 51 for the challenge's 500. Lower is better."""
    found = block.hits[:, :k]
    pages = np.where(found.any(axis=1), found.argmax(axis=1) // PAGE, k // PAGE + 1)
    return np.where(block.n_hidden > 0, pages, np.nan)


def novelty(block: Block, k: int) -> np.ndarray:
    """Mean self-information of the first k, in bits: −log2 of a track's share of the training placements, each counted once more.

    Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems". 0 for an empty list.
    """
    top = block.ranked[:, :k]
    told = np.where(top > 0, block.information[top], 0.0).sum(axis=1)
    return np.where(block.n_hidden > 0, told / np.maximum(1, (top > 0).sum(axis=1)), np.nan)


def information(train_counts: np.ndarray) -> np.ndarray:
    """−log2((c_i + 1) / (Σ c + V)) of each item: float64 [V + 1]."""
    counts = np.asarray(train_counts, np.float64)
    return np.asarray(np.log2(counts[1:].sum() + len(counts) - 1) - np.log2(counts + 1))


AT_R: dict[str, ListMetric] = {
    "rprec": rprec,
    "rprec_artist": rprec_artist,
    "rprec_artist_set": rprec_artist_set,
    "rprec_artist_list": rprec_artist_list,
}
"""By name; they have no cutoff but R, and stand under k = 0."""

AT_K: dict[str, ListMetric] = {"clicks": clicks, "novelty": novelty}
"""By name, at each cutoff."""

WHOLE_LIST = frozenset({"novelty"})
"""Metrics of what is ranked, not of hits: a slice of the hidden tracks has none of its own."""

COVERAGE = "coverage"
"""Share of the catalogue in somebody's first k: a value of the system, not of a playlist. Ge et al. 2010, "Beyond accuracy"."""


def _some(n_hidden: np.ndarray) -> np.ndarray:
    return np.where(n_hidden > 0, n_hidden, np.nan)


def _artists_found(block: Block, places: np.ndarray) -> np.ndarray:
    """How many artists of hidden tracks stand at `places` bool [B, K] of the ranking, each once: int64 [B]."""
    width = int(block.artists.max(initial=0)) + 1
    ranked, owners = block.artists[block.ranked], np.arange(len(block.ranked))
    counted = places & (block.ranked > 0) & (ranked >= 0)
    hidden = block.artists[block.tracks]
    wanted = np.repeat(owners, block.n_hidden)[hidden >= 0] * width + hidden[hidden >= 0]
    found = np.intersect1d((owners[:, None] * width + ranked)[counted], wanted)
    return np.bincount(found // width, minlength=len(owners))

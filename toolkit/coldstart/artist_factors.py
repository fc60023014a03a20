"""Factors of artists in a corpus of tracks: the feedback of an artist is the sum over his tracks.

Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", artist factors. An artist is a name as the corpus
has it, so that a track of two artists is one of a third.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import scipy.sparse as sp

from toolkit.coldstart.factorisation import FactorStore
from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import InputError
from toolkit.recipe import FactorSpec


class ArtistPlays(PlaylistSet):
    """Playlists by how often they play each artist; tracks without one count for none."""

    @classmethod
    def of(cls, playlists: PlaylistSet) -> ArtistPlays:
        return cls(*(getattr(playlists, field.name) for field in fields(playlists)))

    def plays(self) -> sp.csr_matrix:
        """float32 [n, A + 1]; artist a of `Corpus.artists` is column a + 1."""
        artists = self.corpus.artists
        named = np.flatnonzero(artists >= 0)
        shape = (len(artists), int(artists.max(initial=-1)) + 2)
        spread = sp.csr_matrix((np.ones(len(named), np.float32), (named, artists[named] + 1)), shape)
        return sp.csr_matrix(super().plays() @ spread)


def of_tracks(store: FactorStore, spec: FactorSpec) -> np.ndarray:
    """Factors float32 [V + 1, k] of each track's artist, from the placements of `store`; zero where they hold none of the artist.

    Raises `InputError` where no track has an artist.
    """
    artists = store.train.corpus.artists
    if (artists < 0).all():
        raise InputError("targets: level: artist needs the tracks' artists, and the data names none: take it out")
    factors = FactorStore(ArtistPlays.of(store.train), spec, store.seed, store.device, store.cache, store.progress)()
    return factors.items[artists + 1]

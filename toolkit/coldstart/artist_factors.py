"""Factors of artists in a corpus of tracks, from the summed feedback of each artist's tracks.

Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", artist factors. An artist is a
name in the corpus. A track by two artists therefore has a third artist, with both names.
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
    """Playlists with the number of plays of each artist. Tracks without an artist are not counted."""

    @classmethod
    def of(cls, playlists: PlaylistSet) -> ArtistPlays:
        return cls(*(getattr(playlists, field.name) for field in fields(playlists)))

    def plays(self) -> sp.csr_matrix:
        """Return the plays of each artist, float32 [n, A + 1]. Artist a of `Corpus.artists` is column a + 1."""
        artists = self.corpus.artists
        named = np.flatnonzero(artists >= 0)
        shape = (len(artists), int(artists.max(initial=-1)) + 2)
        spread = sp.csr_matrix((np.ones(len(named), np.float32), (named, artists[named] + 1)), shape)
        return sp.csr_matrix(super().plays() @ spread)


def of_tracks(store: FactorStore, spec: FactorSpec) -> np.ndarray:
    """Return the factors of each track's artist: float32 [V + 1, k].

    - store: factor store of the training split.
    - spec: settings of the factorisation.

    Factors are zero for artists in no training playlist. Raises `InputError` if no track has an artist.
    """
    artists = store.train.corpus.artists
    if (artists < 0).all():
        raise InputError("`level: artist` requires artists of tracks, but the data has 0: remove level from targets")
    factors = FactorStore(ArtistPlays.of(store.train), spec, store.seed, store.device, store.cache, store.progress)()
    return factors.items[artists + 1]

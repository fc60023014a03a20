"""Tests of artist factors in a corpus of tracks, against a factorisation of the hand-summed matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from pydantic import ValidationError

from tests.coldstart.conftest import corpus_of
from toolkit.coldstart.artist_factors import ArtistPlays, of_tracks
from toolkit.coldstart.factorisation import FactorStore, factorise
from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import InputError
from toolkit.ingest.encoder_targets import FactorTargets
from toolkit.recipe import FactorSpec, Targets
from toolkit.seeds import derived_seed

SPEC = FactorSpec(k=3, iterations=5)
NAMES = ["Ann", "Bo", "Ann", None, "Cy", "Bo"]
LISTS = [[1, 3, 2], [2, 6, 4], [1, 3], [2, 6, 1], [4, 2], [3, 1, 6]]
SUMMED = np.array([[2, 1, 0], [0, 2, 0], [2, 0, 0], [1, 2, 0], [0, 1, 0], [2, 1, 0]], np.float32)
"""Placements of Ann, Bo and Cy by list; nobody plays Cy."""


@pytest.fixture
def playlists() -> PlaylistSet:
    corpus = corpus_of(LISTS, len(NAMES))
    corpus = replace(corpus, tracks=corpus.tracks.append_column("artist", pa.array(NAMES)))
    return PlaylistSet(corpus, np.arange(len(LISTS)), corpus.offsets[:-1], corpus.offsets[1:])


def test_artist_plays_are_summed_over_tracks(playlists: PlaylistSet) -> None:
    made = ArtistPlays.of(playlists).plays().toarray()
    order = [int(playlists.corpus.artists[NAMES.index(name) + 1]) + 1 for name in ("Ann", "Bo", "Cy")]
    np.testing.assert_array_equal(made[:, order], SUMMED)
    assert not made[:, 0].any() and made.sum() == SUMMED.sum()


def test_tracks_of_an_artist_have_the_same_artist_factors(playlists: PlaylistSet) -> None:
    found = of_tracks(FactorStore(playlists, SPEC, seed=4), SPEC)
    plays = sp.csr_matrix(ArtistPlays.of(playlists).plays())
    wanted = factorise(plays, SPEC, seed=derived_seed(4, "factors", SPEC.k)).items
    ann, bo = (int(playlists.corpus.artists[NAMES.index(name) + 1]) + 1 for name in ("Ann", "Bo"))
    np.testing.assert_allclose(found[[1, 3]], wanted[[ann, ann]], rtol=1e-6)
    np.testing.assert_allclose(found[[2, 6]], wanted[[bo, bo]], rtol=1e-6)
    assert np.abs(found[1]).sum() > 0 and not found[[0, 4, 5]].any()


def test_unplayed_tracks_do_not_change_artist_factors(playlists: PlaylistSet) -> None:
    trained = np.array([True, True, False, True, True, True])
    store = FactorStore(playlists, SPEC, seed=4)
    made = FactorTargets.of(store, Targets(factors=3, level="artist"), trained)
    assert made.matrix.any(axis=1).tolist() == [True, True, False, False, False, True] and made.facts() == {
        "factors": 3,
        "tracks": 3,
    }
    own = FactorTargets.of(store, Targets(factors=3), np.ones(6, bool)).matrix
    np.testing.assert_array_equal(own, store().items[1:])


def test_artist_factors_without_artists_raise_input_error(playlists: PlaylistSet) -> None:
    nameless = replace(playlists, corpus=corpus_of(LISTS, len(NAMES)))
    with pytest.raises(InputError, match="`level: artist` requires artists of tracks, but the data has 0"):
        of_tracks(FactorStore(nameless, SPEC), SPEC)
    with pytest.raises(ValidationError, match="`level` can be set only with `factors`"):
        Targets(field="tags", level="artist")

"""Tests of the cache key and of damaged cache entries."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from toolkit.encoders.contract.content_hash import digests, string_bytes
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.encoders.contract.encoding_cache import EncodingCache, Tracks, key
from toolkit.encoders.features.codes import CodesEncoder, CodesParams
from toolkit.encoders.features.features import FeaturesEncoder
from toolkit.encoders.features.features_vae import FeaturesVaeEncoder

IDS = ["local:a", "local:b", "local:ü"]
PRESENT = np.array([True, False, True])
SHORT = np.array([False, False, True])


@pytest.fixture
def tracks() -> Tracks:
    return Tracks(IDS, PRESENT, digests("category", ["x", "y"]), PRESENT)


@pytest.fixture
def stored(tracks, tmp_path):
    encoder, cache = CodesEncoder(CodesParams(dim=4)), EncodingCache(tmp_path)
    matrix = np.zeros((3, 4), np.float32)
    matrix[PRESENT] = encoder.transform(["x", "y"])
    cache.store("k", encoder, tracks, matrix, SHORT)
    return encoder, cache, matrix


def test_cache_key_changes_with_everything_that_changes_the_output(tracks):
    encoder = CodesEncoder()
    keys = [
        key(encoder, tracks),
        key(CodesEncoder(CodesParams(dim=8)), tracks),
        key(CodesEncoder(seed=1), tracks),
        key(encoder, replace(tracks, ids=["local:a", "local:b", "local:c"])),
        key(encoder, replace(tracks, ids=["local:al", "ocal:b", "local:ü"])),
        key(encoder, replace(tracks, present=~PRESENT)),
        key(encoder, replace(tracks, digests=tracks.digests[::-1])),
    ]
    assert len(set(keys)) == len(keys)
    assert key(CodesEncoder(), replace(tracks)) == keys[0]


def test_cache_key_changes_with_the_version(tracks, monkeypatch):
    before = key(CodesEncoder(), tracks)
    monkeypatch.setattr(CodesEncoder, "version", "2")
    assert key(CodesEncoder(), tracks) != before


def test_cache_key_of_a_fitted_encoder_includes_targets_and_ids(tracks):
    learner, fixed = FeaturesVaeEncoder(), CodesEncoder()
    first = replace(tracks, fitted=np.array([True, False, False]))
    targets = [replace(tracks, targets=np.full((3, 2), value, np.float32)) for value in (0, 1)]
    keys = [
        key(learner, tracks),
        key(learner, first),
        *(key(learner, each) for each in targets),
    ]
    assert len(set(keys)) == len(keys)
    assert key(fixed, first) == key(fixed, targets[1]) == key(fixed, tracks)


def test_cache_key_includes_the_seed_only_for_seeded_encoders(tracks):
    assert key(FeaturesEncoder(seed=0), tracks) == key(FeaturesEncoder(seed=1), tracks)
    assert key(FeaturesVaeEncoder(seed=0), tracks) != key(FeaturesVaeEncoder(seed=1), tracks)


def test_cache_entry_contains_matrix_present_and_ids(stored):
    _, cache, matrix = stored
    tensors, header = read_tensors(cache.entry("k"))
    np.testing.assert_array_equal(tensors["matrix"], matrix)
    assert tensors["present"].tolist() == PRESENT.tolist()
    text, offsets = tensors["ids"].tobytes(), tensors["id_offsets"]
    assert [text[a:b].decode() for a, b in pairwise(offsets)] == IDS
    assert header == {"encoder": "codes", "version": "1", "key": "k"}


def test_stored_cache_entry_is_loaded(stored, tracks):
    encoder, cache, matrix = stored
    for found, kept in zip(cache.load("k", encoder, tracks), (matrix, SHORT), strict=True):
        np.testing.assert_array_equal(found, kept)
    assert cache.load("other", encoder, tracks) is None


@pytest.mark.parametrize("harm", ["cut", "rows", "dtype", "present", "ids", "flat", "nothing"])
def test_damaged_cache_entry_is_not_loaded(stored, tracks, harm):
    encoder, cache, matrix = stored
    path = cache.entry("k")
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        tensors = read_tensors(path)[0]
        tensors |= {
            "rows": {"matrix": matrix[:2]},
            "dtype": {"matrix": matrix.astype(np.float64)},
            "flat": {"matrix": matrix.ravel()},
            "present": {"present": ~PRESENT},
            "ids": dict(zip(("ids", "id_offsets"), string_bytes(["local:a", "local:b", "local:c"]), strict=True)),
            "nothing": {},
        }[harm]
        write_tensors(path, tensors if harm != "nothing" else {"present": PRESENT}, {})
    with pytest.warns(RuntimeWarning, match=r"k\.safetensors is recomputed"):
        assert cache.load("k", encoder, tracks) is None

"""Tests that the Python API warns about parts that did not learn, and keeps the reason."""

from __future__ import annotations

import warnings

import pytest

import segue
from toolkit.contracts.learning import NotLearned

UNMOVED = "the weights did not change"


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> segue.Split:
    sizes = {"tracks": 200, "artists": 40, "playlists": 150, "fields": ["audio_features"]}
    data = segue.read_playlists(None, reader="demo", cache=tmp_path_factory.mktemp("cache"), **sizes)
    return data.split(min_tracks=5)


def encode(split: segue.Split, **params: object) -> segue.Modality:
    return segue.encode(
        split.train.data, "audio_features", "features-vae", name="audio", fit_on=split.train, latent=8, **params
    )


def test_encode_warns_about_an_encoder_that_did_not_learn(split: segue.Split) -> None:
    for _ in range(2):  # the second time it comes from the cache
        with pytest.warns(NotLearned, match=rf"audio: collapsed \({UNMOVED}\): train longer") as caught:
            audio = encode(split, epochs=1, lr=1e-12)
        assert audio.collapsed == UNMOVED
        assert caught[0].filename == __file__


def test_fit_warns_about_a_model_that_did_not_learn(split: segue.Split) -> None:
    model = segue.SASRec(name="dead", epochs=1, hidden_size=16, lr=1e-12, device="cpu")
    with pytest.warns(NotLearned, match=rf"dead: collapsed \({UNMOVED}\)") as caught:
        model.fit(split.train)
    assert model.collapsed == UNMOVED
    assert caught[0].filename == __file__


def test_model_names_the_modality_that_did_not_learn(split: segue.Split) -> None:
    with pytest.warns(NotLearned):
        audio = encode(split, epochs=1, lr=1e-12)
    model = segue.SASRec(
        name="content", modalities=[audio], epochs=6, hidden_size=16, lr=0.02, batch_tokens=256, device="cpu"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotLearned)
        model.fit(split.train)
    assert model.collapsed == f"audio: {UNMOVED}"


def test_parts_that_learned_do_not_warn(split: segue.Split) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotLearned)
        audio = encode(split, epochs=40, batch=16, lr=5e-3, hidden=[16])
        mean = segue.ranker("content-centroid", modalities=[audio]).fit(split.train)
    assert (audio.collapsed, mean.collapsed) == ("", "")

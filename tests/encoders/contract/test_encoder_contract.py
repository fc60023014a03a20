"""Tests that built-in encoders pass `check_encoder` and that broken encoders fail."""

from __future__ import annotations

import pytest

from segue.checks.check_encoder import check_encoder
from tests.encoders.audio.audio_cases import AUDIO_CASES, ELSEWHERE
from tests.encoders.contract.broken_encoders import CATEGORY, FEATURES
from tests.encoders.text.vector_texts import write_glove
from tests.papers.enrichment.music_knowledge import NT
from toolkit import plugins

SMALL_VAE = {"latent": 6, "hidden": [8], "epochs": 3, "batch": 16}
SMALL_IMAGE = {"latent": 6, "channels": [4, 8], "epochs": 2, "batch": 4, "size": 32, "patch": 2}
CASES = [
    ("features", "features", {}),
    ("features-vae", "features", SMALL_VAE),
    ("features-vae", "features", SMALL_VAE | {"output": "mu+sigma"}),
    ("features-vae", "features", SMALL_VAE | {"output": "sample"}),
    ("image-vae", "pictures", SMALL_IMAGE | {"bf16": "off"}),
    ("image-vae", "pictures", SMALL_IMAGE | {"bf16": "on", "output": "sample"}),
    ("image-ae", "pictures", SMALL_IMAGE | {"bf16": "off"}),
    ("codes", "tags", {"dim": 16}),
    ("tfidf", "tags", {"dim": 3, "separator": ", "}),
    ("tfidf", "tags", {"dim": 0, "idf": False, "l2": False}),
    ("char-ngrams", "tags", {"dim": 3}),
    ("char-ngrams", "lyrics", {"dim": 0, "shortest": 3, "longest": 3}),
    ("sentence-bert", "tags", {"bf16": "off"}),
    ("word-vectors", "lyrics", {"path": "VECTORS"}),
    ("word2vec", "lyrics", {"dim": 8, "min_count": 1, "epochs": 2}),
    ("tfidf-semantic", "biographies", {"dim": 3, "enrich": {"knowledge": "KNOWLEDGE"}}),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))


def placed(params, tmp_path):
    """Return parameters with the paths of their files."""
    if params.get("path") == "VECTORS":
        return params | {"path": str(write_glove(tmp_path / "vectors.txt"))}
    if "enrich" in params:
        (tmp_path / "music.nt").write_text(NT, encoding="utf-8")
        return params | {"enrich": {"knowledge": str(tmp_path / "music.nt")}}
    return params


OF_MODELS = {
    "image-model",
    "image-classifier",
    "text-classifier",
    "tfidf-mlp",
    "tfidf-semantic-mlp",
    "text-cnn",
    "bag-of-words",
    "vectors",
}
"""Encoders of models that a test must build first, of texts that need targets, and of files.

`test_image_model.py`, `test_classifiers.py`, `test_text_networks.py`, `test_vectors.py` and `test_bag_of_words.py` test
their contract.
"""


@pytest.mark.parametrize(
    ("name", "inputs", "params"), CASES, ids=[f"{name}-{place}" for place, (name, _, _) in enumerate(CASES)]
)
def test_built_in_encoder_passes_check_encoder(name, inputs, params, request, tmp_path):
    check_encoder(plugins.load("segue.encoders", name), request.getfixturevalue(inputs), placed(params, tmp_path))


def test_contract_tests_include_every_built_in_encoder():
    ours = {
        name
        for name, point in plugins.points("segue.encoders").items()
        if point.value.startswith(("toolkit.", "segue_papers."))
    }
    assert ours == {name for name, _, _ in [*CASES, *AUDIO_CASES]} | ELSEWHERE | OF_MODELS


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("name", "inputs", "params"), CASES, ids=[f"{name}-{place}" for place, (name, _, _) in enumerate(CASES)]
)
def test_built_in_encoder_passes_check_encoder_on_gpu(name, inputs, params, request, tmp_path):
    cls = plugins.load("segue.encoders", name)
    check_encoder(cls, request.getfixturevalue(inputs), placed(params, tmp_path), device="cuda", tolerance=1e-4)


@pytest.mark.parametrize(("cls", "message"), CATEGORY)
def test_check_encoder_rejects_a_broken_encoder(cls, message, tags):
    with pytest.raises(AssertionError, match=message):
        check_encoder(cls, tags, {"dim": 8})


@pytest.mark.parametrize(("cls", "message"), FEATURES)
def test_check_encoder_rejects_a_broken_fit(cls, message, features):
    with pytest.raises(AssertionError, match=message):
        check_encoder(cls, features.copy())

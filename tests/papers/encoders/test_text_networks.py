"""Tests of text networks that predict factors, with unseen texts, enrichment and batches."""

from __future__ import annotations

import numpy as np
import pytest

from segue.checks.check_encoder import check_encoder
from segue_papers.encoders.text_cnn import TextCnnEncoder, TextCnnParams
from segue_papers.encoders.tfidf_mlp import TfidfMlpEncoder, TfidfMlpParams
from segue_papers.encoders.tfidf_semantic_mlp import TfidfSemanticMlpEncoder, TfidfSemanticMlpParams
from tests.encoders.text.vector_texts import write_glove
from tests.papers.enrichment.music_knowledge import NT
from toolkit import plugins
from toolkit.errors import InputError, MissingWeights

SMALL = {"epochs": 2, "batch": 4, "bf16": "off"}
SMALL_CNN = SMALL | {"vector_dim": 6, "vector_epochs": 1, "widths": [1, 3], "filters": 4, "hidden": 5}
CASES = [
    ("tfidf-mlp", "tags", SMALL | {"hidden": [8, 6], "separator": ", "}),
    (
        "tfidf-mlp",
        "lyrics",
        SMALL | {"hidden": [6], "output": "prediction", "loss": "squared", "clean": {"low_idf": 1.5}},
    ),
    ("tfidf-semantic-mlp", "biographies", SMALL | {"hidden": [8, 6], "enrich": {"knowledge": "KNOWLEDGE"}}),
    ("text-cnn", "lyrics", SMALL_CNN),
    ("text-cnn", "lyrics", SMALL_CNN | {"vectors": "file", "path": "VECTORS", "tune": False, "output": "prediction"}),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))


def factors(n: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, width)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "inputs", "params"), CASES, ids=[f"{name}-{place}" for place, (name, _, _) in enumerate(CASES)]
)
def test_text_network_passes_check_encoder(name, inputs, params, request, tmp_path):
    texts = request.getfixturevalue(inputs)
    if params.get("path"):
        params = params | {"path": str(write_glove(tmp_path / "vectors.txt"))}
    if "enrich" in params:
        (tmp_path / "music.nt").write_text(NT, encoding="utf-8")
        params = params | {"enrich": {"knowledge": str(tmp_path / "music.nt")}}
    check_encoder(plugins.load("segue.encoders", name), texts, params, targets=factors(len(texts)))


WORDS = [
    ["guitar", "riff", "drums", "amplifier"],
    ["trumpet", "swing", "bebop", "saxophone"],
    ["sampler", "loop", "beat", "bass"],
]
FILLER = ["they", "come", "from", "a", "town", "by", "the", "river", "and", "play"]


def examples(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return texts about three kinds of music, and noisy factors of unit norm for each text."""
    rng, which = np.random.default_rng(seed), np.arange(n) % 3
    texts = [" ".join(rng.permutation([*rng.choice(FILLER, 6), *rng.choice(WORDS[kind], 2)])) for kind in which]
    made = np.eye(3)[which] + rng.normal(0, 0.1, (n, 3))
    return texts, (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    "encoder",
    [
        TfidfMlpEncoder(TfidfMlpParams(hidden=[16, 16], epochs=30, batch=16, bf16="off", lr=5e-3, output="prediction")),
        TextCnnEncoder(
            TextCnnParams(
                vector_dim=12,
                vector_epochs=2,
                filters=8,
                hidden=16,
                epochs=40,
                batch=16,
                bf16="off",
                lr=5e-3,
                output="prediction",
            )
        ),
    ],
    ids=lambda encoder: encoder.name,
)
def test_text_network_predicts_factors_of_unseen_texts(encoder):
    seen, targets = examples(120, 0)
    unseen, expected = examples(60, 1)
    made = encoder.fit(seen, targets).transform(unseen)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)
    assert (made * expected).sum(axis=1).mean() > 0.9
    shuffled = encoder.fit(seen, targets[np.random.default_rng(0).permutation(len(targets))]).transform(unseen)
    assert (shuffled * expected).sum(axis=1).mean() < 0.75  # the mean factor's own cosine is about 0.58


def test_embedding_equals_the_output_of_the_last_dense_layer():
    texts, targets = examples(30, 0)
    params = {"hidden": [8, 6], "epochs": 1, "bf16": "off"}
    embedded = TfidfMlpEncoder(TfidfMlpParams(**params)).fit(texts, targets)
    rows = embedded.transform(texts)
    assert rows.shape == (30, 6) and (rows >= 0).all()
    predicted = TfidfMlpEncoder(TfidfMlpParams(**params, output="prediction")).fit(texts, targets).transform(texts)
    head = embedded.model.head
    by_hand = rows @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(predicted, by_hand / np.linalg.norm(by_hand, axis=1, keepdims=True), atol=1e-5)


def test_idf_counts_distinct_texts_not_tracks():
    """Words of an artist with many tracks do not become common."""
    once, often = ["guitar town", "trumpet town"], ["guitar town"] * 9 + ["trumpet town"]
    params = TfidfMlpParams(hidden=[2], epochs=1, bf16="off")
    first = TfidfMlpEncoder(params).fit(once, factors(2)).words
    second = TfidfMlpEncoder(params).fit(often, factors(10)).words
    np.testing.assert_array_equal(first.weights, second.weights)


def test_enrichment_adds_terms_to_the_vocabulary(tmp_path, biographies):
    (tmp_path / "music.nt").write_text(NT, encoding="utf-8")
    enrich = {"knowledge": str(tmp_path / "music.nt")}
    params = TfidfSemanticMlpParams(hidden=[4], epochs=1, bf16="off", enrich=enrich, lowercase=False)
    encoder = TfidfSemanticMlpEncoder(params).fit(biographies[:3], factors(3))
    assert "Sea_shanty" in encoder.words.vocabulary
    assert encoder.summary()["texts_enriched"] == pytest.approx(2 / 3, abs=1e-6)
    with pytest.raises(InputError, match="tfidf-semantic requires enrich"):
        TfidfSemanticMlpEncoder().fit(biographies, factors(5))


def test_embedding_layer_starts_with_the_vectors_of_the_file(tmp_path, lyrics):
    path = write_glove(tmp_path / "vectors.txt")
    params = TextCnnParams(
        vectors="file", path=path, widths=[1], filters=2, hidden=2, epochs=1, bf16="off", clean=False, tune=False
    )
    encoder = TextCnnEncoder(params).fit(lyrics, factors(len(lyrics)))
    assert list(encoder.vocabulary) == ["city", "harbour", "midnight", "rain", "singing", "tide"]
    np.testing.assert_array_equal(
        encoder.model.trunk.embedding.weight[1:3].numpy(), [[0.0, 1.0, -0.5], [0.0, 0.0, -1.0]]
    )
    assert 0 < encoder.summary()["out_of_vocabulary"] < 1
    with pytest.raises(MissingWeights, match="word-vectors requires path"):
        TextCnnEncoder(TextCnnParams(vectors="file")).fingerprint()


def test_text_vector_does_not_depend_on_padding_or_the_batch():
    import torch

    from segue_papers.encoders.word_convolutions import WordConvolutions

    torch.manual_seed(0)
    network = WordConvolutions(torch.randn(9, 4), [1, 3], 5, 6, tune=True)
    alone = network(torch.tensor([[3, 5, 2, 7]]))
    padded = network(torch.tensor([[3, 5, 2, 7, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]]))
    torch.testing.assert_close(padded[:1], alone)
    windows = torch.stack(
        [network.embedding.weight[[3, 5, 2]], network.embedding.weight[[5, 2, 7]]]
    )  # by hand: (2, 3, 4)
    found = torch.einsum("wkd,fdk->wf", windows, network.convolutions[1].weight) + network.convolutions[1].bias
    convolved = network.convolutions[1](network.embedding.weight[[3, 5, 2, 7]].T[None])[0]
    torch.testing.assert_close(convolved.T, found)

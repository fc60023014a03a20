"""Tests of `sentence-bert` with all-MiniLM-L6-v2 from its installed package."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from segue.checks.check_encoder import check_encoder
from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.pretrained_encoder import MIN_COSINE
from toolkit.encoders.text.sentence_bert import SentenceBertEncoder, SentenceBertParams
from toolkit.errors import InputError

TEXTS = [
    "",
    "Midnight City",
    "  spaces \n and lines ",
    "Sang på svenska, 日本語の歌, أغنية",
    "la " * 700,
    "rock, indie pop",
    "A slow ballad about leaving home, " * 12,
    "MIDNIGHT CITY",
]


@pytest.fixture(scope="module")
def encoder() -> SentenceBertEncoder:
    return SentenceBertEncoder(SentenceBertParams(bf16="off"))


@pytest.fixture(scope="module")
def peer():
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model_hub.find("all-MiniLM-L6-v2")), device="cpu", local_files_only=True)


@pytest.mark.parametrize("batch_tokens", [1, 300, None])
def test_sentence_bert_vectors_equal_sentence_transformers(encoder, peer, batch_tokens):
    encoder.params = encoder.params.model_copy(update={"batch_tokens": batch_tokens})
    found, expected = encoder.transform(TEXTS), peer.encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32


def test_sentence_bert_vector_equals_masked_mean_over_tokens(encoder, peer):
    """The expected vector is computed from one text at a time, without padding."""
    import torch

    for text in TEXTS[:4]:
        tokens = peer.tokenizer(text.strip(), return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            hidden = peer[0].auto_model(**tokens).last_hidden_state[0].numpy()
        mean = hidden.mean(axis=0)
        np.testing.assert_allclose(encoder.transform([text])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_cosine_is_higher_for_similar_meaning_than_similar_words(encoder):
    rows = encoder.transform(["a sad song about lost love", "heartbreak ballad", "sad trombone repair manual"])
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_sentence_bert_cuts_texts_at_max_length(peer):
    short = SentenceBertEncoder(SentenceBertParams(bf16="off", max_length=8))
    long = "one two three four five six seven eight nine ten"
    np.testing.assert_allclose(
        short.transform([long]), short.transform(["one two three four five six different end"]), atol=1e-6
    )
    with pytest.raises(InputError, match="max_length=513 must be <= 512"):
        SentenceBertEncoder(SentenceBertParams(max_length=513)).transform(["x"])


def test_half_precision_keeps_a_high_cosine():
    encoder = SentenceBertEncoder(SentenceBertParams(bf16="on"))
    full = SentenceBertEncoder(SentenceBertParams(bf16="off"))
    assert encoder._probe() >= MIN_COSINE
    pairs = (encoder.transform(TEXTS) * full.transform(TEXTS)).sum(axis=1)
    assert encoder.bf16
    assert not full.bf16
    assert pairs.min() >= MIN_COSINE
    assert encoder.fingerprint() != full.fingerprint()


def test_bf16_auto_is_off_below_the_least_cosine(monkeypatch):
    encoder = SentenceBertEncoder(SentenceBertParams(bf16="auto"))
    monkeypatch.setattr(SentenceBertEncoder, "_wants_bf16", lambda self: True)
    monkeypatch.setattr(SentenceBertEncoder, "_probe", lambda self: 0.9989)
    assert not encoder.bf16


def test_normalise_gives_rows_with_unit_norm(tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(model_hub.find("all-MiniLM-L6-v2"), folder)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))  # without the model's own normalisation
    params = {"model": str(folder), "bf16": "off"}
    plain = SentenceBertEncoder(SentenceBertParams(**params)).transform(TEXTS[:3])
    unit = SentenceBertEncoder(SentenceBertParams(**params, normalise=True)).transform(TEXTS[:3])
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.abs(lengths - 1).max() > 0.1
    np.testing.assert_allclose(unit, plain / lengths, atol=1e-6)


def test_sentence_bert_progress_ends_at_the_total(encoder):
    seen = []
    encoder.params = encoder.params.model_copy(update={"batch_tokens": 300})
    encoder.transform(TEXTS, progress=lambda done, total, what: seen.append((done, total)))
    assert seen[-1] == (len(TEXTS), len(TEXTS))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) > 2


def test_damaged_sentence_bert_weights_raise_input_error(tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(model_hub.find("all-MiniLM-L6-v2"), folder)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be loaded as a text model") as caught:
        SentenceBertEncoder(SentenceBertParams(model=str(folder))).transform(["x"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "licence"),
    [
        ("all-MiniLM-L6-v2", "Apache-2.0 (all-MiniLM-L6-v2)"),
        ("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0 (all-MiniLM-L6-v2)"),
        ("their/own-model", "not known here: see where their/own-model comes from"),
    ],
)
def test_sentence_bert_licence_depends_on_the_model(model: str, licence: str) -> None:
    assert SentenceBertEncoder(SentenceBertParams(model=model)).licence() == licence


@pytest.fixture(scope="module")
def mpnet(tmp_path_factory):
    """Save a sentence-transformers folder with a small MPNet of two layers, CLS and mean pooling."""
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import BertWordPieceTokenizer
    from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("mpnet")
    words = [
        "<s>",
        "<pad>",
        "</s>",
        "[UNK]",
        "<mask>",
        *{word: None for text in TEXTS[-3:] for word in text.lower().split()},
    ]
    pieces = BertWordPieceTokenizer(
        {word: place for place, word in enumerate(words)}, cls_token="<s>", sep_token="</s>"
    )
    special = {
        "cls_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "[UNK]",
        "mask_token": "<mask>",
    }
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces._tokenizer, model_max_length=32, **special)
    config = MPNetConfig(
        vocab_size=len(words),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    MPNetModel(config, add_pooling_layer=False).save_pretrained(folder / "bare")
    tokenizer.save_pretrained(folder / "bare")
    transformer = models.Transformer(str(folder / "bare"), max_seq_length=32)
    pooling = models.Pooling(24, pooling_mode_cls_token=True, pooling_mode_mean_tokens=True)
    SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu").save(str(folder / "model"))
    return folder / "model"


def test_mpnet_uses_its_own_pooling(mpnet):
    from sentence_transformers import SentenceTransformer

    texts = ["midnight city", "a slow ballad about leaving home", "", "rock, indie pop", "home " * 60]
    encoder = SentenceBertEncoder(SentenceBertParams(model=str(mpnet), bf16="off"))
    assert encoder.dim == 48
    found = encoder.transform(texts)
    np.testing.assert_allclose(found, SentenceTransformer(str(mpnet), device="cpu").encode(texts), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert encoder.licence() == f"not known here: see where {mpnet} comes from"
    check_encoder(SentenceBertEncoder, texts, {"model": str(mpnet), "bf16": "off"})


def test_sentence_bert_cleans_texts_before_encoding(encoder):
    clean = SentenceBertEncoder(SentenceBertParams(bf16="off", clean={"artefacts": True, "dropped_g": True}))
    pages = ["3 ContributorsRain Lyrics[Chorus]\nsingin' in the rain12Embed", "no page"]
    np.testing.assert_allclose(clean.transform(pages), encoder.transform(["singing in the rain", "no page"]), atol=1e-6)


def test_sentence_bert_encodes_texts_without_stop_words_and_common_words(encoder):
    songs = ["singin' of the love", "love road", "love me", "a love song"]
    clean = SentenceBertEncoder(SentenceBertParams(bf16="off", clean=True))
    assert clean.needs_fit and not encoder.needs_fit
    with pytest.raises(InputError, match="sentence-bert"):
        clean.transform(songs)
    assert clean.fit(songs).cleaner.common == ["love"]
    np.testing.assert_allclose(clean.transform(songs), encoder.transform(["singing", "road", "", "song"]), atol=1e-6)


def test_sentence_bert_with_fitted_cleaning_keeps_the_contract():
    check_encoder(
        SentenceBertEncoder, ["love road", "love me not", "love song", "love night"], {"clean": True, "bf16": "off"}
    )

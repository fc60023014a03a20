"""Tests of word vectors in every file format, including damaged files."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

from tests.encoders.text.vector_texts import FORMS, VECTORS, glove, word2vec_binary, word2vec_text
from toolkit.encoders.text import word_vector_files
from toolkit.encoders.text.word_vector_files import VectorFile
from toolkit.errors import DataError, InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def written(tmp_path, content, name="vectors"):
    path = tmp_path / name
    path.write_bytes(content)
    return VectorFile(path)


@pytest.mark.parametrize("name", FORMS)
def test_word_vectors_are_read_from_every_format(name, tmp_path):
    file = written(tmp_path, FORMS[name], name)
    assert (file.dim, len(file)) == (3, 6)
    found = file.read(["tide", "nowhere", "midnight", "rai", "rain "])
    assert set(found) == {"tide", "midnight"}
    assert all(found[word].tolist() == VECTORS[word] and found[word].dtype == np.float32 for word in found)
    assert {word: row.tolist() for word, row in file.read(VECTORS).items()} == VECTORS
    assert file.read([]) == {}
    assert file.having(["tide", "nowhere", "midnight"]) == {"tide", "midnight"} and file.having([]) == set()


def test_word_vectors_equal_those_read_by_gensim(tmp_path):
    from gensim.models import KeyedVectors

    rows = np.random.default_rng(0).normal(size=(500, 40)).astype(np.float32)
    theirs = KeyedVectors(40)
    theirs.add_vectors([f"word{number}" for number in range(500)], rows)
    for binary in (False, True):
        path = tmp_path / f"gensim-{binary}"
        theirs.save_word2vec_format(str(path), binary=binary)
        again = KeyedVectors.load_word2vec_format(str(path), binary=binary)
        found = VectorFile(path).read(again.index_to_key)
        np.testing.assert_array_equal(np.stack([found[word] for word in again.index_to_key]), again.vectors)


def test_binary_word_vectors_do_not_depend_on_the_block_size(tmp_path, monkeypatch):
    monkeypatch.setattr(word_vector_files, "CHUNK", 7)
    monkeypatch.setattr(word_vector_files, "LONGEST", 20)
    file = written(tmp_path, word2vec_binary())
    assert {word: row.tolist() for word, row in file.read(VECTORS).items()} == VECTORS


def test_repeated_words_use_their_first_vector(tmp_path):
    content = glove() + b". . 7 8 9\n" + b"rain 9 9 9\n" + "größe 1 2 3\n".encode()
    file = written(tmp_path, content)
    found = file.read([". .", ".", "rain", "größe"])
    assert {word: row.tolist() for word, row in found.items()} == {
        ". .": [7, 8, 9],
        "rain": VECTORS["rain"],
        "größe": [1, 2, 3],
    }


def test_words_with_colliding_hashes_are_distinguished(tmp_path, monkeypatch):
    monkeypatch.setattr(word_vector_files, "_hash", lambda word: bytes([len(word)]) * 8)
    for content in (glove(), word2vec_binary()):
        file = written(tmp_path, content, f"v{len(content)}")
        assert {word: row.tolist() for word, row in file.read([*VECTORS, "snow"]).items()} == VECTORS


def test_word_vector_file_is_indexed_once(tmp_path, monkeypatch, cache):
    first = written(tmp_path, FORMS["glove.txt.gz"], "v.gz")
    assert len(list((cache / "vectors").iterdir())) == 2, "notes, and the unpacked content"
    monkeypatch.setattr(word_vector_files, "_index", None)
    again = VectorFile(tmp_path / "v.gz")
    assert again.digest == first.digest
    assert again.read(["city"])["city"].tolist() == VECTORS["city"]


def test_word_vector_digest_depends_on_the_content(tmp_path):
    one = written(tmp_path, glove(), "one").digest
    assert written(tmp_path, glove(), "other").digest == one
    assert written(tmp_path, gzip.compress(glove()), "packed").digest == one
    changed = tmp_path / "one"
    changed.write_bytes(glove() + b"snow 1 1 1\n")
    os.utime(changed, (1, 1))
    assert VectorFile(changed).digest != one
    assert "snow" in VectorFile(changed).read(["snow"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 must be `n d` or a word and its numbers"),
        (b"hello there\n", "line 1 must be `n d`"),
        (b"0 300\n", "line 1 must be two numbers >= 1 but is 0 300"),
        (b"rain 1 2 3\ncity 1 2\n", "line 2 has 2 numbers but must have 3: download"),
        (word2vec_text()[:-30], "line 6 has 2 numbers but must have 3: download"),
        (b"9 3\nrain 1 2 3\n", "has 1 words but must have 9 according to line 1: download"),
        (word2vec_binary()[:-9], "ends or is damaged at word 6 of 6"),
        (gzip.compress(glove(), mtime=0)[:-12], r"is damaged \(.*\): download the file again"),
    ],
)
def test_damaged_word_vector_file_raises_data_error(content, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        written(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_reading_a_nan_word_vector_raises_data_error(tmp_path):
    file = written(tmp_path, b"rain 1 2 3\ncity 1 nan 3\n")
    assert file.read(["rain"])["rain"].tolist() == [1, 2, 3]
    with pytest.raises(DataError, match="the vector of 'city' must be 3 finite numbers"):
        file.read(["city"])


def test_missing_word_vector_file_raises_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.txt' must be a file: pass a GloVe"):
        VectorFile(tmp_path / "nowhere.txt")

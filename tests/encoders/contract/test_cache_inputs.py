"""Tests that every input of an encoding is in its cache key, and that files are hashed as they were read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from toolkit import devices, plugins, source_code
from toolkit.encoders.contract import encoding_cache
from toolkit.encoders.contract.content_hash import digests, files_digest
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.encoder import Encoder, EncoderParams
from toolkit.encoders.contract.encoding_cache import Tracks, key
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.features.vectors import VectorsEncoder, VectorsParams
from toolkit.encoders.learning.weighted_prediction_error import Feedback
from toolkit.errors import DataError

IDS = ["local:a", "local:b", "local:c"]


class Params(EncoderParams):
    """Parameters of the encoder under test."""

    scale: float = 1.0
    file: Path = Path("none")


class Lengths(Encoder):
    """Encoder of texts as their lengths, with every kind of input that a key can have."""

    name, kind, requires_fit, supervised = "lengths", "text", True, True
    Params = Params
    params: Params
    dim = 1
    weights = "w1"

    @property
    def needs_feedback(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return self.weights

    def transform(self, inputs: Any, *, progress: object = None) -> np.ndarray:
        return np.array([[len(text)] for text in inputs], np.float32)


def feedback(confidence: float) -> Feedback:
    return Feedback(np.ones((2, 2), np.float32), sp.csr_matrix(np.full((3, 2), confidence, np.float32)))


def tracks(**changes: Any) -> Tracks:
    base = Tracks(
        IDS,
        np.array([True, True, False]),
        digests("text", ["one", "two"]),
        np.array([True, False, False]),
        np.ones((3, 2), np.float32),
        feedback(1),
    )
    return dataclasses.replace(base, **changes)


CHANGED_TRACKS: dict[str, dict[str, Any]] = {
    "ids": {"ids": ["local:a", "local:b", "local:d"]},
    "present": {"present": np.array([True, False, True])},
    "inputs": {"digests": digests("text", ["one", "three"])},
    "fitted": {"fitted": np.array([True, True, False])},
    "targets": {"targets": np.zeros((3, 2), np.float32)},
    "shape of the targets": {"targets": np.ones((2, 3), np.float32)},
    "feedback": {"feedback": feedback(2)},
}


@pytest.mark.parametrize("name", CHANGED_TRACKS)
def test_key_depends_on_every_property_of_the_tracks(name: str) -> None:
    assert key(Lengths(), tracks(**CHANGED_TRACKS[name])) != key(Lengths(), tracks())


def change(attribute: str, value: object) -> Callable[[Encoder, pytest.MonkeyPatch], None]:
    return lambda encoder, monkeypatch: monkeypatch.setattr(type(encoder), attribute, value)


CHANGED_SURROUNDINGS: dict[str, Callable[[Encoder, pytest.MonkeyPatch], None]] = {
    "version": change("version", "2"),
    "weights": change("weights", "w2"),
    "seed": lambda encoder, _: setattr(encoder, "seed", 7),
    "device": lambda encoder, _: setattr(encoder, "device", "cuda:1"),
    "parameters": lambda encoder, _: setattr(encoder, "params", Params(scale=2)),
    "threads": lambda _, monkeypatch: monkeypatch.setattr(devices, "threads", lambda: 99),
    "libraries": lambda _, monkeypatch: monkeypatch.setattr(
        encoding_cache, "library_versions", lambda *_: {"torch": "0"}
    ),
    "source": lambda _, monkeypatch: monkeypatch.setattr(encoding_cache, "source_of", lambda *_: {"mine": "0"}),
}


@pytest.mark.parametrize("name", CHANGED_SURROUNDINGS)
def test_key_depends_on_everything_around_the_encoder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, before = Lengths(), key(Lengths(), tracks())
    CHANGED_SURROUNDINGS[name](encoder, monkeypatch)

    assert key(encoder, tracks()) != before


def test_key_is_the_same_on_another_device_of_the_same_kind_and_for_frozen_encoders_with_other_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = Lengths(device="cuda:0"), Lengths(device="cuda:1")
    assert key(first, tracks()) == key(second, tracks())
    monkeypatch.setattr(Lengths, "requires_fit", False)
    before = key(Lengths(), tracks())
    monkeypatch.setattr(devices, "threads", lambda: 99)
    assert key(Lengths(), tracks()) == before


def test_threads_are_those_of_torch() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert devices.threads() == 1
    finally:
        torch.set_num_threads(threads)


def field() -> FieldValues:
    return FieldValues("mine", IDS, np.ones(3, bool), IDS)


def write(path: Path, values: np.ndarray) -> None:
    np.savez(path, ids=np.array(IDS), vectors=values.astype(np.float32))


def test_vectors_that_change_between_hashing_and_reading_are_not_cached(tmp_path: Path) -> None:
    path, old = tmp_path / "mine.npz", np.eye(3)
    write(path, old)
    encoder = VectorsEncoder(VectorsParams(file=path))
    encoder.fingerprint()
    write(path, old * 2)

    with pytest.raises(DataError, match="mine.npz changed while it was read: wait until it is complete"):
        encode(encoder, field(), cache=tmp_path / "cache")
    write(path, old)
    found = encode(VectorsEncoder(VectorsParams(file=path)), field(), cache=tmp_path / "cache")
    assert found.matrix[1:].tolist() == old.tolist()


def test_encoder_that_has_read_a_file_keeps_its_hash(tmp_path: Path) -> None:
    path, old = tmp_path / "mine.npz", np.eye(3)
    write(path, old)
    encoder = VectorsEncoder(VectorsParams(file=path))
    encode(encoder, field(), cache=tmp_path / "cache")
    write(path, old * 2)
    kept = encode(encoder, field(), cache=tmp_path / "cache").matrix[1:]
    fresh = encode(VectorsEncoder(VectorsParams(file=path)), field(), cache=tmp_path / "cache").matrix[1:]

    assert kept.tolist() == old.tolist() and fresh.tolist() == (2 * old).tolist()


class Rewriting(Lengths):
    """Encoder whose model file is replaced while it transforms."""

    requires_fit = supervised = False

    def fingerprint(self) -> str:
        return files_digest([self.params.file])

    def transform(self, inputs: Any, *, progress: object = None) -> np.ndarray:
        self.params.file.write_text("other weights")
        return super().transform(inputs)


def test_model_that_changes_while_it_encodes_is_not_cached(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("weights")
    encoder = Rewriting(Params(file=tmp_path / "model"))

    with pytest.raises(DataError, match="mine: a file that encoder 'lengths' reads changed while it was read"):
        encode(encoder, field(), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.safetensors"))


def test_source_of_an_installed_plug_in_is_in_the_key_and_that_of_a_built_in_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "plugged"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("factor = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "foreign", lambda group: {"plugged-in": "plugged.encoder"} if "enc" in group else {})
    before = source_code.sources({"encoders": {"x": {"encoder": "plugged-in"}}})
    (package / "helper.py").write_text("factor = 2\n")

    assert before.keys() == {"plugged.encoder"}
    assert source_code.sources({"encoders": {"x": {"encoder": "plugged-in"}}}) != before
    assert source_code.sources({"encoders": {"x": {"encoder": "tfidf"}}}) == {}
    assert source_code.source_of("segue.encoders", VectorsEncoder, "vectors") == {}


def test_versions_of_libraries_are_listed_under_the_names_of_their_packages() -> None:
    versions = source_code.library_versions("pillow", "not-installed")

    assert versions.keys() == {"torch", "numpy", "scipy", "pillow"} and versions["torch"] == torch.__version__

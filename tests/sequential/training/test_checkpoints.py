"""Tests of training state on disk: complete or absent files, and bit-identical restored state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from toolkit.errors import RunDirectoryError
from toolkit.sequential.training import checkpoint_tensors


def test_read_returns_written_tensors_and_info(tmp_path: Path) -> None:
    tensors = {"a.b": torch.randn(3, 2).T, "n": torch.tensor(7), "half": torch.randn(2).bfloat16()}
    checkpoint_tensors.write(
        tmp_path / "new" / "state.safetensors", tensors, {"epoch": 3, "best": float("-inf"), "curve": [{"loss": 0.1}]}
    )
    found, info = checkpoint_tensors.read(tmp_path / "new" / "state.safetensors")
    assert info == {"epoch": 3, "best": float("-inf"), "curve": [{"loss": 0.1}]}
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in tensors.items())


def test_failed_write_keeps_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint_tensors.write(path, {"a": torch.ones(2)}, {"epoch": 1})

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space"):
            checkpoint_tensors.write(path, {"a": torch.zeros(2)}, {"epoch": 2})
    assert checkpoint_tensors.read(path)[1] == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "text", "foreign", "folder"])
def test_reading_a_damaged_checkpoint_raises_run_directory_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint_tensors.write(path, {"a": torch.ones(200)}, {"epoch": 1})
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "foreign":
        save_file({"a": torch.ones(2)}, path)
    elif damage != "missing":
        path.write_bytes({"cut": whole[:-100], "empty": b"", "text": b"hello\n" * 50}[damage])
    with pytest.raises(RunDirectoryError, match=r"state\.safetensors .* the recipe again") as caught:
        checkpoint_tensors.read(path)
    assert "\n" not in str(caught.value)


def model() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    made.register_buffer("content", torch.ones(2))
    return made


def test_training_state_contains_parameters_without_buffers() -> None:
    first, second = model(), model()
    assert set(checkpoint_tensors.learned(first)) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    checkpoint_tensors.restore(second, checkpoint_tensors.learned(first))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_restored_optimizer_takes_an_identical_step(tmp_path: Path) -> None:
    def optimizer(made: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(made.parameters(), lr=0.1, fused=True)

    def step(made: nn.Module, by: torch.optim.Optimizer) -> None:
        by.zero_grad()
        made(torch.arange(6.0).view(2, 3)).pow(3).sum().backward()
        by.step()

    straight = model()
    by = optimizer(straight)
    step(straight, by)
    moments = {f"moments/{name}": tensor for name, tensor in checkpoint_tensors.optimizer_tensors(by).items()}
    checkpoint_tensors.write(tmp_path / "state", moments | checkpoint_tensors.learned(straight), {})
    tensors, _ = checkpoint_tensors.read(tmp_path / "state")

    resumed = model()
    checkpoint_tensors.restore(resumed, tensors)
    again = optimizer(resumed)
    checkpoint_tensors.restore_optimizer(again, {name.removeprefix("moments/"): tensors[name] for name in moments})
    step(straight, by)
    step(resumed, again)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in straight.state_dict().items())

"""Training state in a safetensors file, written atomically so a kill leaves the previous file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from toolkit import interrupts
from toolkit.errors import RunDirectoryError
from toolkit.files import replacing
from toolkit.sequential.network import Network


def learned(network: Network) -> dict[str, torch.Tensor]:
    """Return the parameters by name. Buffers hold fixed content and are not training state."""
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def restore(network: Network, tensors: dict[str, torch.Tensor]) -> None:
    """Set the parameters. Names and shapes must match the network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[name])


def write(path: Path, tensors: dict[str, torch.Tensor], info: Mapping[str, object]) -> None:
    """Replace `path` atomically by a file with `tensors` and JSON-serialisable `info`."""
    with replacing(path) as temporary:
        save_file(
            {key: tensor.contiguous().cpu() for key, tensor in tensors.items()}, temporary, {"info": json.dumps(info)}
        )


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and info that `write` wrote. Raises `RunDirectoryError` for any other file."""
    try:
        with safe_open(path, "pt") as file:
            info = json.loads((file.metadata() or {})["info"])
            return {key: file.get_tensor(key) for key in file.keys()}, info  # noqa: SIM118
    except FileNotFoundError:
        raise RunDirectoryError(f"the checkpoint {path} is missing: run the recipe again") from None
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        interrupts.raise_if_interrupted()
        raise RunDirectoryError(
            f"{path} is not a readable checkpoint ({error}): delete the file and run the recipe again"
        ) from None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return moments and step counts by parameter number."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": value for index, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Set the moments and step counts of an optimizer with the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

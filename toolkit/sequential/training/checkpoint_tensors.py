"""Training state in a safetensors file, written atomically so a kill leaves the previous file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from toolkit import interrupts
from toolkit.encoders.contract.encoder_files import checksum
from toolkit.encoders.contract.tensor_file import read_file
from toolkit.errors import RunDirectoryError, first_line
from toolkit.files import replacing
from toolkit.sequential.network import Network

CHECKSUM = "blake2b"
"""Key of the checksum in `info`."""


def learned(network: Network) -> dict[str, torch.Tensor]:
    """Return the parameters by name. Buffers hold fixed content and are not training state."""
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def restore(network: Network, tensors: dict[str, torch.Tensor]) -> None:
    """Set the parameters. Names and shapes must match the network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[name])


def write(path: Path, tensors: dict[str, torch.Tensor], info: Mapping[str, object]) -> None:
    """Replace `path` atomically by a file with `tensors`, a checksum and JSON-serialisable `info`."""
    solid = {key: tensor.contiguous().cpu() for key, tensor in tensors.items()}
    about = json.dumps({**info, CHECKSUM: checksum({key: _bits(tensor) for key, tensor in solid.items()})})
    with replacing(path) as temporary:
        save_file(solid, temporary, {"info": about})


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and info that `write` wrote. Raises `RunDirectoryError` for any other file.

    Files of earlier versions have no checksum.
    """
    try:
        file = read_file(path)
        info = dict(json.loads(file.metadata["info"]))
        if info.pop(CHECKSUM, None) not in (None, checksum(file.arrays)):
            raise ValueError("its checksum does not match")
        tensors = {key: torch.from_numpy(array) for key, array in file.arrays.items()}
        typed = {key: tensors[key].view(torch.bfloat16) for key, dtype in file.dtypes.items() if dtype == "BF16"}
        return tensors | typed, info
    except FileNotFoundError:
        raise RunDirectoryError(f"the checkpoint {path} is missing: run the recipe again") from None
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None


def mapped(path: Path, identity: str) -> dict[str, torch.Tensor] | None:
    """Return the tensors of a file that this training wrote, memory-mapped, or None for another identity.

    The file is only ever replaced as a whole, so it cannot become shorter than its map.
    """
    try:
        with safe_open(path, "pt") as file:
            if json.loads((file.metadata() or {})["info"])["identity"] != identity:
                return None
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> RunDirectoryError:
    interrupts.raise_if_interrupted()
    return RunDirectoryError(
        f"{path} is not a readable checkpoint ({first_line(error)}): delete the file and run the recipe again"
    )


def _bits(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as `read_file` returns it. NumPy has no bfloat16."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


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

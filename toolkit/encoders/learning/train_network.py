"""Training of an encoder's network, epoch by epoch, in a way that a kill does not change.

Every epoch draws its order and noise from its own seed, and leaves one
checkpoint (safetensors with a JSON header, written whole or not at all): a run
that was killed and started again ends with the same numbers as an unbroken one.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from toolkit.encoders.contract.encoder import Progress
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.encoders.learning.predictor_network import Network
from toolkit.errors import DataError, SegueError
from toolkit.seeds import derived_seed

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    identity: of data and parameters, so that no stranger's checkpoint is taken. bf16: autocast.
    optimizer: Adam whose rate falls to zero by a half cosine; or stochastic descent with Nesterov's momentum of .9, whose rate at step
    s is lr / (1 + decay · s).
    threads: of the CPU while training, where not all: a network too small to share waits for its threads.
    """

    epochs: int
    batch: int
    lr: float
    beta: float
    seed: int
    device: str
    identity: str
    bf16: bool = False
    threads: int | None = None
    optimizer: Literal["adam", "nesterov"] = "adam"
    decay: float = 0.0


def train(
    model: Network,
    load: Callable[[np.ndarray], Any],
    n: int,
    schedule: Schedule,
    *,
    workdir: Path | None = None,
    progress: Progress | None = None,
    what: str = "fit",
) -> list[dict[str, Any]]:
    """Train in place on inputs 0…n-1; `load(rows int64 [b])` gives a batch on the CPU, a tensor or several.

    Returns one row per epoch: epoch, seconds and the
    per-input means of the losses. Raises `SegueError` where the loss stops being finite.
    """
    model.to(schedule.device).train()
    optimizer: torch.optim.Optimizer
    if schedule.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=schedule.lr)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=schedule.lr, momentum=0.9, nesterov=True)
    curve = _resume(workdir, model, optimizer, schedule) if workdir is not None else []
    with _steady(schedule.threads):
        for epoch in range(len(curve), schedule.epochs):
            curve.append(_epoch(model, optimizer, load, n, schedule, epoch, progress, what))
            if workdir is not None:
                _checkpoint(workdir, model, optimizer, schedule, curve)
    model.eval()
    return curve


def _epoch(
    model: Network,
    optimizer: torch.optim.Optimizer,
    load: Callable[[np.ndarray], Any],
    n: int,
    schedule: Schedule,
    epoch: int,
    progress: Progress | None,
    what: str,
) -> dict[str, Any]:
    began, sums = time.perf_counter(), dict[str, Tensor]()
    generator = torch.Generator().manual_seed(derived_seed(schedule.seed, "epoch", epoch))
    order = torch.randperm(n, generator=generator).numpy()
    steps = math.ceil(n / schedule.batch)
    for step in range(steps):
        rows = np.sort(order[step * schedule.batch : (step + 1) * schedule.batch])
        _set_rate(optimizer, schedule, epoch * steps + step, schedule.epochs * steps)
        noise = torch.randn(len(rows), model.latent, generator=generator)
        for name, value in _step(model, optimizer, load(rows), noise, schedule).items():
            sums[name] = sums.get(name, torch.zeros(())) + value.detach().cpu() * len(rows)
        if progress is not None:
            progress(epoch * steps + step + 1, schedule.epochs * steps, what)
    means = {name: float(value) / n for name, value in sums.items()}
    if not math.isfinite(means["loss"]):
        raise SegueError(f"{what}: the loss is {means['loss']} in epoch {epoch + 1}: lower lr={schedule.lr}")
    return {"epoch": epoch + 1, "seconds": time.perf_counter() - began, **means}


def _step(
    model: Network, optimizer: torch.optim.Optimizer, batch: Any, noise: Tensor, schedule: Schedule
) -> dict[str, Tensor]:
    device = schedule.device
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=schedule.bf16):
        placed = batch.to(device) if isinstance(batch, Tensor) else tuple(part.to(device) for part in batch)
        losses = model.losses(placed, noise.to(device), beta=schedule.beta)
    optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()
    optimizer.step()
    return losses


def _set_rate(optimizer: torch.optim.Optimizer, schedule: Schedule, step: int, steps: int) -> None:
    share = (
        1 / (1 + schedule.decay * step)
        if schedule.optimizer == "nesterov"
        else 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    for group in optimizer.param_groups:
        group["lr"] = schedule.lr * share


def _checkpoint(
    workdir: Path, model: Network, optimizer: torch.optim.Optimizer, schedule: Schedule, curve: list[dict[str, Any]]
) -> None:
    tensors = {f"model.{name}": value.cpu().numpy() for name, value in model.state_dict().items()}
    for place, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{place}.{name}": value.cpu().numpy() for name, value in state.items()}
    write_tensors(workdir / CHECKPOINT, tensors, {"schedule": asdict(schedule), "curve": curve})


def _resume(
    workdir: Path, model: Network, optimizer: torch.optim.Optimizer, schedule: Schedule
) -> list[dict[str, Any]]:
    """Load the last epoch's checkpoint of this very schedule; an empty curve where there is none."""
    path = workdir / CHECKPOINT
    if not path.is_file():
        return []
    try:
        tensors, header = read_tensors(path)
    except DataError as error:
        warnings.warn(f"training starts anew: {error}", RuntimeWarning, stacklevel=2)
        return []
    if header["schedule"] != asdict(schedule):
        return []
    load_weights(
        model, {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, place, part = name.split(".")
            state.setdefault(int(place), {})[part] = torch.from_numpy(value.copy())
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    curve: list[dict[str, Any]] = header["curve"]
    return curve


def load_weights(model: Network, tensors: dict[str, np.ndarray]) -> None:
    """Copy saved weights into a module. Raises `DataError` where names or shapes differ."""
    try:
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
    except RuntimeError as error:
        raise DataError(f"saved weights do not fit their parameters: {error}") from None


@contextmanager
def _steady(threads: int | None) -> Iterator[None]:
    """Deterministic kernels and a fixed number of threads, as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_num_threads(before)

"""Training loop for encoder networks, epoch by epoch, with identical results after a kill.

Every epoch draws its order and noise from its own seed and ends with a checkpoint, a safetensors file with a JSON
header that is written atomically. A resumed run therefore returns the same numbers as an uninterrupted run.
"""

from __future__ import annotations

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from toolkit.contracts.learning import Learning, sample_rows
from toolkit.encoders.contract.encoder import Progress, Tensors
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.encoders.learning.weight_distance import WeightStart
from toolkit.errors import DataError, SegueError
from toolkit.seeds import derived_seed

CHECKPOINT = "checkpoint.safetensors"
LARGEST_NETWORK = (4, 1_000_000)
"""Numbers of a network that is built for saved weights: at most 4 for each saved one, and 1,000,000. Layers that a
network builds and then replaces, and shared weights, are counted each time."""

Batch = Tensor | tuple[Tensor, ...]
"""Inputs of one step: a tensor, or several."""

Epoch = dict[str, float]
"""`epoch`, `seconds`, and the mean of each loss over the inputs."""


class TrainableNetwork(nn.Module, ABC):
    """Network that `train` can train.

    - latent: number of normal values that the losses require as noise for each input.
    - judged: name of the loss that `constant_loss` returns for a constant prediction.
    - learning: record of the last training by `train`.
    """

    latent: int
    judged: ClassVar[str] = "loss"
    learning: Learning = Learning()

    @abstractmethod
    def losses(self, inputs: Any, noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Return means over the n inputs of a batch. `loss` is minimised. The noise is standard normal [n, latent].

        In evaluation mode the losses are those of the network as it is used, without dropout.
        """

    def constant_loss(self, steps: Iterable[tuple[Any, Tensor]]) -> float | None:
        """Return the mean loss over all inputs of the best prediction that ignores the inputs.

        A network whose loss is not lower has learned nothing. The default returns None, for a loss without
        such a prediction. Then only its weights and vectors are checked.

        - steps: inputs and noise of each batch, as `losses` takes them. Read once, batch by batch.
        """
        return None


Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """Training schedule of a network.

    - epochs, batch, lr: number of epochs, batch size and initial learning rate.
    - beta: passed to `losses`.
    - seed: seed for the order of the inputs and the noise.
    - identity: hash of data and parameters. A checkpoint with another schedule is ignored.
    - bf16: whether to use autocast.
    - threads: number of CPU threads in training. The default is all threads. Small networks are faster with one thread.
    - optimizer: `adam`, with a learning rate that decays to zero along half a cosine, or `nesterov`, stochastic
      gradient descent with momentum .9 and the learning rate lr / (1 + decay · s) at step s.
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
    model: TrainableNetwork,
    load: Callable[[np.ndarray], Batch],
    n: int,
    schedule: Schedule,
    *,
    workdir: Path | None = None,
    progress: Progress | None = None,
    what: str = "fit",
    begin_epoch: Callable[[int], None] | None = None,
) -> list[Epoch]:
    """Train a network in place.

    - load: `load(rows int64 [b])` returns the batch of these inputs on the CPU.
    - n: number of inputs.
    - workdir: folder of the checkpoint. By default no checkpoint is kept.
    - what: name of the training in messages and progress.
    - begin_epoch: called with the number of each epoch before it is trained, counted from 0, and with the number of
      epochs before the losses of the finished network are measured. For inputs that are drawn anew for each epoch.

    Returns one row per epoch, and sets `model.learning`. Raises `SegueError` if the loss is not finite.
    """
    model.to(schedule.device).train()
    start = WeightStart(model.parameters())
    optimizer: torch.optim.Optimizer
    if schedule.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=schedule.lr)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=schedule.lr, momentum=0.9, nesterov=True)
    run = _Run(model, optimizer, schedule)
    curve = run.resume(workdir / CHECKPOINT) if workdir is not None else []
    accelerators = [] if schedule.device == "cpu" else [torch.device(schedule.device)]
    with _fixed_kernels(schedule.threads), torch.random.fork_rng(accelerators):
        draw = begin_epoch or (lambda epoch: None)
        for epoch in range(len(curve), schedule.epochs):
            draw(epoch)
            curve.append(run.epoch(epoch, load, n, progress, what))
            if workdir is not None:
                run.checkpoint(workdir / CHECKPOINT, curve)
        model.eval()
        draw(schedule.epochs)
        model.learning = run.learning(load, n, start)
    return curve


@dataclass(frozen=True)
class _Run:
    """State of one training run."""

    model: TrainableNetwork
    optimizer: torch.optim.Optimizer
    schedule: Schedule

    def epoch(
        self, epoch: int, load: Callable[[np.ndarray], Batch], n: int, progress: Progress | None, what: str
    ) -> Epoch:
        """Train one epoch, counted from 0."""
        schedule, began, sums = self.schedule, time.perf_counter(), dict[str, Tensor]()
        # layers of dropout draw from torch's own generator
        torch.manual_seed(derived_seed(schedule.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derived_seed(schedule.seed, "epoch", epoch))
        order = torch.randperm(n, generator=generator).numpy()
        steps = math.ceil(n / schedule.batch)
        for step in range(steps):
            rows = np.sort(order[step * schedule.batch : (step + 1) * schedule.batch])
            rate = 0.5 * (1 + math.cos(math.pi * (epoch * steps + step) / (schedule.epochs * steps)))
            if schedule.optimizer == "nesterov":
                rate = 1 / (1 + schedule.decay * (epoch * steps + step))
            for group in self.optimizer.param_groups:
                group["lr"] = schedule.lr * rate
            noise = torch.randn(len(rows), self.model.latent, generator=generator)
            for name, value in self._step(load(rows), noise).items():
                sums[name] = sums.get(name, torch.zeros(())) + value.detach().cpu() * len(rows)
            if progress is not None:
                progress(epoch * steps + step + 1, schedule.epochs * steps, what)
        means = {name: float(value) / n for name, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise SegueError(
                f"{what}: the loss is {means['loss']} in epoch {epoch + 1} but must be finite: reduce lr={schedule.lr}"
            )
        return {"epoch": epoch + 1, "seconds": time.perf_counter() - began, **means}

    def _step(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        device = self.schedule.device
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=self.schedule.bf16):
            losses = self.model.losses(self._placed(batch), noise.to(device), beta=self.schedule.beta)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        self.optimizer.step()
        return losses

    def _placed(self, batch: Batch) -> Batch:
        device = self.schedule.device
        return batch.to(device) if isinstance(batch, Tensor) else tuple(part.to(device) for part in batch)

    @torch.inference_mode()
    def learning(self, load: Callable[[np.ndarray], Batch], n: int, start: WeightStart) -> Learning:
        """Return the record of the training, with losses of the network as it is used, on a sample of its inputs."""
        rows, seed = sample_rows(n), derived_seed(self.schedule.seed, "check")
        # shuffled as in training, because the other inputs of a batch may be its negatives
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()
        parts = [
            np.sort(rows[order[low : low + self.schedule.batch]]) for low in range(0, len(rows), self.schedule.batch)
        ]

        def steps() -> Iterator[tuple[Batch, Tensor]]:
            generator = torch.Generator().manual_seed(seed)
            for part in parts:
                noise = torch.randn(len(part), self.model.latent, generator=generator).to(self.schedule.device)
                yield self._placed(load(part)), noise

        moved, constant = start.distance(self.model.parameters()), self.model.constant_loss(steps())
        if constant is None:
            return Learning(moved=moved)
        losses = (self.model.losses(*step, beta=self.schedule.beta)[self.model.judged] for step in steps())
        sums = sum(float(loss) * len(part) for loss, part in zip(losses, parts, strict=True))
        return Learning(sums / len(rows), constant, moved)

    def checkpoint(self, path: Path, curve: list[Epoch]) -> None:
        """Write the state after the last epoch of `curve`."""
        tensors = weights(self.model)
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value.cpu().numpy() for name, value in state.items()}
        write_tensors(path, tensors, {"schedule": asdict(self.schedule), "curve": curve})

    def resume(self, path: Path) -> list[Epoch]:
        """Load the checkpoint with the same schedule.

        Returns its curve, or an empty curve if there is no such checkpoint.
        """
        if not path.is_file():
            return []
        try:
            tensors, header = read_tensors(path)
        except DataError as error:
            warnings.warn(f"training restarts at epoch 1: {error}", RuntimeWarning, stacklevel=3)
            return []
        if header["schedule"] != asdict(self.schedule):
            return []
        load_weights(self.model, tensors)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("adam."):
                _, index, part = name.split(".")
                state.setdefault(int(index), {})[part] = torch.from_numpy(value.copy())
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        curve: list[Epoch] = header["curve"]
        return curve


def weights(model: nn.Module) -> Tensors:
    """Return the weights of a module as arrays with the name prefix `model.`."""
    return {f"model.{name}": value.cpu().numpy() for name, value in model.state_dict().items()}


def restored(build: Callable[[], Module], tensors: Tensors) -> Module:
    """Return the network that `build` returns with the saved weights.

    Raises `DataError` if names or shapes differ, or if the network is much larger than the saved weights. Sizes in a
    folder from a stranger must not decide how much memory is used.
    """
    factor, slack = LARGEST_NETWORK
    limit = factor * sum(value.size for value in tensors.values()) + slack
    numbers = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal numbers
        numbers += 0 if parameter is None else parameter.numel()
        if numbers > limit:
            raise DataError("saved weights are smaller than the network of the parameters: fit the encoder again")

    hook = register_module_parameter_registration_hook(count)
    try:
        model = build()
    finally:
        hook.remove()
    return load_weights(model, tensors)


def load_weights(model: Module, tensors: Tensors) -> Module:
    """Copy arrays into a module and ignore other arrays. Raises `DataError` if names or shapes differ."""
    own = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    try:
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in own.items()})
    except RuntimeError as error:
        raise DataError(f"saved weights do not match the parameters ({error}): fit the encoder again") from None
    return model


@contextmanager
def _fixed_kernels(threads: int | None) -> Iterator[None]:
    """Use deterministic kernels and a fixed number of threads, and restore the previous settings at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_num_threads(before)

"""Training by several processes, each with its own playlists of every batch.

Every process builds the same batches and computes every N-th playlist of each batch. Candidates, masks and sampled
negatives belong to the whole batch and are drawn by all processes with the same random numbers. Gradients are weighted
by their number of targets and summed. N processes therefore take the same steps as a single process with the same
`batch_tokens`, up to the order of sums and dropout inside the layers, which each process draws separately.

The first process alone validates, writes and decides when to stop. The other processes sleep until they read its result
from a shared store.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from toolkit.errors import InputError, SegueError

FOREVER = timedelta(days=30)
"""The first process may validate or encode for hours. One that dies closes its connections and is noticed at once."""

NAP = 0.2
"""Longest sleep between two looks at the store, in seconds."""

ENDED, LEFT = "ended", "left"

Decision = TypeVar("Decision")


class Lost(SegueError):
    """Error that another process of this run has ended unexpectedly."""


class Ended(SegueError):
    """Signal that the first process has ended the run."""


@dataclass
class Processes:
    """This process and the other processes of its run; by default this process only.

    - rank: number of this process.
    - world: number of processes.
    - store: values that all processes read.
    - decided: number of decisions so far.
    """

    rank: int = 0
    world: int = 1
    store: dist.Store | None = None
    decided: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and displays progress."""
        return self.rank == 0

    @property
    def _shared(self) -> dist.Store:
        assert self.store is not None
        return self.store

    def own_rows(self, rows: int) -> slice:
        """Return the rows of a batch that this process computes, and draw random numbers separately from now on.

        If there are fewer rows than processes, the last processes get the first row, and its targets must not count
        there (`has_rows`).
        """
        if self.world == 1:
            return slice(None)
        torch.manual_seed(torch.initial_seed() + 1 + self.rank)
        return slice(self.rank, None, self.world) if self.has_rows(rows) else slice(0, 1)

    def has_rows(self, rows: int) -> bool:
        """Return whether this process has its own rows in a batch of `rows`."""
        return self.rank < rows

    def mean(self, loss: torch.Tensor, targets: int, grads: list[torch.Tensor]) -> tuple[torch.Tensor, int]:
        """Return the mean loss over the targets of all processes, and their number. `grads` are averaged in place.

        - loss: mean over this process's targets.
        - targets: number of this process's targets.

        A call makes one sum over the processes.
        """
        if self.world == 1:
            return loss, targets
        flat = torch.cat(
            [*(grad.flatten() for grad in grads), loss.detach().to(grads[0].dtype)[None], loss.new_ones(1)]
        )
        with _connected():
            dist.all_reduce(flat.mul_(targets))
        total = flat[-1].clone()
        flat.div_(total)
        for grad, part in zip(grads, flat.split([*(grad.numel() for grad in grads), 2]), strict=False):
            grad.copy_(part.view_as(grad))
        return flat[-2].clone(), int(total)

    def equalise(self, tensors: Iterable[torch.Tensor]) -> None:
        """Copy the values of the first process to every process."""
        if self.world > 1:
            with _connected():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)
                dist.barrier()

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """Return the value of `make` in the first process, a JSON value. The other processes do not call `make`.

        Raises `Ended` if the first process has ended the run, and `Lost` if it has ended unexpectedly.
        """
        if self.world == 1:
            return make()
        self.decided += 1
        key, nap = f"decision/{self.decided}", 0.001
        if self.leads:
            value = make()
            with _connected():
                self._shared.set(key, json.dumps(value))
            return value
        with _connected():
            while not self._shared.check([key]):
                if self._shared.check([ENDED]):
                    raise Ended("the first process of this run has ended")
                time.sleep(nap)
                nap = min(2 * nap, NAP)
            return json.loads(self._shared.get(key))

    def check_device(self, device: str) -> None:
        """Raise `InputError` unless each process has its own CUDA device or runs on the CPU."""
        if self.world == 1 or not device.startswith("cuda"):
            return
        if ":" in device:
            raise InputError(
                f"device={device} can be set only with one process, but {self.world} run: set `device` to auto, cuda"
                " or cpu"
            )
        if local_rank() >= torch.cuda.device_count():
            raise InputError(
                f"{local_rank() + 1} processes require a CUDA device each, but there are {torch.cuda.device_count()}:"
                " reduce --nproc-per-node"
            )

    def end(self, code: int) -> tuple[bool, int]:
        """End the run. Returns whether this process ended it first, and the exit code of the first to end it."""
        try:
            first = self._shared.compare_set(ENDED, "", f"{code} {self.rank}").decode()
            return first == f"{code} {self.rank}", int(first.split()[0])
        except RuntimeError:  # the store is gone with its process
            return True, code

    def leave(self, patience: float = 3.0) -> None:
        """Release the waiting processes, and keep the store until they have read how the run ended."""
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
            gone, deadline = self._shared.add(LEFT, 1), time.monotonic() + patience
            while self.leads and gone < self.world and time.monotonic() < deadline:
                time.sleep(0.02)
                gone = self._shared.add(LEFT, 0)


_current = Processes()


def current() -> Processes:
    """Return this process in its run."""
    return _current


def local_rank() -> int:
    """Return the number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def started() -> int:
    """Return the number of processes that the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> Processes:
    """Connect with the other processes by the environment of `torchrun`. Raises `InputError` if that fails."""
    global _current
    cuda = torch.cuda.is_available()
    try:
        store, rank, world = next(dist.rendezvous("env://"))
        if cuda and local_rank() < torch.cuda.device_count():
            torch.cuda.set_device(local_rank())
        group = dist.PrefixStore("group", store)
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=group, rank=rank, world_size=world, timeout=FOREVER)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{started()} processes could not connect ({error}): start all processes with torchrun"
        ) from None
    _current = Processes(rank, world, store)
    return _current


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0].split("] ")[-1].split(". ")[0]
        raise Lost(f"another process of this run has ended ({reason}): run the same command to resume") from None

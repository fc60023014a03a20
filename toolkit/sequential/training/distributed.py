"""Several processes that train one model, each on its own playlists of every batch.

Every process makes the same batches and works on every N-th playlist of each. Candidates, masks and sampled wrong
answers belong to the whole batch and are drawn by all with the same random numbers; gradients are weighed by their
number of targets and summed. N processes so take the steps that one would take with the same `batch_tokens`: equal but
for the order of sums, and for dropout inside the transformer, which each draws for itself.

What only one process can do (validate, write, decide when to stop) the first one does. The others learn of it through
the store where the processes met, asleep until then.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from toolkit.errors import InputError, SegueError

FOREVER = timedelta(days=30)
"""The first process may validate or encode for hours; one that dies closes its connections and is noticed at once."""

NAP = 0.2
"""Longest sleep between two looks at the store, in seconds."""

ENDED, LEFT = "ended", "left"


class Lost(SegueError):
    """Another process of this run is gone."""


class Ended(SegueError):
    """The first process has nothing more to do."""


@dataclass
class Processes:
    """This process among those of the run; alone where nothing else is said."""

    rank: int = 0
    world: int = 1
    store: Any = None
    decided: int = 0

    @property
    def leads(self) -> bool:
        """Whether it is the one that validates, writes and shows progress."""
        return self.rank == 0

    def own_rows(self, rows: int) -> slice:
        """Rows of a batch that this process works on; from here on it draws random numbers of its own.

        With fewer rows than processes the last ones get the first row, whose targets must not count (`has_rows`).
        """
        if self.world == 1:
            return slice(None)
        torch.manual_seed(torch.initial_seed() + 1 + self.rank)
        return slice(self.rank, None, self.world) if self.has_rows(rows) else slice(0, 1)

    def has_rows(self, rows: int) -> bool:
        """Whether any of so many rows is this process's own."""
        return self.rank < rows

    def mean(self, loss: torch.Tensor, targets: int, grads: list[torch.Tensor]) -> tuple[torch.Tensor, int]:
        """Mean loss over the targets of all processes and their number; `grads` become, in place, those of that mean.

        loss: this process's mean over its `targets`. One sum over the processes a call.
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
        """Give every process the first one's values."""
        if self.world > 1:
            with _connected():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)
                dist.barrier()

    def decide(self, make: Callable[[], Any]) -> Any:
        """What `make` returns in the first process (a JSON value); the others do not call it.

        Raises `Ended` where the first process ended instead, `Lost` where it is gone.
        """
        if self.world == 1:
            return make()
        self.decided += 1
        key, nap = f"decision/{self.decided}", 0.001
        if self.leads:
            value = make()
            with _connected():
                self.store.set(key, json.dumps(value))
            return value
        with _connected():
            while not self.store.check([key]):
                if self.store.check([ENDED]):
                    raise Ended("the first process ended")
                time.sleep(nap)
                nap = min(2 * nap, NAP)
            return json.loads(self.store.get(key))

    def check_device(self, device: str) -> None:
        """Each process needs a CUDA device of its own. Raises `InputError`."""
        if self.world == 1 or not device.startswith("cuda"):
            return
        if ":" in device:
            raise InputError(
                f"device={device} is one device, and {self.world} processes run: use device: auto, cuda or cpu"
            )
        if local_rank() >= torch.cuda.device_count():
            raise InputError(
                f"{local_rank() + 1} processes want a CUDA device each, and there are {torch.cuda.device_count()}: lower --nproc-per-node"
            )

    def end(self, code: int) -> tuple[bool, int]:
        """Tell all that this run ends with `code`; whether this process is the first to say so, and the code that counts."""
        try:
            said = self.store.compare_set(ENDED, "", f"{code} {self.rank}").decode()
            return said == f"{code} {self.rank}", int(said.split()[0])
        except RuntimeError:  # the store died with its process
            return True, code

    def leave(self, patience: float = 3.0) -> None:
        """Free the others from what they wait for, and let them see how it ended before the store goes."""
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
            gone, deadline = self.store.add(LEFT, 1), time.monotonic() + patience
            while self.leads and gone < self.world and time.monotonic() < deadline:
                time.sleep(0.02)
                gone = self.store.add(LEFT, 0)


_current = Processes()


def current() -> Processes:
    """This process among those of its run."""
    return _current


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def started() -> int:
    """How many processes the launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> Processes:
    """Meet the other processes, as `torchrun` set the environment. Raises `InputError` where they cannot."""
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
        raise InputError(f"{started()} processes did not find each other ({error}): start them with torchrun") from None
    _current = Processes(rank, world, store)
    return _current


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Lost(
            f"another process of this run is gone ({_first_line(error)}): run the same command to go on where it stopped"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split("] ")[-1].split(". ")[0]

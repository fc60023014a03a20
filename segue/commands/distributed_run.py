"""Support for `segue run` under `torchrun`, where a single process prints and all end with the same exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Iterator

import typer

from segue.commands.application import judged
from toolkit.errors import SegueError


@contextlib.contextmanager
def together() -> Iterator[bool]:
    """Run the block in all started processes. Yields whether this process is the leader.

    An error in one process ends all processes. The first process to fail prints the error. The other
    processes exit silently with the same code.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield True
        return
    # a broken connection would log more than the error that it raises
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from toolkit.sequential.training import distributed

    signal.signal(signal.SIGTERM, _stop)
    processes = distributed.join()
    if not processes.leads:
        warnings.simplefilter("ignore")
    code = 0
    try:
        yield processes.leads
        first, code = processes.end(0)
    except (
        BaseException
    ) as error:  # an interrupt and `typer.Exit` end the other processes too; the first to fail raises it again
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        first, code = processes.end(1 if (own := judged(error)[0]) is None else own)
        if first:
            raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        processes.leave()
    if code:
        raise typer.Exit(code)


def _stop(*_: object) -> None:
    raise SegueError(
        "the process was terminated from outside or by another process of the run: run the same command again to resume"
    )

"""Functions run on damaged inputs in forked processes, whose time and memory are watched.

A fault of an input is one clear line: an error of `segue`. Everything else is a fault of the toolkit: another
exception, a process that ends by a signal, more seconds or more memory than allowed.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TypeVar

import threadpoolctl
import torch

from toolkit.errors import SegueError

T = TypeVar("T")

MEGABYTE = 1 << 20


@dataclass
class Attempts:
    """Outcomes of inputs.

    - counts: number of inputs by outcome: `passed`, `refused` and the faults.
    - faults: (name of the input, description) of every fault of the toolkit.
    - grown: largest growth of a process in MB.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)
    grown: float = 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(self.counts.items()))
        return f"{self.counts.total():,} inputs: {counts}; at most {self.grown:.0f} MB more"


def attempt(
    act: Callable[[T], object], inputs: Iterable[tuple[str, T]], *, seconds: float = 20.0, megabytes: float = 200.0
) -> Attempts:
    """Call `act` on every named input in a forked process, and return the outcomes.

    - act: function under test. It may raise `SegueError` with a message of one line, and asserts what must hold.
    - seconds: longest time for one input.
    - megabytes: largest growth of the process over all inputs.
    """
    remaining, result = list(inputs), Attempts()
    while remaining:
        done = _in_process(act, remaining, result, seconds, megabytes)
        remaining = remaining[done:]
    return result


def _in_process(
    act: Callable[[T], object], inputs: list[tuple[str, T]], result: Attempts, seconds: float, megabytes: float
) -> int:
    """Run inputs in one process until it fails. Returns how many inputs were tried."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(act, inputs, theirs), daemon=True)
    process.start()
    theirs.close()
    tried = 0
    try:
        for name, _ in inputs:
            tried += 1
            outcome, text, grown = _received(ours, process, seconds)
            result.grown = max(result.grown, grown)
            if outcome == "refused" and ("\n" in text or not text):
                outcome, text = "unclear", f"message must be one line: {text!r}"
            if grown > megabytes:
                outcome, text = "grown", f"{grown:.0f} MB more, and at most {megabytes:.0f} are allowed"
            result.counts[outcome] += 1
            if outcome not in ("passed", "refused"):
                result.faults.append((name, f"{outcome}: {text}"))
            if outcome in ("killed", "late", "grown"):
                break
    finally:
        process.kill()
        process.join()
    return tried


def _received(ours: Connection, process: multiprocessing.process.BaseProcess, seconds: float) -> tuple[str, str, float]:
    """Wait for the outcome of one input."""
    if not ours.poll(seconds):
        return "late", f"no result after {seconds:g} s", 0.0
    try:
        outcome: tuple[str, str, float] = ours.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 0
        return "killed", signal.Signals(-code).name if code < 0 else f"exit code {code}", 0.0
    return outcome


def _work(act: Callable[[T], object], inputs: list[tuple[str, T]], theirs: Connection) -> None:
    faulthandler.disable()  # a crash is an outcome, not output
    _one_thread()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    before = _megabytes()
    for _, value in inputs:
        outcome, text = "passed", ""
        try:
            act(value)
        except SegueError as error:
            outcome, text = "refused", str(error)
        except BaseException:
            outcome, text = "raised", traceback.format_exc()
        theirs.send((outcome, text, _megabytes() - before))
    theirs.close()


def _one_thread() -> None:
    """Keep OpenMP to the calling thread. The other threads of a pool do not survive a fork, and would be waited for."""
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    torch.set_num_threads = _unchanged  # type: ignore[assignment]


def _unchanged(threads: int) -> None:
    """Ignore the thread number of a run."""


def _megabytes() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE

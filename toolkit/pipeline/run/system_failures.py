"""Errors of single systems: the tables show the reason, and the run continues."""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from toolkit import interrupts, plugins
from toolkit.errors import LeakError, RunDirectoryError, SegueError
from toolkit.files import disk_full
from toolkit.memory import OUT_OF_MEMORY, out_of_memory
from toolkit.pipeline.run.run_context import Context

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
"""Errors of the run's folder or cache that every system would meet."""


@dataclass
class Failures:
    """Failed systems of a run.

    - reasons: one line for each failed system.
    - first: the first error of a system, raised if no system is left.
    - postponed: the first error of a later stage, raised once all results are written.
    """

    context: Context
    reasons: dict[str, str] = field(default_factory=dict)
    first: Exception | None = None
    postponed: Exception | None = None

    @contextlib.contextmanager
    def of(self, system: str) -> Iterator[None]:
        """Keep the error of a system, unless it must end the run."""
        try:
            yield
        except Exception as error:
            self.reasons[system] = recorded(self.context, system, error)
            self.first = self.first or error

    @contextlib.contextmanager
    def until_the_end(self, what: str) -> Iterator[None]:
        """Postpone the error of a stage after the evaluation, unless it must end the run."""
        try:
            yield
        except Exception as error:
            recorded(self.context, what, error)
            self.postponed = self.postponed or error


def recorded(context: Context, name: str, error: Exception) -> str:
    """Log an error with its traceback, and return its reason in one line.

    Raises the error if it must end the run: after an interrupt, for a leak, a full disk or an unusable run directory,
    and with several processes.
    """
    if _ends_run(context, error):
        raise error
    why = reason(error)
    context.run.log("failed", name=name, error=why, traceback="".join(traceback.format_exception(error)))
    context.reporter.note(f"{name} failed: {why}")
    traceback.clear_frames(error.__traceback__)  # the arrays of the failed system
    return why


def reason(error: BaseException) -> str:
    """Return what went wrong in one line, with a cure if there is one."""
    if isinstance(error, SegueError):
        return " ".join(str(error).split())
    if out_of_memory(error):
        return f"out of memory: {OUT_OF_MEMORY}"
    return f"{plugins.crash(error)} (the traceback is in log.jsonl)"


def _ends_run(context: Context, error: Exception) -> bool:
    from toolkit.sequential.training import distributed

    return (
        isinstance(error, LeakError)
        or interrupts.was_interrupted()
        or disk_full(error)
        or _damaged(error)
        or _unwritable(context, error)
        or distributed.current().world > 1
    )


def _damaged(error: Exception) -> bool:
    """Return whether a run directory is damaged. If a plug-in cannot read its own files, it is at fault."""
    causes = (error, error.__context__)
    return isinstance(error, RunDirectoryError) and not any(plugins.at_fault(each) for each in causes if each)


def _unwritable(context: Context, error: Exception) -> bool:
    if not isinstance(error, OSError) or error.errno not in UNWRITABLE or not error.filename:
        return False
    path = Path(str(error.filename)).resolve()
    return any(path.is_relative_to(folder.resolve()) for folder in (context.run.root, context.cache))

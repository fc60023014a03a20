"""Progress of long work: live bars in a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from toolkit.terminal import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

Progress = Callable[[int, int, str], None]
"""progress(done, total, what): called often.

`what` up to its first comma names the work, the rest is news of it; total 0 is unknown.
"""

EPOCH = re.compile(r"epoch (\d+)/(\d+)")


def over_epochs(progress: Progress) -> Progress:
    """A callback for counts of one epoch, whose `what` begins "epoch 2/20", that reports counts of all epochs to
    `progress`.
    """

    def report(done: int, total: int, what: str) -> None:
        if epoch := EPOCH.match(what):
            number, epochs = map(int, epoch.groups())
            done, total = (number - 1) * total + done, epochs * total
        progress(done, total, what)

    return report


Seconds = float
INTERVAL: Seconds = 10.0
"""Time between two plain lines about the same work."""


@dataclass
class Task:
    """A piece of work and its count. total: 0 if it is unknown. printed: time of its last line."""

    what: str
    started: Seconds
    news: str = ""
    done: int = 0
    total: int = 0
    printed: Seconds = 0.0

    def line(self, now: Seconds) -> str:
        """`encode lyrics: 512/2,000 (26 %), 180/s, 8 s left`."""
        elapsed = max(now - self.started, 1e-9)
        rate = self.done / elapsed
        news = f" ·{self.news}" if self.news else ""
        if not self.total:
            return f"{self.what}: {self.done:,} ({per_second(rate)}){news}"
        if self.over:
            return f"{self.what}: {self.done:,} in {duration(elapsed)}{news}"
        left = f", {duration((self.total - self.done) / rate)} left" if rate else ""
        share = f"{self.done:,}/{self.total:,} ({100 * self.done // self.total} %)"
        return f"{self.what}: {share}, {per_second(rate)}{left}{news}"

    @property
    def over(self) -> bool:
        return 0 < self.total <= self.done

    def update(self, done: int, total: int, news: str) -> bool:
        """Set the count. Returns whether the work is finished by it."""
        before = self.over
        self.done, self.total, self.news = done, total, news
        return self.over and not before


class Reporter:
    """Receives reports of long work; this one prints nothing.

    Calling it is the `Progress` contract: `reporter(done, total, what)`.
    """

    def __call__(self, done: int, total: int, what: str) -> None:
        """`done` of `total` steps of `what` are finished."""

    def stage(self, name: str) -> None:
        """A new stage begins, and the work of the stage before is finished."""

    def note(self, text: str) -> None:
        """Print a line."""

    def close(self) -> None:
        """The last report was made."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class PlainReporter(Reporter):
    """Prints lines for logs and pipes: at most one per piece of work every `interval` seconds, and one at its end."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    interval: Seconds = INTERVAL
    tasks: dict[str, Task] = field(default_factory=dict)

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        name, _, news = what.partition(",")
        task = self.tasks.setdefault(name, Task(name, now, printed=now))
        if task.update(done, total, news) or (not task.over and now - task.printed >= self.interval):
            self._print(task, now)

    def _print(self, task: Task, now: Seconds) -> None:
        task.printed = now
        print(task.line(now), file=self.stream, flush=True)

    def stage(self, name: str) -> None:
        self.tasks.clear()
        print(f"· {name}", file=self.stream, flush=True)

    def note(self, text: str) -> None:
        print(escaped(text), file=self.stream, flush=True)


class BarReporter(Reporter):
    """Shows live bars with rate and time left, and prints a line for finished work."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, tuple[Task, TaskID]] = {}
        self._bars.start()

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        name, _, news = what.partition(",")
        if name not in self._tasks:
            self._tasks[name] = (Task(name, now), self._bars.add_task(name, total=total or None, rate=""))
        task, bar = self._tasks[name]
        if task.update(done, total, news):
            self._bars.remove_task(bar)
            self.note(f"  {task.line(now)}")
        elif not task.over:
            rate = f"{per_second(done / max(now - task.started, 1e-9))}{news}"
            self._bars.update(bar, completed=done, total=total or None, rate=rate)

    def stage(self, name: str) -> None:
        for task, bar in self._tasks.values():
            if not task.over:
                self._bars.remove_task(bar)
        self._tasks.clear()
        self._bars.console.print(name, style="bold", markup=False, highlight=False)

    def note(self, text: str) -> None:
        self._bars.console.print(escaped(text), markup=False, highlight=False)

    def close(self) -> None:
        self._bars.stop()


def reporter(console: Console) -> Reporter:
    """Bars where the console is a terminal, plain lines on its stream elsewhere."""
    return BarReporter(console) if console.is_terminal else PlainReporter(console.file)  # type: ignore[arg-type]


def interactive() -> Reporter:
    """Plain lines in a terminal or a notebook, nothing in a script's pipe."""
    return PlainReporter() if sys.stderr.isatty() or "ipykernel" in sys.modules else Reporter()


def duration(seconds: Seconds) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/min"

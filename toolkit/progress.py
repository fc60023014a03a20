"""Progress of long work: live bars in a terminal, otherwise plain lines at intervals."""

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
"""Callback progress(done, total, what), which is called often.

The text in `what` up to the first comma names the work, and the rest is its latest state. A total of 0 is unknown.
"""

EPOCH = re.compile(r"epoch (\d+)/(\d+)")


def over_epochs(progress: Progress) -> Progress:
    """Return a callback that turns counts of one epoch into counts of all epochs for `progress`.

    The callback's `what` must begin with "epoch 2/20", for example.
    """

    def report(done: int, total: int, what: str) -> None:
        if epoch := EPOCH.match(what):
            number, epochs = map(int, epoch.groups())
            done, total = (number - 1) * total + done, epochs * total
        progress(done, total, what)

    return report


INTERVAL = 10.0
"""Seconds between two plain lines about the same work."""


@dataclass
class Task:
    """Piece of work with its count. total: 0 if unknown. printed: time of the last printed line."""

    what: str
    started: float
    news: str = ""
    done: int = 0
    total: int = 0
    printed: float = 0.0

    def line(self, now: float) -> str:
        """Return a line such as `encode lyrics: 512/2,000 (26 %), 180/s, 8 s left`."""
        rate = self.rate(now)
        news = f" ·{self.news}" if self.news else ""
        if not self.total:
            return f"{self.what}: {self.done:,} ({per_second(rate)}){news}"
        if self.over:
            return f"{self.what}: {self.done:,} in {duration(now - self.started)}{news}"
        left = f", {duration((self.total - self.done) / rate)} left" if rate else ""
        share = f"{self.done:,}/{self.total:,} ({100 * self.done // self.total} %)"
        return f"{self.what}: {share}, {per_second(rate)}{left}{news}"

    def rate(self, now: float) -> float:
        return self.done / max(now - self.started, 1e-9)

    @property
    def over(self) -> bool:
        return 0 < self.total <= self.done

    def update(self, done: int, total: int, news: str) -> bool:
        """Set the count. Returns whether the work is now finished."""
        before = self.over
        self.done, self.total, self.news = done, total, news
        return self.over and not before


class Reporter:
    """Receiver of progress reports, which prints nothing. Subclasses print lines or bars.

    A reporter is called as `reporter(done, total, what)`, as the type `Progress` requires.
    """

    def __call__(self, done: int, total: int, what: str) -> None:
        """Report that `done` of `total` steps of `what` are finished."""

    def stage(self, name: str) -> None:
        """Begin a new stage, which finishes the work of the previous stage."""

    def note(self, text: str) -> None:
        """Print a line."""

    def close(self) -> None:
        """Finish reporting."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class PlainReporter(Reporter):
    """Prints lines for logs and pipes: at most one per piece of work every `interval` seconds, and a final one."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    interval: float = INTERVAL
    tasks: dict[str, Task] = field(default_factory=dict)

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        name, _, news = what.partition(",")
        task = self.tasks.setdefault(name, Task(name, now, printed=now))
        if task.update(done, total, news) or (not task.over and now - task.printed >= self.interval):
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
            self._bars.update(bar, completed=done, total=total or None, rate=f"{per_second(task.rate(now))}{news}")

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
    """Return a reporter with bars for a terminal, and with plain lines for other consoles."""
    return BarReporter(console) if console.is_terminal else PlainReporter(console.file)  # type: ignore[arg-type]


def interactive() -> Reporter:
    """Return a reporter with plain lines in a terminal or notebook, and without output in scripts with pipes."""
    return PlainReporter() if sys.stderr.isatty() or "ipykernel" in sys.modules else Reporter()


def duration(seconds: float | None) -> str:
    """Return a duration such as `0.4 s`, `12 s`, `3 min 20 s` or `2 h 05 min`."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return "< 0.01 s"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/min"

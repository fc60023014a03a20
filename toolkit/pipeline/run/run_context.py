"""What every stage of one run shares."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.progress import Progress, Reporter
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory
from toolkit.source_code import package_source

LOG_INTERVAL = 5.0
"""Seconds between two lines of `log.jsonl` about the same work."""


@dataclass(frozen=True)
class Context:
    """One run: its recipe, its folder, the cache it shares with other runs, and who is told of its progress."""

    recipe: Recipe
    run: RunDirectory
    cache: Path
    reporter: Reporter
    device: str

    def inputs(self, **more: Any) -> dict[str, Any]:
        """What decides every stage's output, with what decides this one's."""
        return {
            "seed": self.recipe.seed,
            "device": self.device,
            "threads": self.recipe.threads,
            "code": package_source(),
            **more,
        }

    def progress(self, prefix: str) -> Progress:
        """A progress callback that puts `prefix` before what it reports."""
        return lambda done, total, what: self.reporter(done, total, prefix + what)


@dataclass
class LoggedReporter(Reporter):
    """Passes everything on and writes it to the run's log."""

    run: RunDirectory
    to: Reporter
    logged: dict[str, float] = field(default_factory=dict)

    def __call__(self, done: int, total: int, what: str) -> None:
        self.to(done, total, what)
        key, now = what.partition(",")[0], time.monotonic()
        if now - self.logged.get(key, -LOG_INTERVAL) >= LOG_INTERVAL:
            self.logged[key] = now
            self.run.log("progress", what=what, done=done, total=total)

    def stage(self, name: str) -> None:
        self.to.stage(name)
        self.logged.clear()

    def note(self, text: str) -> None:
        self.to.note(text)
        self.run.log("note", text=text)

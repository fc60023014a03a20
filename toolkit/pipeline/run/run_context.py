"""What all stages of one run share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from toolkit import devices
from toolkit.files import cache_folder
from toolkit.progress import Progress, Reporter
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory
from toolkit.source_code import package_source

LOG_INTERVAL = 5.0
"""Seconds between two lines of `log.jsonl` about the same work."""


@dataclass(frozen=True)
class Context:
    """One run: its recipe and folder, the cache that runs share, the reporter of its progress, and its device."""

    recipe: Recipe
    run: RunDirectory
    cache: Path
    reporter: Reporter
    device: str

    def inputs(self, **more: object) -> dict[str, object]:
        """What decides the output of every stage, and `more` that decides this one's."""
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


@contextlib.contextmanager
def opened(recipe: Recipe, run: RunDirectory, *, progress: Reporter, cache: Path | None = None) -> Iterator[Context]:
    """The context of work on a recipe. Torch has the recipe's threads until the end of the block.

    - cache: default: `cache_folder()`.

    Raises `InputError` for a device that does not exist, or that cannot serve several processes.
    """
    import torch

    from toolkit.sequential.training import distributed

    threads = torch.get_num_threads()
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    try:
        device = devices.device(recipe.device)
        distributed.current().check_device(device)
        yield Context(recipe, run, cache or cache_folder(), progress, device)
    finally:
        torch.set_num_threads(threads)


@dataclass
class LoggedReporter(Reporter):
    """Passes everything on to another reporter, and writes it to the run's log."""

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

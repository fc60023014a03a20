"""Context that all stages of a run share."""

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
from toolkit.source_code import library_versions, package_source

LOG_INTERVAL = 5.0
"""Seconds between two lines of `log.jsonl` about the same work."""


@dataclass(frozen=True)
class Context:
    """Recipe, folder, cache, progress reporter and device of a run."""

    recipe: Recipe
    run: RunDirectory
    cache: Path
    reporter: Reporter
    device: str

    def inputs(self, **more: object) -> dict[str, object]:
        """Return the values that determine the output of every stage, and `more` values for this stage."""
        return {
            "seed": self.recipe.seed,
            "device": self.device,
            "threads": devices.threads(),
            "libraries": library_versions(),
            "code": package_source(),
            **more,
        }

    def progress(self, prefix: str) -> Progress:
        """Return a progress callback that adds `prefix` to each message."""
        return lambda done, total, what: self.reporter(done, total, prefix + what)


@contextlib.contextmanager
def opened(recipe: Recipe, run: RunDirectory, *, progress: Reporter, cache: Path | None = None) -> Iterator[Context]:
    """Yield the context for a recipe, with the recipe's number of torch threads until the end of the block.

    - cache: cache folder; default: `cache_folder()`.

    Raises `InputError` for an unknown device, or for a device that several processes cannot share.
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
    """Reporter that forwards messages to another reporter, and writes them to the run's log."""

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

"""Writes the results of requests: waits while the disk is full, and keeps within each source's terms of storage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

import stamina

from collectors.engine.answer_store import AnswerStore
from collectors.engine.ledger import DiskFull
from collectors.engine.outcomes import Entry
from collectors.engine.worker_pool import Result
from collectors.source import Found, Source

Params = ParamSpec("Params")
Returned = TypeVar("Returned")


class StorageExceeded(Exception):
    """The source's terms allow to keep no more of its content."""


class ResultWriter:
    """Writes results to the catalogue and its ledger, in the engine's own thread.

    - sources: all sources of the run.
    - patience: seconds to wait for room on a full disk.
    - note: reports a line to the user.
    """

    def __init__(
        self, answers: AnswerStore, sources: Iterable[Source], patience: float, note: Callable[[str], None]
    ) -> None:
        self._answers = answers
        self._patience = patience
        self._note = note
        limited = [source.name for source in sources if source.terms.storage_bytes is not None]
        self._stored_bytes = {name: answers.size(name) for name in limited}

    def with_room(self, write: Callable[Params, Returned], *args: Params.args, **kwargs: Params.kwargs) -> Returned:
        """Call `write`, and again while the disk is full. Raises `DiskFull` where it stays full for `patience` seconds."""
        for attempt in stamina.retry_context(
            on=DiskFull, attempts=None, timeout=self._patience, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
        ):
            with attempt:
                if attempt.num == 2:
                    self._note("the disk is full, waiting for room")
                return write(*args, **kwargs)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def write(self, result: Result, entries: list[Entry]) -> bool:
        """Write a result's entries and values. Returns False where another process has taken the claim over.

        Raises `StorageExceeded` where the source's terms do not allow to keep the values, and `DiskFull` as `with_room`.
        """
        source = result.pool.source
        if (limit := source.terms.storage_bytes) is not None:
            size = self._stored_bytes[source.name] + sum(_size(entry) for entry in entries)
            if size > limit:
                raise StorageExceeded(
                    f"its terms allow to keep {limit / 1e6:g} MB and as much is kept: delete what is not needed"
                )
            self._stored_bytes[source.name] = size
        others = result.answer.others if isinstance(result.answer, Found) else ()
        return self.with_room(self._answers.write, result.claim, entries, source.terms, others)


def _size(entry: Entry) -> int:
    """Bytes of an entry's value."""
    value = entry.value
    if isinstance(value, list):
        return 8 * len(value)
    if isinstance(value, Path):
        return os.path.getsize(value)
    return len(value.encode() if isinstance(value, str) else value or b"")

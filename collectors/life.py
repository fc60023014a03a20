"""The life of one collecting process, as others see it: a lock that the kernel lets go with it, and what an interrupt does."""

from __future__ import annotations

import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectors.ledger import Ledger
from toolkit.files import locked


class Life:
    """owner: its name in the ledger, host and number. folder: where the library's processes keep their locks."""

    def __init__(self, folder: Path) -> None:
        self.owner = f"{socket.gethostname()}/{uuid.uuid4().hex}"
        self._folder = folder

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Inside, its claims are somebody's."""
        path = self._lock(self.owner)
        try:
            with locked(path):
                yield
        finally:
            path.unlink(missing_ok=True)

    def free_the_dead(self, ledger: Ledger) -> None:
        """Give back the claims of killed processes of this machine; those of others last until their lease is over."""
        here = socket.gethostname()
        for owner in ledger.owners():
            if owner == self.owner or owner.rpartition("/")[0] != here:
                continue
            path = self._lock(owner)
            with locked(path, wait=False) as holder:
                dead = holder is None
            if dead:
                ledger.free(owner)
                path.unlink(missing_ok=True)

    def _lock(self, owner: str) -> Path:
        return self._folder / f"{owner.rpartition('/')[2]}.lock"


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """The first interrupt sets `stop`, so that a run ends between two answers and loses none; the second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def first(number: int, _: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stop.set()

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

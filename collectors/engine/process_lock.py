"""Lock of a collecting process, which the kernel releases at exit, and interrupt handling."""

from __future__ import annotations

import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectors.engine.ledger import Ledger
from toolkit import interrupts
from toolkit.catalogue.store import Catalogue
from toolkit.files import locked


def is_running(library: Catalogue, owner: str) -> bool | None:
    """Return whether a process in the ledger still runs, or None for a process on another machine."""
    path = _path(library, owner)
    if owner.rpartition("/")[0] != socket.gethostname() or not path.parent.is_dir():
        return None
    if not path.exists():
        return False
    with locked(path, wait=False) as holder:
        return holder is not None


class ProcessLock:
    """Lock of this process on `library`; `owner` is the process name (host and number) in the ledger."""

    def __init__(self, library: Catalogue) -> None:
        self.owner, self._library = f"{socket.gethostname()}/{uuid.uuid4().hex}", library

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, while other processes do not release the claims of this process."""
        path = _path(self._library, self.owner)
        try:
            with locked(path):
                yield
        finally:
            path.unlink(missing_ok=True)

    def release_dead(self, ledger: Ledger) -> None:
        """Release the claims of killed processes on this machine.

        Claims of processes on other machines end with the lease.
        """
        for owner in ledger.owners():
            if is_running(self._library, owner) is False:
                ledger.release_all(owner)
                _path(self._library, owner).unlink(missing_ok=True)


def _path(library: Catalogue, owner: str) -> Path:
    return library.blobs.root / ".collecting" / f"{owner.rpartition('/')[2]}.lock"


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on the first signal, to end the run between two answers, and exit on the second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def first(number: int, _: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        interrupts.record(number)
        stop.set()

    try:
        for number in before:
            signal.signal(number, first)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

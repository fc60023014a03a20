"""The life of one collecting process, as others see it: a lock that the kernel lets go with it, and what an interrupt does."""

from __future__ import annotations

import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectors.engine.ledger import Ledger
from toolkit.catalogue.store import Catalogue
from toolkit.files import locked


def living(library: Catalogue, owner: str) -> bool | None:
    """Whether the process of that name in the ledger lives; None where this machine cannot know: it is another's."""
    lock = _lock(library, owner)
    if owner.rpartition("/")[0] != socket.gethostname() or not lock.parent.is_dir():
        return None
    if not lock.exists():
        return False
    with locked(lock, wait=False) as holder:
        return holder is not None


class Life:
    """This process, as one of those that fill `library`. owner: its name in the ledger, host and number."""

    def __init__(self, library: Catalogue) -> None:
        self.owner = f"{socket.gethostname()}/{uuid.uuid4().hex}"
        self._library = library

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Inside, its claims are somebody's."""
        path = _lock(self._library, self.owner)
        try:
            with locked(path):
                yield
        finally:
            path.unlink(missing_ok=True)

    def free_the_dead(self, ledger: Ledger) -> None:
        """Give back the claims of killed processes of this machine; those of others last until their lease is over."""
        for owner in ledger.owners():
            if living(self._library, owner) is False:
                ledger.free(owner)
                _lock(self._library, owner).unlink(missing_ok=True)


def _lock(library: Catalogue, owner: str) -> Path:
    return library.blobs.root / ".collecting" / f"{owner.rpartition('/')[2]}.lock"


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

"""Ctrl-C as this program hears it.

Libraries in C and Rust that call back into Python may turn an interrupt into an
error of their own, as safetensors does while it reads a file: what went wrong is
then told from what was heard, not from the error's type.
"""

from __future__ import annotations

import signal

_heard = False


class Interrupted(KeyboardInterrupt):
    """An interrupt by its own name: of `KeyboardInterrupt` itself Python ends by the signal, caught or not, where it rose inside `exec`."""


def listen() -> None:
    """Hear interrupts from here on; a process that was started deaf to them stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _hear)


def heard() -> bool:
    """Whether an interrupt came since `listen`."""
    return _heard


def check() -> None:
    """Raise `Interrupted` where an interrupt came: before what a library says of a file is taken for the file's fault."""
    if _heard:
        raise Interrupted from None


def _hear(*_: object) -> None:
    global _heard
    _heard = True
    raise Interrupted

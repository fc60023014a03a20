"""Handling of Ctrl-C.

Libraries in C and Rust that call back into Python may turn an interrupt into an error of their own, as safetensors does
while it reads a file. This module records that an interrupt arrived, so that the error's type need not be trusted.
"""

from __future__ import annotations

import signal

_interrupted = False


class Interrupted(KeyboardInterrupt):
    """An interrupt.

    A plain `KeyboardInterrupt` that was raised inside `exec` ends Python by the signal, even where it is caught.
    """


def install_handler() -> None:
    """Record interrupts from now on. A process that was started with interrupts ignored keeps ignoring them."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _record)


def was_interrupted() -> bool:
    """Whether an interrupt arrived since `install_handler`."""
    return _interrupted


def raise_if_interrupted() -> None:
    """Raise `Interrupted` if an interrupt arrived. Call it before an error of a library is blamed on a file."""
    if _interrupted:
        raise Interrupted from None


def _record(*_: object) -> None:
    global _interrupted
    _interrupted = True
    raise Interrupted

"""Handling of Ctrl-C.

Libraries in C and Rust that call back into Python may turn an interrupt into a different error, as safetensors does
while reading a file. This module records interrupts to recognise such errors.
"""

from __future__ import annotations

import signal

_interrupted = False


class Interrupted(KeyboardInterrupt):
    """Exception for an interrupt by Ctrl-C.

    Python exits by the signal after a plain `KeyboardInterrupt` inside `exec`, even if the exception is caught.
    """


def install_handler() -> None:
    """Record interrupts from now on, unless the process was started with interrupts ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _record)


def was_interrupted() -> bool:
    """Return whether an interrupt arrived since `install_handler`."""
    return _interrupted


def raise_if_interrupted() -> None:
    """Raise `Interrupted` if an interrupt arrived. Call it before reporting a library's error as a damaged file."""
    if _interrupted:
        raise Interrupted from None


def _record(*_: object) -> None:
    global _interrupted
    _interrupted = True
    raise Interrupted

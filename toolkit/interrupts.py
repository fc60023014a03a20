"""Handling of Ctrl-C (SIGINT) and of requests to end (SIGTERM), after which a command ends with 130 or 143.

Libraries in C and Rust that call back into Python may turn the exception of a signal into a different error, as
safetensors does while reading a file. This module records signals to recognise such errors.
"""

from __future__ import annotations

import os
import signal

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""Handled signals, and how messages call them."""

_received: int | None = None


class Interrupted(KeyboardInterrupt):
    """Exception for a signal.

    Python exits by the signal after a plain `KeyboardInterrupt` inside `exec`, even if the exception is caught.
    """


def install_handlers() -> None:
    """Record signals from now on, except those that the process was started to ignore or that have a handler."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is usual:
            signal.signal(number, _record)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_end_children)


def end_at_once() -> None:
    """End the process by a signal from now on, without an exception that nothing would catch, with its exit code."""
    for number in NAMES:
        if signal.getsignal(number) is _record:
            signal.signal(number, _end)


def record(number: int) -> None:
    """Remember the first signal, which decides on the exit code."""
    global _received
    _received = _received or number


def was_interrupted() -> bool:
    """Return whether a signal arrived since `install_handlers`."""
    return _received is not None


def raise_if_interrupted() -> None:
    """Raise `Interrupted` if a signal arrived. Call it before reporting a library's error as a damaged file."""
    if was_interrupted():
        raise Interrupted from None


def exit_code() -> int:
    """Return 143 after a request to end, and 130 otherwise, as shells do."""
    return 128 + (_received or signal.SIGINT)


def message() -> str:
    """Return the last line that a command prints after a signal."""
    return f"{NAMES[signal.Signals(_received or signal.SIGINT)]}: run the same command again to resume"


def _record(number: int, _: object) -> None:
    record(number)
    raise Interrupted


def _end(number: int, _: object) -> None:
    record(number)
    os._exit(exit_code())


def _end_children() -> None:
    """Let a worker process end by SIGTERM as usual: whoever started it ends it so."""
    if signal.getsignal(signal.SIGTERM) in (_record, _end):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

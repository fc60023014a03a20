"""Entry point of `segue` and `python -m segue`."""

from __future__ import annotations

import contextlib
import sys

from toolkit import interrupts


def main() -> None:
    """Run the command `segue`. Signals have their exit codes from here on: while commands are imported, and at the end.

    A signal before this line, or after Python has removed its handlers (its last milliseconds), ends the process
    itself. Shells report the same codes for that, 130 and 143.
    """
    interrupts.install_handlers()
    try:
        try:
            from segue.commands.application import main as command

            command()
        finally:
            interrupts.end_at_once()
    except BaseException as error:
        if not interrupts.was_interrupted():
            raise
        code = interrupts.exit_code()
        if not (isinstance(error, SystemExit) and error.code == code):  # otherwise it is printed already
            print(f"segue: {interrupts.message()}", file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        sys.exit(code)


if __name__ == "__main__":
    main()

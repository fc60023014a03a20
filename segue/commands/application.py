"""The `segue` command, which parses the command line, calls a function and prints the result.

Built-in and plug-in commands are entry points of the group `segue.commands`.
An entry point is a function, or a `typer.Typer` for a group of commands.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from segue.commands import usage_errors
from toolkit import interrupts, plugins
from toolkit.errors import InputError, SegueError
from toolkit.packages import not_found
from toolkit.terminal import printable

GROUP = "segue.commands"
ORDER = (
    *(
        "run",
        "sweep",
        "bench",
        "continue",
        "export",
        "report",
        "compare",
        "reproduce",
        "validate",
        "schema",
        "collect",
        "library",
    ),
    *("data", "encoders", "list"),
)
"""Order of the built-in commands in the help. Other commands follow by name."""

REFUSED = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
"""Errors of paths that the user has to change, or that were deleted during the run."""


class Door(TyperGroup):
    """Command group that prints any error in one line and sets the exit code; `--debug` also prints the traceback."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _one_line():
            try:
                return super().make_context(*args, **extra)
            except KeyboardInterrupt as error:  # the parser would print a word of its own
                code, line = judged(error)
                print(f"segue: {_shown(line)}", file=sys.stderr)
                raise typer.Exit(code or 0) from None

    def invoke(self, ctx: Any) -> object:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            try:
                with _one_line():
                    return super().invoke(ctx)
            except (Exception, KeyboardInterrupt) as error:
                code, line = judged(error)
                if code is None:
                    raise
                if debugging(ctx):
                    traceback.print_exc()
                print(f"segue: {_shown(line)}", file=sys.stderr)
                raise typer.Exit(code) from None


@contextmanager
def _one_line() -> Iterator[None]:
    """Print the parser's errors in one line, like all errors of bad input."""
    try:
        yield
    except usage_errors.UsageError as error:
        if usage_errors.is_help(error):
            raise
        print(f"segue: {_shown(usage_errors.line(error))}", file=sys.stderr)
        raise typer.Exit(InputError.exit_code) from None


def _shown(message: str) -> str:
    """Return a message as one line without control characters, passwords and keys."""
    from toolkit.recipe.redaction import redacted

    return redacted(printable(message))


def judged(error: BaseException) -> tuple[int | None, str]:
    """Return the exit code and message for an error. The code is None for exceptions that the parser handles."""
    from toolkit.files import disk_full
    from toolkit.memory import OUT_OF_MEMORY, out_of_memory

    message = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt) or interrupts.was_interrupted():
        raised = "" if isinstance(error, KeyboardInterrupt) else f" ({type(error).__name__}: {message})"
        return interrupts.exit_code(), f"{interrupts.message()}{raised}"
    if isinstance(error, SegueError) and not disk_full(error):
        return error.exit_code, message
    if isinstance(error, ModuleNotFoundError) and (package := not_found(error)) is not None:
        return 2, f"this command requires {package.module}, which {package.fault}"
    if isinstance(error, BrokenPipeError) or type(error).__module__.startswith(("click", "typer")):
        return None, ""
    if disk_full(error):
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        return 1, f"the disk is full{where}: delete files and run the same command again, which keeps finished steps"
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        text = error.object[max(0, error.start - 20) : error.end + 20]
        return 2, f"{text!r} must be UTF-8: rename the file or folder, or correct the text"
    if out_of_memory(error):
        return 1, f"out of memory: {OUT_OF_MEMORY}"
    if isinstance(error, OSError) and error.filename and error.errno in REFUSED:
        return 2, f"{error.filename} cannot be read or written ({error.strerror}): check the path"
    return 1, f"{plugins.crash(error)} (add --debug for the traceback)"


def debugging(ctx: typer.Context) -> bool:
    return bool(ctx.find_root().meta.get("segue.debug"))


def remember_debug(ctx: typer.Context, value: bool) -> bool:
    """Store the flag `--debug` from any position on the command line."""
    if value:
        ctx.find_root().meta["segue.debug"] = True
    return value


Debug = Annotated[bool, typer.Option("--debug", callback=remember_debug, help="Show the traceback of an error.")]


def _warn(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if not issubclass(category, DeprecationWarning | FutureWarning):
        print(f"segue: warning: {_shown(str(message))}", file=sys.stderr)


def _version(value: bool) -> None:
    if value:
        from toolkit import __version__

        print(f"segue {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Continue playlists: rank the next tracks by co-occurrence in playlists and by content."""


def application() -> typer.Typer:
    """Return the command with the commands of all plug-ins. A command that cannot be imported fails when called."""
    app = typer.Typer(
        name="segue",
        cls=Door,
        callback=_root,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,  # boxes around the help would double its time
        context_settings={"max_content_width": 120},
    )
    names = plugins.names(GROUP)
    for name in [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]:
        try:
            entry = plugins.load(GROUP, name)
        except SegueError as error:
            entry = _broken(error)
        if isinstance(entry, typer.Typer):
            app.add_typer(entry, name=name)
        else:
            app.command(name)(entry)
    return app


def _broken(error: SegueError) -> Callable[[], None]:
    def command() -> None:
        raise error

    command.__doc__ = f"Not available: {error}"
    return command


def _open_closed_streams() -> None:
    """Connect standard streams that the shell closed (`>&-`) to the null device.

    The next file that is opened would otherwise become standard output, and prints would be written to it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (until the end)


def main() -> None:
    """Run the command. Its entry point, `segue.__main__`, handles signals before this module is imported."""
    # OpenMP threads that spin while they wait make a shared machine up to five times slower. libgomp reads this when
    # torch is imported
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print titles outside the terminal's encoding with escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        application()(prog_name="segue")
    except (Exception, KeyboardInterrupt) as error:  # before any command began
        code, line = judged(error)
        if code is None:
            raise
        print(f"segue: {printable(line)}", file=sys.stderr)
        sys.exit(code)

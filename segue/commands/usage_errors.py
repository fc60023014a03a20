"""One-line messages for invalid command lines, with value, rule and a pointer to the help."""

from __future__ import annotations

import typer

UsageError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
"""Base class of the parser's errors, which is in click or in Typer, depending on Typer's version."""


def is_help(error: BaseException) -> bool:
    """Return whether the error stands for a command without arguments, which shows the help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def line(error: typer.BadParameter) -> str:
    """Return a one-line message for an invalid command line."""
    command = error.ctx.command_path if error.ctx is not None else "segue"
    see = f"see {command} --help"
    if hasattr(error, "possibilities") and hasattr(error, "option_name"):
        near = list(error.possibilities or ())[:1]
        return f"{error.option_name} is not an option of {command}: {f'did you mean {near[0]}?' if near else see}"
    message = " ".join((_invalid(error) or error.format_message()).split()).rstrip(".")
    return message[0].lower() + message[1:] + ("" if message.endswith("?") else f": {see}")


def _invalid(error: typer.BadParameter) -> str:
    """Return a message such as `-k=0 must be …` for a value that violates a rule, or "" for other errors."""
    parameter = getattr(error, "param", None)
    if parameter is None or error.__cause__ is None:
        return ""
    from pydantic import ValidationError

    from toolkit.validation import explain

    if not isinstance(error.__cause__, ValidationError):
        return ""
    return f"{parameter.opts[-1]}{explain(error.__cause__, None)[1]}"

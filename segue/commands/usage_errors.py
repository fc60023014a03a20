"""One line for a command line that cannot be parsed: the value, the rule, and where help is."""

from __future__ import annotations

from typing import Any

import typer

UsageError: Any = typer.BadParameter.__base__
"""Of the parser, which Typer imports or carries itself, depending on its version."""


def is_help(error: BaseException) -> bool:
    """Whether it is no fault but a command without arguments, which shows its help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def line(error: Any) -> str:
    """What is wrong with the command line that `error`, a `UsageError`, refuses."""
    command = error.ctx.command_path if error.ctx is not None else "segue"
    see = f"see {command} --help"
    if hasattr(error, "possibilities"):
        near = list(error.possibilities or ())[:1]
        return f"{error.option_name} is not an option of {command}: {f'did you mean {near[0]}?' if near else see}"
    message = " ".join((_invalid(error) or error.format_message()).split()).rstrip(".")
    return message[0].lower() + message[1:] + ("" if message.endswith("?") else f": {see}")


def _invalid(error: Any) -> str:
    """`-k=0 must be …` for a value that breaks a rule; empty where there is none, or the parser does not hand it on."""
    if getattr(error, "param", None) is None or not hasattr(error.__cause__, "errors"):
        return ""
    from toolkit.validation import explain

    return f"{error.param.opts[-1]}{explain(error.__cause__, None)[1]}"

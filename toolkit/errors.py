"""Exceptions of segue. Every message has a value, a rule and a cure.

The command line prints the message in one line and exits with `exit_code`. Any other exception is a bug of the program
and is shown with a traceback.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class SegueError(Exception):
    """Base class of errors that end a run. Finished work is kept."""

    exit_code = 1


class InputError(SegueError):
    """Wrong user input, such as a recipe, a file, an id or an option."""

    exit_code = 2


UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
"""Errors of code that reads a damaged or crafted file: a wrong type or size, a missing key, unbounded nesting."""

Where = tuple[str | int, ...]
"""Path to a value in a recipe: keys and list indexes from the top."""


class RecipeError(InputError):
    """Recipe with an unknown key, a wrong type or a contradiction.

    - rule: the message, which follows the dotted path.
    - where: keys and indexes of the path; empty if `rule` is the whole message.

    The file reader adds the line number.
    """

    def __init__(self, rule: str, where: Where = ()) -> None:
        super().__init__(f"{'.'.join(map(str, where))}{rule}" if where else rule.lstrip(": "))
        self.rule, self.where = rule, where


class OldForm(UserWarning):
    """Warning about a recipe key in the form of an earlier version. The message shows the current form."""


class DataError(InputError):
    """File or record that violates the rules of the format."""


class LeakError(InputError):
    """Split or data in which training or model selection could use hidden tracks."""


class RunDirectoryError(InputError):
    """Run directory that a command cannot use."""


class MissingWeights(InputError):
    """Missing pretrained weights. parameter: the encoder parameter for the path of the weights."""

    def __init__(self, message: str, parameter: str = "model") -> None:
        super().__init__(message)
        self.parameter = parameter


class MissingPackage(InputError):
    """Optional package that is required and not installed."""


def require(module: str, *, install: str) -> ModuleType:
    """Import `module`. Raises `MissingPackage` with the install command if the module is missing.

    - module: import name.
    - install: the exact install command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingPackage(f"package {error.name} is not installed: {install}") from None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of the class if the message is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

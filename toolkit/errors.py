"""The error family: every message names the value, the rule and the cure.

The command line prints the message in one line and exits with `exit_code`;
anything outside this family is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class SegueError(Exception):
    """A run that cannot continue. Nothing that is finished is lost."""

    exit_code = 1


class InputError(SegueError):
    """Wrong input of the user: a recipe, a file, an id, a flag."""

    exit_code = 2


Where = tuple[str | int, ...]
"""A place in a recipe: keys and list indexes, from the top."""


class RecipeError(InputError):
    """A recipe with an unknown key, a wrong type or a contradiction.

    - rule: the error, to follow the dotted path.
    - where: the keys and indexes of that path; empty if `rule` is the whole message.

    The reader of a file adds the line.
    """

    def __init__(self, rule: str, where: Where = ()) -> None:
        super().__init__(f"{'.'.join(map(str, where))}{rule}" if where else rule.lstrip(": "))
        self.rule, self.where = rule, where


class OldForm(UserWarning):
    """Warning about a key of a recipe in the form of an earlier version. The message shows the form of today."""


class DataError(InputError):
    """A file or record that breaks its format's rules."""


class LeakError(InputError):
    """A split in which training or selection could use what the test hides."""


class RunDirectoryError(InputError):
    """A run directory that a command cannot use."""


class MissingWeights(InputError):
    """Pretrained weights that are missing. parameter: the encoder's parameter that takes a path to them."""

    def __init__(self, message: str, parameter: str = "model") -> None:
        super().__init__(message)
        self.parameter = parameter


class MissingPackage(InputError):
    """An optional package that is needed and not installed."""


def require(module: str, *, install: str) -> ModuleType:
    """Import `module`, or say in one line how to install it.

    Parameters: `module` is the import name, `install` the exact command.
    Raises `MissingPackage`.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingPackage(f"{error.name} is missing: {install}") from None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class if there is no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

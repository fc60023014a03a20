"""The error family: every message names the value, the rule and the cure.

The command line prints the message in one line and exits with `exit_code`;
anything outside this family is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class SegueError(Exception):
    """A run that cannot go on; nothing finished is lost."""

    exit_code = 1


class InputError(SegueError):
    """Something the user gave is wrong: a recipe, a file, an id, a flag."""

    exit_code = 2


Where = tuple[str | int, ...]
"""A place in a recipe: keys and list indexes from the top."""


class RecipeError(InputError):
    """A recipe with an unknown key, a wrong type or a contradiction.

    rule: what is wrong, to follow after the dotted path. where: the keys and indexes of that path; empty where `rule` is the whole message.
    The reader of a file puts the line before it.
    """

    def __init__(self, rule: str, where: Where = ()) -> None:
        super().__init__(f"{'.'.join(map(str, where))}{rule}" if where else rule.lstrip(": "))
        self.rule, self.where = rule, where


class OldForm(UserWarning):
    """A key of a recipe in the form of an earlier version; the message shows the form of today."""


class DataError(InputError):
    """A file or record that breaks its format's rules."""


class LeakError(InputError):
    """A split whose test could be learned or chosen on: the data, or how the recipe parts it."""


class RunDirectoryError(InputError):
    """A run directory that is not what the command needs."""


class MissingWeights(InputError):
    """Pretrained weights that are not here; `parameter` of their encoder is where to give a path."""

    def __init__(self, message: str, parameter: str = "model") -> None:
        super().__init__(message)
        self.parameter = parameter


class MissingPackage(InputError):
    """An optional package that this step needs and that is not installed."""


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

"""Which reader a path is for, by asking every one that is installed."""

from __future__ import annotations

import warnings
from pathlib import Path

from toolkit import plugins
from toolkit.catalogue.readers.open_files import existing
from toolkit.errors import InputError


def detect(path: Path) -> str:
    """Name of the one reader that recognises `path`.

    Raises `InputError` where nothing is there, none recognises it, or several do.
    A plug-in that does not import is a warning.
    """
    existing(Path(path))
    found = []
    for name in plugins.names("segue.readers"):
        try:
            reader = plugins.load("segue.readers", name)
        except InputError as error:
            warnings.warn(str(error), stacklevel=2)
            continue
        if reader.recognises(Path(path)):
            found.append(name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"no reader recognises {path}: choose one of {', '.join(plugins.names('segue.readers'))} with reader:"
        )
    raise InputError(f"{path} could be {' or '.join(found)}: choose one with reader:")

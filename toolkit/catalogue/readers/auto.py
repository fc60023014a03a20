"""Detection of the reader for a path."""

from __future__ import annotations

import warnings
from pathlib import Path

from toolkit import plugins
from toolkit.catalogue.readers.open_files import existing
from toolkit.errors import InputError


def detect(path: Path) -> str:
    """Return the name of the only reader that recognises `path`.

    Raises `InputError` if the path does not exist, or if not exactly one reader recognises it. A plug-in that cannot be
    imported gives a warning.
    """
    existing(Path(path))
    found = []
    for name in plugins.names("segue.readers"):
        try:
            if plugins.load("segue.readers", name).recognises(Path(path)):
                found.append(name)
        except InputError as error:
            warnings.warn(str(error), stacklevel=2)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"the format of {path} is unknown: set `reader` to one of {', '.join(plugins.names('segue.readers'))}"
        )
    raise InputError(f"{path} could be {' or '.join(found)}: set `reader`")

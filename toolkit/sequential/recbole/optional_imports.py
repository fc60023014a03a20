"""Placeholders for packages that RecBole imports but does not call here.

RecBole 1.2.1 imports packages for coloured logs, tables, TensorBoard, AUC and RMSE at the top of its modules. A
placeholder replaces each package that is not installed during the import. The names of a placeholder raise
`MissingPackage` when called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from types import ModuleType
from typing import NoReturn

from toolkit.errors import MissingPackage
from toolkit.packages import of_extra

NAMES = {
    "colorlog": ("ColoredFormatter",),
    "colorama": ("init",),
    "texttable": ("Texttable",),
    "torch.utils.tensorboard": ("SummaryWriter",),
    "sklearn.metrics": ("auc", "mean_absolute_error", "mean_squared_error"),
}
"""Modules, and what RecBole takes from each by `from … import`."""


@contextmanager
def placeholders() -> Iterator[None]:
    """Make the missing packages in `NAMES` importable within a context."""
    missing = [module for module in NAMES if not _installed(module)]
    for module in missing:
        placeholder = ModuleType(module)
        placeholder.__dict__.update({name: _refusal(_package(module)) for name in NAMES[module]})
        sys.modules[module] = placeholder
    try:
        yield
    finally:
        for module in missing:
            del sys.modules[module]


def _package(module: str) -> str:
    """Return the package of a module, such as `sklearn` for sklearn.metrics."""
    return "tensorboard" if module.startswith("torch.") else module.partition(".")[0]


def _installed(module: str) -> bool:
    return module in sys.modules or util.find_spec(_package(module)) is not None


def _refusal(package: str) -> type:
    def refuse(self: object, *_: object, **__: object) -> NoReturn:
        raise MissingPackage(
            f"this RecBole function requires the package {package}: {of_extra('recbole', package).install}"
        )

    return type("Refusal", (), {"__init__": refuse})

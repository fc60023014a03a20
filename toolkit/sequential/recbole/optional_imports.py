"""Placeholders for packages that RecBole imports, and that its models and trainer never call here.

At the top of its modules RecBole 1.2.1 imports what colours its log, draws its tables, writes for TensorBoard and
computes its AUC and RMSE. Where such a package is not installed, a placeholder takes its place during the import. Its
names raise `MissingPackage` when they are called.
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
    """Inside, the missing ones of `NAMES` can be imported; afterwards they are missing as before."""
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
    """`sklearn` of sklearn.metrics, `tensorboard` of torch.utils.tensorboard."""
    return "tensorboard" if module.startswith("torch.") else module.partition(".")[0]


def _installed(module: str) -> bool:
    return module in sys.modules or util.find_spec(_package(module)) is not None


def _refusal(package: str) -> type:
    def refuse(self: object, *_: object, **__: object) -> NoReturn:
        raise MissingPackage(f"RecBole needs {package} for this: {of_extra('recbole', package).install}")

    return type("Refusal", (), {"__init__": refuse})

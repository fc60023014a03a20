"""Playlist continuation: rank the next tracks of a playlist by co-occurrence in playlists and by content.

    import segue

    data = segue.read_playlists("playlists.csv")
    split = data.split("playlist_disjoint", shown=0.7)
    model = segue.SASRec(epochs=12).fit(split.train, split.valid)
    segue.evaluate(model, split.test).to_frame()

Each name is imported on first use, which keeps `import segue` fast.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from toolkit import __version__

if TYPE_CHECKING:
    import segue.joins as _joins
    import segue.losses as _losses
    import segue.missing as _missing
    import segue.plugin as _plugin
    from segue.modalities import Modality as Modality
    from segue.modalities import encode as encode
    from segue.modalities import vectors as vectors
    from segue.model import Model as Model
    from segue.model_kinds import load as load
    from segue.model_kinds import ranker as ranker
    from segue.playlist_data import Playlists as Playlists
    from segue.playlist_data import from_dataframe as from_dataframe
    from segue.playlist_data import read_playlists as read_playlists
    from segue.rankers import *  # noqa: F403
    from segue.split import HeldOutPlaylists as HeldOutPlaylists
    from segue.split import Split as Split
    from segue.split import Training as Training

    joins, losses, missing, plugin = _joins, _losses, _missing, _plugin
    from segue.results import Result as Result
    from segue.results import compare as compare
    from segue.results import evaluate as evaluate
    from segue.runs import Run as Run
    from segue.runs import run as run
    from toolkit.errors import DataError as DataError
    from toolkit.errors import InputError as InputError
    from toolkit.errors import LeakError as LeakError
    from toolkit.errors import RecipeError as RecipeError
    from toolkit.errors import RunDirectoryError as RunDirectoryError
    from toolkit.errors import SegueError as SegueError
    from toolkit.recipe import Recipe as Recipe

PLACES = {
    "segue.playlist_data": ("Playlists", "from_dataframe", "read_playlists"),
    "segue.modalities": ("Modality", "encode", "vectors"),
    "segue.model_kinds": ("load", "ranker"),
    "segue.model": ("Model",),
    "segue.split": ("HeldOutPlaylists", "Split", "Training"),
    "segue.results": ("Result", "compare", "evaluate"),
    "segue.runs": ("Run", "run"),
    "toolkit.errors": ("DataError", "InputError", "LeakError", "RecipeError", "RunDirectoryError", "SegueError"),
    "toolkit.recipe": ("Recipe",),
}
"""The public names of each module. The classes of models are in `segue.rankers`."""

# OpenMP threads that spin while they wait make a shared machine many times slower. libgomp reads this when torch is
# imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

MODULES = ("joins", "losses", "missing", "plugin")

_PLACE = {name: module for module, names in PLACES.items() for name in names}

__all__ = [*_PLACE, *MODULES, "__version__"]


def __getattr__(name: str) -> object:
    if name in MODULES:
        return import_module(f"segue.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module 'segue' has no attribute {name!r}")
    value: object = getattr(import_module(_PLACE.get(name, "segue.rankers")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from segue import rankers

    return sorted({*__all__, *rankers.__all__})

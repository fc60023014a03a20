"""Base class of baselines, with checked parameters and a fitted state of named arrays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from toolkit.contracts.learning import Learning
from toolkit.contracts.saved_arrays import Layout, check
from toolkit.encoders.contract.encoder_files import checksum, write_tensors
from toolkit.encoders.contract.tensor_file import read_file
from toolkit.errors import UNREADABLE, RunDirectoryError, SegueError, first_line
from toolkit.files import parsed_json, write_json
from toolkit.parameters import Parameters
from toolkit.ranker import Ranker, TrainingData, checked
from toolkit.recipe.redaction import without_secrets
from toolkit.validation import validated

FILE = "ranker.safetensors"

State = dict[str, np.ndarray]
"""Fitted arrays by name: what is saved, and all that scoring may read."""


class BaselineParams(Parameters):
    """Parameters of a baseline in a recipe. Each baseline extends this class by fields with defaults."""


class Baseline(Ranker):
    """Base class of rankers with a fitted state that is a dictionary of arrays.

    Subclasses set `Params` and `capabilities` and define `learn` and `scorer`.

    - params: the fields of `Params` as keywords. Raises `InputError` for an invalid field or value.
    """

    Params: ClassVar[type[Parameters]] = BaselineParams
    params: Any  # an instance of Params

    def __init__(self, **params: object) -> None:
        self.params = validated(self.Params, params, f"{self.name}: ")
        self._state: State | None = None
        self._n_items = 0

    @abstractmethod
    def learn(self, data: TrainingData) -> State:
        """Return the fitted arrays, learned from the training playlists alone."""

    def fit(self, data: TrainingData) -> Self:
        learned = self.learn(checked(self, data))
        self._state = {name: np.ascontiguousarray(array) for name, array in learned.items()}
        self._n_items = data.n_items
        return self

    def layout(self, names: Collection[str]) -> Layout:
        """Return the rule of each array that `learn` returns, by which `load` checks a saved state.

        - names: names of the saved arrays, for states with optional arrays.

        Sparse matrices of `packed` are always checked. The rules are in `toolkit.contracts.saved_arrays`.
        """
        return {}

    @property
    def n_items(self) -> int:
        return self._n_items

    @property
    def state(self) -> State:
        """Fitted arrays. Raises `SegueError` before `fit` or `load`."""
        if self._state is None:
            raise SegueError(f"{self.name} is not fitted: call `fit` or `load` first")
        return self._state

    def save(self, directory: Path) -> None:
        # without the name: systems with equal training have equal files
        write_tensors(directory / FILE, self.state, {})
        about = {
            "ranker": self.name,
            "n_items": self._n_items,
            "params": without_secrets(self.params.model_dump(mode="json")),
        }
        if self.learning is not None:
            about["learning"] = self.learning.to_json()
        write_json(directory / "ranker.json", about)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """Return the baseline that `save` wrote. Its arrays are in main memory on any device.

        Raises `RunDirectoryError` if files are missing or damaged, or were written by another ranker.
        """
        try:
            about = parsed_json(directory / "ranker.json")
            if about["ranker"] != cls.name:
                raise RunDirectoryError(
                    f"{directory} holds the ranker {about['ranker']!r}, not {cls.name!r}: load the folder with the"
                    f" class of {about['ranker']!r}"
                )
            ranker = cls(**about["params"])
            ranker._state = _arrays(directory / FILE)
            ranker._n_items = int(about["n_items"])
            check(ranker._state, ranker.layout(ranker._state), ranker._n_items)
            ranker.learning = Learning.from_json(about.get("learning"))
            ranker.restore(directory, device=device)
        except UNREADABLE as error:
            raise RunDirectoryError(
                f"{directory} is not a readable {cls.name} ranker ({first_line(error)}): delete the folder and fit the"
                " ranker again"
            ) from None
        return ranker

    def restore(self, directory: Path, *, device: str) -> None:
        """Read the files that `save` wrote in addition to parameters and arrays.

        `load` raises errors about missing or damaged files.
        """


def _arrays(path: Path) -> State:
    """Return the arrays of a saved state. Files of earlier versions have no checksum."""
    file = read_file(path)
    about = msgspec.json.decode(file.metadata.get("segue", "{}"), type=_About)
    if about.blake2b not in (None, checksum(file.arrays)):
        raise ValueError(f"the checksum of {path.name} does not match")
    return file.arrays


class _About(msgspec.Struct):
    """Metadata that `write_tensors` writes."""

    blake2b: str | None = None

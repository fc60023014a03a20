"""The encoder contract.

An encoder sees only inputs that exist; absence is handled around it. Its
output for an input never depends on the other inputs of the batch, nor on
their order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from toolkit.errors import SegueError
from toolkit.packages import Package
from toolkit.parameters import Parameters

Kind = Literal["features", "text", "image", "audio", "category"]
"""features: float32 [n, c] · text: n strings · image, audio: n files as bytes · category: n strings."""

Progress = Callable[[int, int, str], None]
"""progress(done, total, what): called often; the command line draws the bar."""


class EncoderParams(Parameters):
    """Parameters of an encoder in a recipe; each encoder extends it with defaults."""


class Encoder(ABC):
    """Turns one modality into vectors.

    name, version: the version changes whenever the output for the same input and
    parameters would; both are in the cache key.
    learns: whether `fit` must run first. supervised: whether `fit` needs targets. refuses: whether `transform` may give a row of
    NaN, which says that this input cannot be read: its track then counts as absent. silent: whether a row of zeros says that nothing
    of the input is known (a text without a known word): absent as well. source: paper and section, or model page.
    weights_licence: licence of the pretrained weights it loads by default, empty where there are none.
    seeded: whether the seed changes the output; where it does not, it is not in the cache key.
    reconstructs: whether `reconstructions` draws inputs next to what the encoder makes of them.
    default_field: the field of the catalogue that it reads where a recipe names none; None: one must be named.
    refusal: of an encoder that refuses, how a warning puts it: "none of 7 inputs ⟨can be read⟩", "3 tracks have an input ⟨that cannot be
    read⟩", and what to do; None: of files that cannot be read.
    requires: packages beyond the toolkit's own that it needs; `segue validate` reports those that are missing.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind]
    learns: ClassVar[bool] = False
    supervised: ClassVar[bool] = False
    refuses: ClassVar[bool] = False
    silent: ClassVar[bool] = False
    source: ClassVar[str] = ""
    weights_licence: ClassVar[str] = ""
    seeded: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    default_field: ClassVar[str | None] = None
    refusal: ClassVar[tuple[str, str, str] | None] = None
    requires: ClassVar[tuple[Package, ...]] = ()
    Params: ClassVar[type[EncoderParams]] = EncoderParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        self.params = params if params is not None else self.Params()
        self.seed = seed
        self.device = device

    @property
    @abstractmethod
    def dim(self) -> int:
        """d of the output (after `fit`, for encoders that learn it)."""

    @property
    def needs_feedback(self) -> bool:
        """Whether `fit` takes, as the keyword `feedback`, the plays that target factors were made of."""
        return False

    def check_files(self) -> None:
        """Raise `MissingWeights`, or another `InputError`, where a file that it reads beside its inputs is not on this machine.

        For `segue validate`: nothing is fetched, no file is read whole, and nothing heavy is imported. The default reads no file.
        """
        return

    def fingerprint(self) -> str:
        """What beside name, version and parameters decides the output, for the cache key: a hash of pretrained weights, the precision."""
        return ""

    def licence(self) -> str:
        """Licence of the pretrained weights that these parameters load; empty where they load none."""
        return self.weights_licence

    def facts(self) -> dict[str, Any]:
        """What `coverage.json` should say of it beside name and size, after `fit`: JSON values, the same on every run."""
        return {}

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from present inputs; encoders with `learns = False` return at once.

        workdir: where a long fit keeps checkpoints, so that a killed one resumes.
        """
        return self

    @abstractmethod
    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """Embeddings float32 [n, d] of n present inputs; n may be 0. Finite, but for the rows that `refuses` speaks of."""

    def reconstructions(self, inputs: Any, path: Path, *, count: int = 12) -> Path:
        """Write a picture of at most `count` inputs, each next to its reconstruction, to `path`.

        Raises `SegueError` for an encoder that does not reconstruct (`reconstructs`).
        """
        raise SegueError(f"{self.name} does not reconstruct its inputs")

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write what `load` needs: `encoder.json` and, where fitted, `encoder.safetensors`."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self: ...


Texts = Sequence[str]
Images = Sequence[bytes]
Audio = Sequence[bytes]

"""The encoder contract: the base class of everything that turns one field of the catalogue into vectors.

An encoder receives only inputs that exist; missing values are handled around it. The vector of an input depends neither
on the other inputs of the batch nor on their order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import SegueError
from toolkit.packages import Package
from toolkit.parameters import Parameters

Kind = Literal["features", "text", "image", "audio", "category"]
"""features: float32 [n, c] · text: n strings · image, audio: n files as bytes · category: n strings."""

Progress = Callable[[int, int, str], None]
"""progress(done, total, what): called often; the command line draws the bar."""

Texts = Sequence[str]
Images = Sequence[bytes]
Audio = Sequence[bytes]
Tensors = dict[str, np.ndarray]


class EncoderParams(Parameters):
    """Parameters of an encoder in a recipe; each encoder extends it with defaults."""


class FailureText(NamedTuple):
    """Wording of the warning about inputs that an encoder could not read.

    - none: ends the sentence "none of 7 inputs …".
    - some: ends the sentence "3 of 7 tracks have an input …".
    - cure: what the user can do.
    """

    none: str = "can be read"
    some: str = "that cannot be read"
    cure: str = "`on_error: stop` says what is wrong with the first"


@dataclass(frozen=True)
class FittedState:
    """What `fit` learned, in the form in which it is saved.

    - tensors: arrays by name, for `encoder.safetensors`.
    - values: JSON values by name, for `encoder.json`.
    """

    tensors: Tensors = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


class Encoder(ABC):
    """Turns one field of the catalogue into vectors.

    - name, version: change the version whenever the output changes for the same input and parameters; both are in the
      cache key.
    - kind: the kind of the inputs.
    - requires_fit: whether `fit` must run before `transform`.
    - supervised: whether `fit` needs targets.
    - can_fail: whether `transform` may return a row of NaN for an input that it cannot read. The track then counts as
      absent.
    - failure_text: how a warning describes such inputs.
    - may_be_empty: whether a row of zeros means that nothing of the input is known, such as a text without a known
      word. The track then counts as absent too.
    - source: paper and section, or the page of the model.
    - weights_licence: licence of the pretrained weights that it loads by default; empty for none.
    - seeded: whether the seed changes the output. If not, the seed is not in the cache key.
    - reconstructs: whether `reconstructions` draws inputs next to what the encoder makes of them.
    - default_field: the field of the catalogue that it reads if a recipe names none; None if a recipe must name one.
    - requires: packages that it needs beyond those of the toolkit; `segue validate` reports the missing ones.
    - Params: the class of its parameters.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind]
    requires_fit: ClassVar[bool] = False
    supervised: ClassVar[bool] = False
    can_fail: ClassVar[bool] = False
    failure_text: ClassVar[FailureText] = FailureText()
    may_be_empty: ClassVar[bool] = False
    source: ClassVar[str] = ""
    weights_licence: ClassVar[str] = ""
    seeded: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False
    default_field: ClassVar[str | None] = None
    requires: ClassVar[tuple[Package, ...]] = ()
    Params: ClassVar[type[EncoderParams]] = EncoderParams
    short_inputs: Sequence[int] = ()
    """Indices in the last batch of inputs that are shorter than the encoder reads at once."""

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        self.params = params if params is not None else self.Params()
        self.seed = seed
        self.device = device

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of columns of the output; after `fit`, if it is learned."""

    @property
    def needs_feedback(self) -> bool:
        """Whether `fit` takes, as the keyword `feedback`, the plays from which target factors were computed."""
        return False

    def check_files(self) -> None:
        """Raise `MissingWeights`, or another `InputError`, if a file that it reads besides its inputs is missing.

        For `segue validate`: nothing is downloaded, no file is read whole, and nothing heavy is imported. The default
        reads no file.
        """
        return

    def fingerprint(self) -> str:
        """What decides the output besides name, version and parameters, such as a hash of pretrained weights."""
        return ""

    def licence(self) -> str:
        """Licence of the pretrained weights that these parameters load; empty for none."""
        return self.weights_licence

    def summary(self) -> dict[str, float]:
        """Numbers for its row of `coverage.json`, after `fit`; the same on every run."""
        return {}

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from n >= 1 inputs. Encoders that do not need it return at once.

        - inputs: n inputs of the encoder's kind.
        - targets: float32 [n, t] for a supervised encoder.
        - workdir: folder of the checkpoints of a long fit, from which a killed one resumes.
        """
        return self

    @abstractmethod
    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """Compute the vectors of n >= 0 inputs: float32 [n, dim], finite except for rows of NaN (see `can_fail`)."""

    def _in_batches(
        self, inputs: Any, size: int, compute: Callable[[Any], np.ndarray], progress: Progress | None
    ) -> np.ndarray:
        """Compute the vectors of n inputs, `size` at a time: float32 [n, dim].

        compute: returns the vectors of some inputs; a `BadInput` of it is counted among these.
        """
        out = np.zeros((len(inputs), self.dim), np.float32)
        for start in range(0, len(out), size):
            try:
                out[start : start + size] = compute(inputs[start : start + size])
            except BadInput as fault:
                raise BadInput(start + fault.index, fault.why) from None
            if progress is not None:
                progress(min(start + size, len(out)), len(out), self.name)
        return out

    def reconstructions(self, inputs: Any, path: Path, *, count: int = 12) -> Path:
        """Write a picture of at most `count` inputs, each next to its reconstruction, to `path`.

        Raises `SegueError` for an encoder that does not reconstruct (see `reconstructs`).
        """
        raise SegueError(f"{self.name} does not reconstruct its inputs")

    def fitted_state(self) -> FittedState | None:
        """What `fit` learned, for `save`; None before `fit`, and for an encoder that learns nothing."""
        return None

    def restore(self, state: FittedState) -> None:  # noqa: B027 (an encoder that learns nothing needs none)
        """Take over what `fitted_state` returned."""

    def save(self, directory: Path) -> None:
        """Write `encoder.json` and, if it is fitted, `encoder.safetensors`."""
        from toolkit.encoders.contract.encoder_files import save_encoder

        state = self.fitted_state()
        save_encoder(
            self, directory, *(() if state is None else (state.tensors,)), **({} if state is None else state.values)
        )

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """Read what `save` wrote."""
        from toolkit.encoders.contract.encoder_files import load_encoder

        encoder, tensors, values = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.restore(FittedState(tensors, values))
        return encoder

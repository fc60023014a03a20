"""Encoder contract: base class for every encoder that turns a catalogue field into vectors.

An encoder receives only existing inputs. Missing values are handled by the caller. The vector of an input does not
depend on the other inputs of a batch or on their order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from toolkit.contracts.learning import Learning
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import UNREADABLE, DataError, SegueError, first_line
from toolkit.packages import Package
from toolkit.parameters import Parameters

Kind = Literal["features", "text", "image", "audio", "category"]
"""features: float32 [n, c] · text: n strings · image, audio: n files as bytes · category: n strings."""

SHORT, CUT = 1, 2
"""Marks of inputs: shorter than `min_samples`, and used although a part of the file is missing."""

Progress = Callable[[int, int, str], None]
"""progress(done, total, what): called often; the command line draws the bar."""

Texts = Sequence[str]
Images = Sequence[bytes]
Audio = Sequence[bytes]
Tensors = dict[str, np.ndarray]


class EncoderParams(Parameters):
    """Base class for the parameters of an encoder in a recipe. Each encoder adds its own fields with defaults."""


class FailureText(NamedTuple):
    """Wording of the warning about inputs that an encoder could not read.

    - none: completes the sentence "none of 7 inputs …".
    - some: completes the sentence "3 of 7 tracks have an input …".
    - cure: action that the user can take.
    """

    none: str = "can be read"
    some: str = "that cannot be read"
    cure: str = "set `on_error: stop` to see the reason"


@dataclass(frozen=True)
class FittedState:
    """Fitted state of an encoder, as it is saved.

    - tensors: arrays by name, for `encoder.safetensors`.
    - values: JSON values by name, for `encoder.json`.
    """

    tensors: Tensors = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


class Encoder(ABC):
    """Base class for encoders that turn one field of the catalogue into vectors.

    - name, version: identity of the encoder in the cache key. Change the version whenever the output changes for the
      same input and parameters.
    - kind: the kind of the inputs.
    - requires_fit: whether `fit` must run before `transform`, whatever the parameters (see `needs_fit`).
    - supervised: whether `fit` requires targets.
    - can_fail: whether `transform` may return a row of NaN for an unreadable input. The track then counts as absent.
    - failure_text: wording of the warning about unreadable inputs.
    - may_be_empty: whether a row of zeros means that the input has no known content, such as a text without a known
      word. The track then counts as absent too.
    - source: paper and section, or the page of the model.
    - weights_licence: licence of the pretrained weights loaded by default, or an empty string without weights.
    - seeded: whether the seed changes the output. Otherwise the seed is not in the cache key.
    - reconstructs: whether `reconstructions` draws inputs next to their reconstructions.
    - default_field: the catalogue field that is read if a recipe does not set `field`, or None if a recipe must set
      `field`.
    - requires: additional packages of the encoder. `segue validate` reports missing packages.
    - Params: the class of the parameters.
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
    learning: Learning | None = None
    """Record of the last training, from which `encode` reports an encoder that did not learn.

    None for an encoder that trains no network. An encoder that does sets the class attribute to `Learning()`, and the
    attribute of the instance in `fit`. Networks of `toolkit.encoders.learning` do so. `save` and `load` keep it.
    """
    curve: Sequence[Mapping[str, float]] = ()
    """Values of each epoch of the last training: `epoch`, `loss`, `seconds`. Empty without a training in epochs."""
    short_inputs: Sequence[int] = ()
    """Indices of the inputs in the last batch that are shorter than `min_samples`."""
    cut_inputs: Sequence[int] = ()
    """Indices of the inputs in the last batch that were used although a part of the file is missing."""

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        self.params = params if params is not None else self.Params()
        self.seed = seed
        self.device = device

    @property
    @abstractmethod
    def dim(self) -> int:
        """Return the number of columns of the output. A learned dimension is available after `fit`."""

    @property
    def needs_fit(self) -> bool:
        """Return whether `fit` must run before `transform` with these parameters; default: `requires_fit`."""
        return self.requires_fit

    @property
    def needs_feedback(self) -> bool:
        """Return whether `fit` takes the keyword `feedback`, the interactions behind the target factors."""
        return False

    def check_files(self) -> None:
        """Raise `MissingWeights` or another `InputError` if a required file other than the inputs is missing.

        Called by `segue validate`. Nothing is downloaded, no file is read whole, and no heavy package is imported. The
        default requires no file.
        """
        return

    def fingerprint(self) -> str:
        """Return what determines the output besides name, version and parameters, such as a hash of weights."""
        return ""

    def licence(self) -> str:
        """Return the licence of the pretrained weights for these parameters, or an empty string without weights."""
        return self.weights_licence

    def summary(self) -> dict[str, float]:
        """Return statistics for `coverage.json`, available after `fit` and identical on every run."""
        return {}

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the encoder to n >= 1 inputs. The default returns at once.

        - inputs: n inputs of the encoder's kind.
        - targets: float32 [n, t] for a supervised encoder.
        - workdir: folder for the checkpoints of a long fit, from which a killed fit resumes.
        """
        return self

    @abstractmethod
    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """Compute the vectors of n >= 0 inputs, float32 [n, dim], finite except for rows of NaN (see `can_fail`)."""

    def _in_batches(
        self, inputs: Any, size: int, compute: Callable[[Any], np.ndarray], progress: Progress | None
    ) -> np.ndarray:
        """Compute the vectors of n inputs in batches of `size`, float32 [n, dim].

        - compute: function that returns the vectors of a batch. The index of its `BadInput` is relative to the batch.
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
        """Write a picture with at most `count` inputs, each next to its reconstruction, to `path`.

        Raises `SegueError` for an encoder that does not reconstruct (see `reconstructs`).
        """
        raise SegueError(
            f"encoder {self.name!r} cannot reconstruct inputs: use an encoder with `reconstructs`, such as image-vae"
        )

    def fitted_state(self) -> FittedState | None:
        """Return the fitted state for `save`, or None before `fit` and for an encoder without fitted state."""
        return None

    def restore(self, state: FittedState) -> None:  # noqa: B027 (an encoder that learns nothing needs none)
        """Restore the state returned by `fitted_state`."""

    def save(self, directory: Path) -> None:
        """Write `encoder.json` and, after `fit`, `encoder.safetensors`."""
        from toolkit.encoders.contract.encoder_files import save_encoder

        state = self.fitted_state()
        save_encoder(
            self, directory, *(() if state is None else (state.tensors,)), **({} if state is None else state.values)
        )

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        """Load an encoder written by `save`."""
        from toolkit.encoders.contract.encoder_files import load_encoder

        encoder, tensors, values = load_encoder(cls, directory, device=device)
        if tensors is not None:
            try:
                encoder.restore(FittedState(tensors, values))
            except UNREADABLE as error:
                reason = f"{directory} holds no fitted {cls.name!r} encoder ({first_line(error)})"
                raise DataError(f"{reason}: fit the encoder again") from None
        return encoder

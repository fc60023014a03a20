"""Registry that creates encoders by name and describes them for `segue encoders`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from pydantic import ValidationError

from toolkit import devices, plugins
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import SegueError
from toolkit.validation import validated

GROUP = "segue.encoders"


class EncoderRow(TypedDict):
    """Row of an encoder in the list of `segue encoders`.

    - dim: vector dimension, or None if it is learned.
    - learns: whether the encoder must be fitted.
    - package: the package that installs the encoder.
    - error: reason why a plug-in cannot be used, or an empty string.
    """

    name: str
    kind: str
    dim: int | None
    learns: bool | None
    source: str
    weights_licence: str
    package: str
    error: str


def create(name: str, params: Mapping[str, object] | None = None, *, seed: int = 0, device: str = "auto") -> Encoder:
    """Create the encoder `name` with `params`.

    Raises `InputError` for an unknown name or parameter, with the closest known name, and for an invalid value.
    """
    cls: type[Encoder] = plugins.load(GROUP, name)
    checked = validated(cls.Params, params or {}, f"encoder {name!r}: ")
    return cls(checked, seed=seed, device=device if device == "cpu" else devices.device(device))


def describe() -> list[EncoderRow]:
    """Return one row per encoder, sorted by name.

    A plug-in that cannot be imported or breaks the contract has a row with `error` set.
    """
    return [_row(name) for name in plugins.names(GROUP)]


def _row(name: str) -> EncoderRow:
    point = plugins.points(GROUP)[name]
    row = EncoderRow(
        name=name,
        kind="",
        dim=None,
        learns=None,
        source="",
        weights_licence="",
        package=point.dist.name if point.dist else point.value,
        error="",
    )
    try:
        cls: type[Encoder] = plugins.load(GROUP, name)
        dim = _known_dim(cls)
        row["kind"], row["learns"], row["dim"] = cls.kind, cls.requires_fit, dim
        row["source"], row["weights_licence"] = cls.source, cls.weights_licence
    except SegueError as error:
        row["error"] = str(error)
    except Exception as error:  # of a plug-in: its row shows it, and the list continues
        row["error"] = f"{name!r} does not keep the encoder contract: {error!r}"
    return row


def _known_dim(cls: type[Encoder]) -> int | None:
    """Return the dimension under default parameters, or None if it is learned or the weights are missing."""
    try:
        return cls().dim
    except (SegueError, ValidationError):  # the latter for a parameter without a default
        return None

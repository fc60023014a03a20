"""Encoders by name: made from a recipe's parameters, and described for `segue encoders`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from toolkit import devices, plugins
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import SegueError
from toolkit.validation import validated

GROUP = "segue.encoders"


def create(name: str, params: dict[str, Any] | None = None, *, seed: int = 0, device: str = "auto") -> Encoder:
    """The encoder `name` with `params`.

    Raises `InputError` for an unknown name or parameter (with the nearest
    known one), and for a value that breaks its rule.
    """
    cls: type[Encoder] = plugins.load(GROUP, name)
    checked = validated(cls.Params, params or {}, f"encoder {name!r}: ")
    return cls(checked, seed=seed, device=device if device == "cpu" else devices.device(device))


def describe() -> list[dict[str, Any]]:
    """One row per encoder on offer, sorted by name: name, kind, dim, learns, source, weights_licence, package, error.

    dim is None where it depends on what is learned. A plug-in that fails to
    import, or is no encoder, keeps its row with `error` set.
    """
    return [_row(name) for name in plugins.names(GROUP)]


def _row(name: str) -> dict[str, Any]:
    point = plugins.found(GROUP)[name]
    row: dict[str, Any] = {"name": name, "kind": "", "dim": None, "learns": None, "source": "", "weights_licence": ""}
    row |= {"package": point.dist.name if point.dist else point.value, "error": ""}
    try:
        cls = plugins.load(GROUP, name)
    except SegueError as error:
        return row | {"error": str(error)}
    try:
        facts = {"kind": cls.kind, "learns": cls.learns, "source": cls.source, "weights_licence": cls.weights_licence}
        return row | facts | {"dim": _known_dim(cls)}
    except Exception as error:  # a stranger's fault is told in its row; the list goes on
        return row | {"error": f"{name!r} does not keep the encoder contract: {error!r}"}


def _known_dim(cls: type[Encoder]) -> int | None:
    """d under default parameters; None where it is learned or the weights are not here."""
    try:
        return cls().dim
    except (SegueError, ValidationError):  # the latter where a parameter has no default
        return None

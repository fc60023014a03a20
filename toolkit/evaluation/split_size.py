"""Number of independent playlists in a split, and what a small number costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from toolkit.corpus.splits import HeldOut, Split
from toolkit.evaluation.statistics import FEW, Sample

if TYPE_CHECKING:
    from toolkit.contracts.protocol import Protocol

NAMES = {"valid": "validation", "test": "test"}


def independent(groups: np.ndarray) -> float:
    """Return the effective number of independent playlists among playlists of these groups, int [n]."""
    return Sample.of(np.ones((len(groups), 1)), groups).independent if len(groups) else 0.0


def few_playlists(split: Split, protocol: Protocol) -> Iterator[str]:
    """Yield the size of the held-out parts and what it costs, if validation or test has few independent playlists."""
    sizes = {name: independent(part.groups()) for name, part in (("valid", split.valid), ("test", split.test))}
    if min(sizes.values()) >= FEW:
        return
    if protocol.whole_lists:
        held = len(split.valid) + len(split.test)
        every = held + len(split.train)
        yield (
            f"the split withholds {held:,} of {every:,} playlists ({100 * held / every:.0f} %) from training:"
            f" {len(split.valid):,} for validation and {len(split.test):,} for test"
        )
    for name, cost in (("valid", _choices), ("test", _claims)):
        part = getattr(split, name)
        if sizes[name] < FEW:
            yield f"{NAMES[name]} has {_size(part, sizes[name])}: {cost(part)}; {_cure(name, protocol)}"


def _size(part: HeldOut, independent: float) -> str:
    plural = "" if len(part) == 1 else "s"
    alike = f", worth {independent:.1f} independent ones" if independent < len(part) - 0.05 else ""
    return f"{len(part):,} playlist{plural}{alike}"


def _cure(part: str, protocol: Protocol) -> str:
    keys = type(protocol).model_fields
    if part == "valid" and {"by", "valid_fraction"} <= keys.keys():
        return "raise evaluation.split.valid_fraction (with by: hash), or add playlists to the data"
    if part == "valid" and "valid_fraction" in keys:
        return "raise evaluation.split.valid_fraction, or add playlists to the data"
    if part == "test" and {"by", "test_fold"} <= keys.keys():
        return "test every playlist once (evaluation.split: {by: hash, test_fold: all}), or add playlists to the data"
    return "hold out more playlists, or add playlists to the data"


def _choices(part: HeldOut) -> str:
    hidden = int(np.diff(part.hidden()[1]).sum())
    return (
        f"epochs, settings and the best system are chosen by {hidden:,} hidden track{'' if hidden == 1 else 's'}, and"
        " other playlists might lead to other choices"
    )


def _claims(part: HeldOut) -> str:
    groups = len(np.unique(part.groups()))
    smallest = 2.0 ** (1 - groups)
    if smallest >= 0.05:
        return f"no difference between systems can be shown, because p cannot go below {smallest:.4f}"
    return "only large differences between systems can be shown, and intervals are wide"

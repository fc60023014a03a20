"""Number of independent playlists in a split, and what a small number costs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toolkit.corpus.splits import HeldOut, Split
from toolkit.evaluation.statistics import FEW, Sample

NAMES = {"valid": "validation", "test": "the test"}


def independent(groups: np.ndarray) -> float:
    """Return the effective number of independent playlists among playlists of these groups, int [n]."""
    return Sample.of(np.ones((len(groups), 1)), groups).independent if len(groups) else 0.0


def few_playlists(split: Split, *, whole_lists: bool) -> Iterator[str]:
    """Yield what the split withholds from training and what that costs, if a part has few independent playlists.

    - whole_lists: whether held-out playlists are not in training.
    """
    sizes = {name: independent(part.groups()) for name, part in (("valid", split.valid), ("test", split.test))}
    if min(sizes.values()) >= FEW:
        return
    if whole_lists:
        held = len(split.valid) + len(split.test)
        every = held + len(split.train)
        yield (
            f"the split withholds {held:,} of {every:,} playlists ({100 * held / every:.0f} %) from training:"
            f" {len(split.valid):,} for validation and {len(split.test):,} for the test"
        )
    for name, cost in (("valid", _choices), ("test", _claims)):
        part = getattr(split, name)
        if sizes[name] < FEW:
            yield f"{NAMES[name]} is {_size(part, sizes[name])}: {cost(part, sizes[name])}"


def _size(part: HeldOut, independent: float) -> str:
    plural = "" if len(part) == 1 else "s"
    alike = f", as many as {independent:.1f} independent ones" if independent < len(part) - 0.05 else ""
    return f"{len(part):,} playlist{plural}{alike}"


def _choices(part: HeldOut, independent: float) -> str:
    hidden = int(np.diff(part.hidden()[1]).sum())
    return (
        f"epochs, settings and the best system are chosen by {hidden:,} hidden track{'' if hidden == 1 else 's'},"
        " which is close to chance; hold out more playlists (evaluation.split.valid_fraction), or read more"
    )


def _claims(part: HeldOut, independent: float) -> str:
    groups = len(np.unique(part.groups()))
    smallest = 2.0 ** (1 - groups)
    cure = "test every playlist once (evaluation.split: {by: hash, test_fold: all}), or read more"
    if smallest >= 0.05:
        return f"no difference between systems can be shown, because p cannot go below {smallest:.4f}; {cure}"
    return f"only large differences between systems can be shown, and intervals are wide; {cure}"

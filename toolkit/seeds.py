"""Seeds of what is drawn at random (a playlist's seeds, its first tracks, are the corpus's)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

Built = TypeVar("Built")


def derived_seed(seed: int, *names: object) -> int:
    """A seed for one purpose: independent of every other purpose's draws."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seeded_weights(build: Callable[[], Built], seed: int) -> Built:
    """Build a module whose random weights depend on `seed` alone.

    Returns what `build` returns. The random state outside is left as it was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()

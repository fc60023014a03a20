"""Seeds of what is drawn at random (a playlist's seeds, its first tracks, are the corpus's)."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *names: object) -> int:
    """A seed for one purpose: independent of every other purpose's draws."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1

"""The program's own source, as part of the key of what is kept."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import toolkit


@lru_cache
def code(*packages: str) -> str:
    """Hash of the program's own source, or of some of its packages: results of other code are not gone on with."""
    root = Path(toolkit.__file__).parent
    hasher = hashlib.blake2b(toolkit.__version__.encode(), digest_size=16)
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if not packages or name.parts[0] in packages:
            hasher.update(str(name).encode())
            hasher.update(path.read_bytes())
    return hasher.hexdigest()

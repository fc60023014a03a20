"""A recipe's text as the file that is read."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(text)
    return path

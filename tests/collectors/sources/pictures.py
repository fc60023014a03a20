"""Small images for the tests."""

from __future__ import annotations

import io

from PIL import Image


def picture(colour: str = "teal", form: str = "JPEG", size: tuple[int, int] = (16, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def bomb() -> bytes:
    """Return a PNG of some kilobytes with a header for 20,000 by 20,000 pixels."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()

"""Check whether a file is an image that can be opened safely."""

from __future__ import annotations

import io
import warnings

from toolkit.errors import require
from toolkit.packages import PILLOW

MAX_PIXELS = 64_000_000  # an 8,000 x 8,000 cover; more is a decompression bomb, not a cover


def flaw(data: bytes) -> str | None:
    """Return why `data` is not a usable image, or None for a usable image.

    The header is checked against `MAX_PIXELS` before decoding. Then the whole image is decoded, because
    `verify` alone accepts a truncated JPEG.
    """
    Image = require("PIL.Image", install=PILLOW.install)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    return f"image of {image.width} x {image.height} pixels exceeds {MAX_PIXELS:,}"
                image.verify()
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    except Image.UnidentifiedImageError:
        return "is not an image"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"is a damaged image: {error}"
    return None

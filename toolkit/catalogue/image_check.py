"""Whether a file is an image that can be opened safely."""

from __future__ import annotations

import io
import warnings

MAX_PIXELS = 64_000_000
"""An 8,000 x 8,000 cover; more is a decompression bomb, not a cover."""


def flaw(data: bytes) -> str | None:
    """Why `data` is no usable image, or None where it is one.

    The header is checked against `MAX_PIXELS` before a pixel is decoded; then
    the whole image is decoded, since a truncated JPEG passes `verify` alone.
    """
    from PIL import Image

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

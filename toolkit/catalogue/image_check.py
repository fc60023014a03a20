"""Rule for usable pictures, shared by readers, collectors and encoders.

A picture is decoded to RGB in bounded memory. Only the usual formats of covers are opened. Pillow itself reads about
forty formats, and starts another program for one of them.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import first_line, require
from toolkit.files import read_regular
from toolkit.packages import PILLOW

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Formats that are opened, by Pillow's names. Shops, archives and players deliver covers in these."""
MAX_BYTES = 64 << 20
"""Maximum size of a file. A lossless scan of a box set has about half of this size."""
MAX_MEMORY = 290_000_000
"""Maximum memory in bytes for a picture: its file, its pixels and their conversion to RGB.

Enough for a PNG of 8,000 x 8,000 pixels, of 5,500 x 5,500 with transparency, and a WebP of 4,000 x 4,000.
"""
MAX_RATIO = 200
"""Maximum ratio between the sides. Resizing the shorter side scales the longer side by the same factor."""
MAX_SCANS = 500
"""Maximum number of passes over the pixels of a JPEG. Encoders write about ten."""
CHECKED_SIDE = 1024
"""Side to which a JPEG may be reduced when it is only checked, above the side of any encoder's input."""
STRIP_PIXELS = 1 << 18
"""Number of pixels that are converted at a time."""

_DECODER_BYTES = {"WEBP": 12, "GIF": 2, "BMP": 3}
"""Memory in bytes that a format's decoder takes per pixel, in addition to the result.

libwebp has two canvases and a copy. A GIF may keep the picture below a frame. Pillow unpacks a compressed BMP in
Python.
"""
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
"""Memory of a pixel in bytes by colour model. Pillow stores all other models in 4 bytes."""
_SCAN = b"\xff\xda"
"""Marker of a scan in a JPEG. Compressed pixels do not contain these two bytes."""


class UnusableImage(Exception):
    """Error for a picture that cannot be used. The message, with a cure, completes the sentence "the picture …"."""


def flaw(data: bytes) -> str | None:
    """Return why `data` is not a usable picture, or None for a usable picture. See `read_image`."""
    try:
        read_image(data, least=CHECKED_SIDE)
    except UnusableImage as error:
        return str(error)
    return None


def read_file(path: Path) -> bytes:
    """Return the content of a picture file, at most `MAX_BYTES + 1`, for which `flaw` reports the limit.

    Raises `OSError` for a file that cannot be read, a folder, a device and a pipe.
    """
    return read_regular(path, MAX_BYTES)


def read_image(data: bytes, *, least: int) -> Image:
    """Decode a picture to RGB, uncropped, as a Pillow image.

    Grey, CMYK, palette and 16-bit pictures become RGB, and transparency becomes white. An animation is reduced to its
    first frame.

    - least: a JPEG may be decoded below its full size, but no side is shorter than this number of pixels.

    Raises `UnusableImage` for anything but an undamaged picture in one of `FORMATS` whose size, memory and sides are
    within the limits.
    """
    Image = require("PIL.Image", install=PILLOW.install)

    if len(data) > MAX_BYTES:
        raise UnusableImage(f"has more than {MAX_BYTES >> 20} MB: reduce its size")
    try:
        with warnings.catch_warnings():
            # about damaged metadata, and about sizes, which are checked below
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                # a JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the work
                width, height = picture.size
                picture.draft("RGB", (least, least))
                _check_size(picture, width, height, data)
                picture.load()
                return _rgb(picture)
    except (UnusableImage, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        names = ", ".join(FORMATS[:-1])
        raise UnusableImage(
            f"is not a picture in {names} or {FORMATS[-1]} ({len(data)} bytes that begin {bytes(data[:8])!r}):"
            " replace the file"
        ) from None
    except Exception as error:  # decoders raise exceptions of any kind for damaged files
        raise UnusableImage(f"is a damaged image ({first_line(error)}): replace the file") from None


def _check_size(picture: Image, width: int, height: int, data: bytes) -> None:
    """Raise `UnusableImage` for a picture beyond the limits. Its pixels are not decoded yet.

    - picture: the picture, which may be reduced.
    - width, height: size of the picture in the file.
    """
    if max(width, height) > MAX_RATIO * min(width, height):
        raise UnusableImage(
            f"has {width} x {height} pixels, but the longer side must be at most {MAX_RATIO} times the shorter: crop it"
        )
    stored = _MODE_BYTES.get(picture.mode, 4)
    converted = 4 if picture.mode != "RGB" or "transparency" in picture.info else 0
    pixel = stored + converted + _DECODER_BYTES.get(str(picture.format), 0)
    memory = len(data) + picture.width * picture.height * pixel
    if picture.format in ("JPEG", "MPO") and (scans := data.count(_SCAN)) > 1:
        if scans > MAX_SCANS:
            raise UnusableImage(f"has {scans} passes over its pixels, above the limit of {MAX_SCANS}: save it again")
        # all frequencies stay in memory until the last pass, in 2 bytes each
        memory += 2 * width * height * len(picture.getbands())
    if memory > MAX_MEMORY:
        raise UnusableImage(
            f"has {width} x {height} pixels, which take {memory / 1e6:,.0f} MB in memory, above the limit of "
            f"{MAX_MEMORY / 1e6:,.0f} MB: reduce its size"
        )


def _rgb(picture: Image) -> Image:
    """Convert a loaded picture to RGB in strips, so that no more than one copy of it is in memory."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _in_strips(picture, _scaled(picture))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        return _in_strips(picture, _on_white)
    if picture.mode == "RGB":
        return picture
    return _in_strips(picture, lambda strip: strip.convert("RGB"))


def _in_strips(picture: Image, convert: Callable[[Any], Image]) -> Image:
    from PIL import Image

    result = Image.new("RGB", picture.size)
    rows = max(1, STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        result.paste(convert(strip), (0, top))
    return result


def _on_white(picture: Image) -> Image:
    from PIL import Image

    clear = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def _scaled(picture: Image) -> Callable[[Image], Image]:
    """Return the conversion of strips of 16-bit grey, which Pillow would clip at 255 instead of scaling it."""
    from PIL import Image

    highest = picture.getextrema()[1]
    assert isinstance(highest, int | float)
    top = 65535.0 if highest > 255 else 255.0

    def convert(strip: Image.Image) -> Image.Image:
        values = np.asarray(strip, dtype=np.float64)
        return Image.fromarray((values.clip(0, top) * (255.0 / top)).round().astype(np.uint8)).convert("RGB")

    return convert

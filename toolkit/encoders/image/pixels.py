"""Decoding of pictures in any Pillow format and colour model to RGB pixels, in bounded memory."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.encoders.contract.encoder import Progress
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.learning.growing_array import GrowingArray
from toolkit.files import write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000
"""Maximum number of pixels. Larger pictures are rejected before decoding."""
MOST_RATIO = 200
"""Maximum ratio between the sides of a picture. Resizing the shorter side scales the longer side by the same factor."""


def pixels(image: bytes, *, size: int, index: int = 0) -> np.ndarray:
    """Decode a picture to RGB and stretch it to a square, uint8 [size, size, 3].

    Grey, CMYK, palette and 16-bit pictures become RGB, and transparency becomes white. An animation is reduced to its
    first frame. Raises `BadInput` at `index` for a file that is not a picture, or that has more than `MAX_PIXELS`.
    """
    from PIL import Image

    picture = rgb(image, least=size, index=index)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def rgb(image: bytes, *, least: int, index: int = 0) -> Image:
    """Decode a picture to RGB, uncropped, as a Pillow image.

    A JPEG may be decoded below its full size, but no side is shorter than `least` pixels. Colour models, animations and
    errors are handled as in `pixels`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image)) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise BadInput(
                    index,
                    f"has a picture of {width} x {height}, above the limit of {MAX_PIXELS} pixels: reduce its size",
                )
            # a JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the work
            picture.draft("RGB", (least, least))
            return _rgb(picture)
    except UnidentifiedImageError:
        raise BadInput(
            index,
            f"has a file that is not a picture ({len(image)} bytes that begin {bytes(image[:8])!r}): replace the file",
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise BadInput(index, f"has a damaged picture ({error}): replace the file") from None


def check_sides(picture: Image, index: int = 0) -> None:
    """Raise `BadInput` at `index` if one side of a picture is more than `MOST_RATIO` times longer than the other."""
    width, height = picture.size
    if max(width, height) > MOST_RATIO * min(width, height):
        raise BadInput(
            index,
            f"has a picture of {width} x {height}, but its sides must differ by less than 200 times: crop the picture",
        )


def _rgb(picture: Image) -> Image:
    from PIL import Image

    picture.load()
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        # Pillow clips 16-bit grey at 255 instead of scaling it
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        picture = Image.fromarray((values.clip(0, top) * (255.0 / top)).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return picture.convert("RGB")


def decoded(
    images: Sequence[bytes], *, size: int, workdir: Path | None = None, progress: Progress | None = None
) -> np.ndarray:
    """Decode n pictures to RGB, uint8 [n, size, size, 3].

    With `workdir`, the result is a memory-mapped file and memory does not grow with n.
    """
    return table_of(
        images, (size, size), lambda image, row: pixels(image, size=size, index=row), workdir=workdir, progress=progress
    )


def table_of(
    images: Sequence[bytes],
    sides: tuple[int, int],
    read: Callable[[bytes, int], np.ndarray],
    *,
    workdir: Path | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the results of `read(image, row)` as uint8 [n, height, width, 3]. See `decoded` for `workdir`."""
    table = GrowingArray(workdir)
    table.append(np.empty((0, *sides, 3), np.uint8))
    for row, image in enumerate(images):
        table.append(read(image, row)[None])
        if progress is not None and (row + 1) % 64 == 0:
            progress(row + 1, len(images), "decode pictures")
    return table.whole()


def save_pairs(
    originals: np.ndarray, reconstructions: np.ndarray, path: Path, *, columns: int = 4, gap: int = 4
) -> None:
    """Write a PNG with originals on the left and reconstructions on the right, both uint8 [n, size, size, 3]."""
    from PIL import Image

    n, size = originals.shape[:2]
    columns = min(columns, n)
    width, height = 2 * size + 2 * gap, size + 2 * gap
    sheet = np.full((math.ceil(n / columns) * height, columns * width, 3), 255, np.uint8)
    for pair in range(n):
        top, left = pair // columns * height + gap, pair % columns * width + gap
        sheet[top : top + size, left : left + 2 * size] = np.hstack([originals[pair], reconstructions[pair]])
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    write_bytes(Path(path), buffer.getvalue())

"""Decoding of pictures to tables of RGB pixels, in bounded memory."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.catalogue.image_check import UnusableImage, read_image
from toolkit.encoders.contract.encoder import Progress
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.learning.growing_array import GrowingArray
from toolkit.files import write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image


def pixels(image: bytes, *, size: int, index: int = 0) -> np.ndarray:
    """Decode a picture to RGB, crop it to the square in its middle and resize it, uint8 [size, size, 3].

    Raises `BadInput` at `index` for a file that is not a usable picture.
    """
    from PIL import Image

    picture = rgb(image, least=size, index=index)
    # cropped first: resizing with a box would mix in pixels from beyond its edges
    square = picture.crop(middle_square(*picture.size))
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def middle_square(width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the largest square in the middle. An odd pixel is left out on the right."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def rgb(image: bytes, *, least: int, index: int = 0) -> Image:
    """Decode a picture to RGB by `toolkit.catalogue.image_check.read_image`. Raises `BadInput` at `index`."""
    try:
        return read_image(image, least=least)
    except UnusableImage as error:
        raise BadInput(index, f"has a file that {error}") from None


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

"""Encoded pictures to pixels: any format and colour model that Pillow reads, in bounded memory."""

from __future__ import annotations

import io
import math
import os
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.encoders.contract.encoder import Progress
from toolkit.encoders.contract.input_faults import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000
"""A picture of more pixels is refused before it is decoded."""


def pixels(image: bytes, *, size: int, index: int = 0) -> np.ndarray:
    """One picture as RGB: uint8 [size, size, 3].

    Grey, CMYK, palette and 16-bit pictures become RGB, transparency lies on
    white, of an animation the first frame is taken; other shapes are stretched.
    Raises `BadInput` at `index` for what is no picture, or one of more than `MAX_PIXELS`.
    """
    from PIL import Image

    return np.asarray(
        rgb(image, least=size, index=index).resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8
    )


def rgb(image: bytes, *, least: int, index: int = 0) -> Image:
    """One picture as Pillow's, RGB, whole, in its own shape; a JPEG may come smaller, but no side under `least` pixels.

    Colour models, animations and faults as in `pixels`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image)) as picture:
            if math.prod(picture.size) > MAX_PIXELS:
                raise BadInput(
                    index, f"has a picture of {picture.size[0]} x {picture.size[1]}, more than {MAX_PIXELS} pixels"
                )
            # a JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the work
            picture.draft("RGB", (least, least))
            return _rgb(picture)
    except UnidentifiedImageError:
        raise BadInput(index, f"has no picture: {len(image)} bytes that begin {bytes(image[:8])!r}") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise BadInput(index, f"has a damaged picture: {error}") from None


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
    """Pictures as RGB: uint8 [n, size, size, 3]; with `workdir` a memory-mapped file, so that memory does not grow with n."""
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
    """What `read(image, row)` makes of each, uint8 [n, height, width, 3], kept as `decoded` keeps it."""
    shape = (len(images), *sides, 3)
    if workdir is None:
        return _fill(np.empty(shape, np.uint8), images, read, progress)
    workdir.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=workdir, suffix=".pixels")
    os.close(handle)
    # unlinked at once where the system allows it: a kill then leaves nothing behind
    table = np.memmap(name, np.uint8, "w+", shape=shape)
    if os.name == "posix":
        os.unlink(name)
    return _fill(table, images, read, progress)


def _fill(
    table: np.ndarray, images: Sequence[bytes], read: Callable[[bytes, int], np.ndarray], progress: Progress | None
) -> np.ndarray:
    for row, image in enumerate(images):
        table[row] = read(image, row)
        if progress is not None and (row + 1) % 64 == 0:
            progress(row + 1, len(images), "decode pictures")
    return table


def save_pairs(
    originals: np.ndarray, reconstructions: np.ndarray, path: Path, *, columns: int = 4, gap: int = 4
) -> None:
    """Write a PNG of pairs, original on the left, reconstruction on the right; both uint8 [n, size, size, 3]."""
    from PIL import Image

    from toolkit.encoders.contract.encoder_files import write_bytes

    n, size = originals.shape[:2]
    columns = min(columns, n)
    width, height = 2 * size + 2 * gap, size + 2 * gap
    sheet = np.full((math.ceil(n / columns) * height, columns * width, 3), 255, np.uint8)
    for place in range(n):
        top, left = place // columns * height + gap, place % columns * width + gap
        sheet[top : top + size, left : left + 2 * size] = np.concatenate(
            [originals[place], reconstructions[place]], axis=1
        )
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    write_bytes(Path(path), buffer.getvalue())

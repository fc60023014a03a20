"""Album covers: 128 x 128 PNG images whose colours depend on taste and whose shapes depend on style."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from segue.datasets.demo.tastes import PALETTES, pick

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SIDE = 128

Colour = tuple[int, int, int]

COLOURS: dict[str, list[Colour]] = {
    "ember": [(120, 30, 24), (226, 88, 34), (248, 178, 60), (60, 18, 22)],
    "lagoon": [(8, 60, 92), (24, 132, 158), (140, 214, 210), (230, 244, 236)],
    "orchard": [(36, 82, 40), (112, 152, 52), (206, 206, 96), (240, 232, 190)],
    "dusk": [(40, 26, 74), (112, 62, 138), (206, 112, 160), (246, 196, 190)],
}


def cover(taste: np.ndarray, style: float, rng: np.random.Generator) -> bytes:
    """Return a cover as PNG bytes. One in eight has random colours. taste: float64 [K]; style: 0…1."""
    from PIL import ImageDraw

    palette = pick(taste, rng).palette
    if rng.random() < 1 / 8:
        palette = PALETTES[int(rng.integers(len(PALETTES)))]
    colours = [_shade(colour, rng) for colour in rng.permutation(COLOURS[palette])]
    image = _gradient(colours[0], colours[1])
    draw = ImageDraw.Draw(image)
    for _ in range(int(np.clip(rng.normal(2 + 14 * style, 2), 1, 24))):
        _shape(draw, style, colours[int(rng.integers(1, 4))], rng)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _shade(colour: np.ndarray, rng: np.random.Generator) -> Colour:
    red, green, blue = np.clip(colour + rng.normal(0, 14, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    from PIL import Image

    ramp = np.linspace(0, 1, SIDE)[:, None]
    rows = (1 - ramp) * np.array(top) + ramp * np.array(bottom)
    return Image.fromarray(np.broadcast_to(rows[:, None, :], (SIDE, SIDE, 3)).astype(np.uint8).copy())


def _shape(draw: ImageDraw.ImageDraw, style: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw a triangle with probability `style`, otherwise a disc. Shapes are smaller at higher `style`."""
    x, y = rng.uniform(0, SIDE, 2)
    size = rng.uniform(0.5, 1.5) * (34 - 20 * style)
    if rng.random() < style:
        angles = rng.uniform(0, 2 * np.pi, 3)
        draw.polygon([(float(x + size * np.cos(a)), float(y + size * np.sin(a))) for a in angles], fill=colour)
    else:
        draw.ellipse((float(x - size), float(y - size), float(x + size), float(y + size)), fill=colour)

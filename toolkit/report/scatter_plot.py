"""Map of tracks as inline SVG, with a dot for each track in the colour and shape of its group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

SIDE, MARGIN = 480, 12
APART = 7.5
"""Distance of two marks that do not overlap."""
MOVED = "Marks that would overlap are moved apart."
ROUNDS = 80
"""Most rounds in which overlapping marks are moved apart."""
SHAPES = (
    "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "M-2.7-2.7h5.4v5.4h-5.4z",
    "M0-3.6L3.5 2.6H-3.5z",
    "M0-3.8L3.2 0L0 3.8L-3.2 0z",
    "M0 3.6L3.5-2.6H-3.5z",
    "M-1.2-3.5H1.2V-1.2H3.5V1.2H1.2V3.5H-1.2V1.2H-3.5V-1.2H-1.2z",
    "M-3.3-3.3H3.3L-3.3 3.3H3.3z",
    "M0-4.2L1.2-1.3L4.2-1.1L1.9.9L2.6 3.9L0 2.2L-2.6 3.9L-1.9.9L-4.2-1.1L-1.2-1.3z",
)
"""A shape for each colour, for eyes and paper that do not distinguish colours."""

SMALL = "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0"
"""The shape of tracks without a group, which are grey."""

Point = tuple[float, float, int, str]
"""x and y within −1…1, the number of its group (−1 for none), and its name."""


def scatter(points: Sequence[Point], *, label: str) -> str:
    """Return the drawing. Groups are drawn over tracks without a group, with the first group on top.

    Marks that would overlap are moved apart.
    """
    places = spread(np.array([(x, -y) for x, y, _, _ in points]).reshape(-1, 2) * (SIDE / 2 - MARGIN))
    points = [(x, y, group, name) for (x, y), (_, _, group, name) in zip(places.tolist(), points, strict=True)]
    groups = sorted({group for _, _, group, _ in points}, key=lambda group: (group >= 0, -group))
    drawn = "".join(_group(group, (point for point in points if point[2] == group)) for group in groups)
    return (
        f'<svg role="img" tabindex="0" aria-label="{escape(label)}" class="plot map" viewBox="0 0 {SIDE} {SIDE}">'
        f"{drawn}</svg>"
    )


def legend(points: Sequence[Point], groups: Sequence[str]) -> list[dict[str, object]]:
    """Return name, shape and colour of each group on the map, and of tracks without a group."""
    drawn = {group for _, _, group, _ in points}
    numbers = [number for number in range(len(groups)) if number in drawn] + ([-1] if -1 in drawn and groups else [])
    return [{"name": groups[at] if at >= 0 else "others", "shape": _shape(at), "colour": _colour(at)} for at in numbers]


def spread(places: np.ndarray) -> np.ndarray:
    """Return places [n, 2] in which no two are nearer than a mark is wide, as far as the map has room for them.

    Pairs that are too near push each other apart, by half of what is missing each, for up to `ROUNDS` rounds. Places
    far from others do not move. Equal places first get a small step in different directions.

    - places: float [n, 2] within ±(SIDE / 2 - MARGIN).
    """
    from scipy.spatial import cKDTree

    if len(places) < 2:
        return places
    room = SIDE / 2 - MARGIN
    apart = min(APART, (2 * room) * float(np.sqrt(0.6 / len(places))))
    turn = np.arange(len(places)) * (np.pi * (3 - np.sqrt(5)))  # the golden angle: no two directions are alike
    moved = places + 0.01 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for _ in range(ROUNDS):
        pairs = cKDTree(moved).query_pairs(apart, output_type="ndarray")
        if not len(pairs):
            break
        first, second = pairs.T
        step = moved[first] - moved[second]
        far = np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
        push = step / far * (apart * 1.01 - far) / 2
        np.add.at(moved, first, push)
        np.subtract.at(moved, second, push)
        moved = moved.clip(-room, room)
    return moved


def _group(group: int, points: Iterable[Point]) -> str:
    marks = "".join(
        f'<path d="{_shape(group)}" transform="translate({SIDE / 2 + x:.1f} {SIDE / 2 + y:.1f})">'
        f"<title>{escape(name)}</title></path>"
        for x, y, _, name in points
    )
    return f'<g fill="{_colour(group)}">{marks}</g>'


def _shape(group: int) -> str:
    return SHAPES[group % len(SHAPES)] if group >= 0 else SMALL


def _colour(group: int) -> str:
    return f"var(--s{group % len(SHAPES)})" if group >= 0 else "var(--muted)"

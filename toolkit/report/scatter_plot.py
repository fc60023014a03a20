"""Map of tracks as inline SVG, with a dot for each track in the colour and shape of its group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

SIDE, MARGIN = 480, 12
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
    """Return the drawing. Groups are drawn over tracks without a group, with the first group on top."""
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


def _group(group: int, points: Iterable[Point]) -> str:
    marks = "".join(
        f'<path d="{_shape(group)}" transform="translate({_place(x)} {_place(-y)})">'
        f"<title>{escape(name)}</title></path>"
        for x, y, _, name in points
    )
    return f'<g fill="{_colour(group)}">{marks}</g>'


def _place(value: float) -> str:
    return f"{SIDE / 2 + value * (SIDE / 2 - MARGIN):.1f}"


def _shape(group: int) -> str:
    return SHAPES[group % len(SHAPES)] if group >= 0 else SMALL


def _colour(group: int) -> str:
    return f"var(--s{group % len(SHAPES)})" if group >= 0 else "var(--muted)"

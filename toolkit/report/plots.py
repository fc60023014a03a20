"""Inline SVG figures with CSS variables as colours, for light mode, dark mode and print.

Matplotlib draws with placeholder colours. `_inline` replaces these colours by the page's variables, keeps text in the
page's font, and makes ids unique.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, TypeGuard

from toolkit.evaluation.early_stopping import merits
from toolkit.report.result_tables import Cell, Column, Row
from toolkit.result_types import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, ACCENT = "#010101", "#020202", "#030303", "#040404"
SERIES = tuple(f"#05050{at}" for at in range(8))
DASHES: tuple[str, ...] = ("", "6 2.5", "2 2", "8 2 2 2")
"""Dash patterns, so that lines differ without colour; as both SVG and Matplotlib read them."""

_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", ACCENT: "var(--accent)"} | {
    colour: f"var(--s{at})" for at, colour in enumerate(SERIES)
}
LABEL_LENGTH = 30


def forest(ranked: Sequence[tuple[Row, Cell]], column: Column) -> str:
    """Return a plot of values with 95 % intervals, best first. Oracles outside the axis are arrows with numbers."""
    from matplotlib.ticker import MaxNLocator

    with _figure(width=4.7, height=0.7 + 0.27 * len(ranked)) as figure:
        axes = figure.subplots()
        right = _scale(axes, ranked)
        for at, (row, cell) in enumerate(ranked):
            _dot(axes, at, row, cell, right)
        axes.set_yticks(range(len(ranked)), [_short(row.label) for row, _ in ranked])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(ranked) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(f"{column.label}, 95 % interval")
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        spoken = "; ".join(f"{row.label} {cell.text}" for row, cell in ranked)
        return _inline(figure, name=f"forest-{column.key}", label=f"{column.label} by system: {spoken}")


def _scale(axes: Axes, ranked: Sequence[tuple[Row, Cell]]) -> float:
    """Fit the axis to all systems but oracles, starting at zero if little space is lost. Returns the right end."""
    cells = [cell for row, cell in ranked if not row.oracle] or [cell for _, cell in ranked]
    low = min(value for cell in cells for value in (cell.value, cell.low) if value is not None)
    high = max(value for cell in cells for value in (cell.value, cell.high) if value is not None)
    if 0 <= low < 0.75 * high:
        low = 0.0
    pad = 0.06 * (high - low) or 0.01
    axes.set_xlim(low - pad, high + pad)
    return high + pad


def _dot(axes: Axes, at: int, row: Row, cell: Cell, right: float) -> None:
    colour = ACCENT if cell.best else MUTED if row.oracle else INK
    axes.text(
        1.02,
        at,
        cell.text,
        transform=axes.get_yaxis_transform(),
        va="center",
        color=colour,
        weight="bold" if cell.best else "normal",
    )
    if cell.value > right:
        axes.plot([right], [at], marker=">", color=colour, markersize=5, clip_on=False)
        return
    if cell.low is not None and cell.high is not None:
        axes.plot([cell.low, cell.high], [at, at], color=colour, linewidth=2, solid_capstyle="round")
    axes.plot([cell.value], [at], marker="o", color=colour, markersize=6)


def lines(curves: Mapping[str, Curve], key: str, *, label: str, select: str = "", name: str = "") -> str:
    """Return a plot of `key` over epochs, with a line for each system in the order of `curves`.

    - select: metric by which the best epoch of each line is found and marked; "" marks none.
    - name: name of the figure on the page; default: `key`.
    """
    from matplotlib.ticker import MaxNLocator

    with _figure(width=4.2, height=2.7) as figure:
        axes = figure.subplots()
        for at, points in enumerate(curves.values()):
            _line(axes, at, _finite(points, key), _best_epoch(points, select))
        axes.set_xlabel("epoch")
        axes.set_title(label, loc="left", fontsize=9, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        ends = {name: _finite(points[-1:], key) for name, points in curves.items()}
        spoken = "; ".join(f"{name} ends at {point[1]:.4g}" for name, last in ends.items() for point in last)
        return _inline(figure, name=f"lines-{name or key}", label=f"{label} by epoch: {spoken}")


def _best_epoch(points: Curve, select: str) -> float | None:
    """Return the first best epoch by `merits`, or None without values of `select`."""
    rows = [row for row in points if _number(row.get(select))]
    if not rows:
        return None
    values = merits(rows, select)
    return rows[values.index(max(values))]["epoch"]


def _line(axes: Axes, at: int, points: Sequence[tuple[float, float]], best: float | None) -> None:
    if not points:
        return
    x, y = zip(*points, strict=True)
    colour, dash = series(at)
    pattern = tuple(float(part) / 1.6 for part in dash.split())
    (line,) = axes.plot(x, y, color=SERIES[colour], linewidth=1.6, marker="o" if len(points) == 1 else None)
    if pattern:
        line.set_linestyle((0, pattern))
    for epoch, value in points:
        if epoch == best:
            axes.plot([epoch], [value], marker="o", color=SERIES[colour], markersize=6, fillstyle="none", clip_on=False)


def steps(
    lines: Mapping[str, Sequence[tuple[int, float, float | None, float | None]]],
    ticks: Sequence[str],
    *,
    name: str,
    label: str,
    axis: str,
) -> str:
    """Return a plot of values with 95 % intervals, with a line for each system and a small offset between lines.

    - lines: position, value and interval bounds of each point, by system.
    """
    with _figure(width=4.7, height=3.0) as figure:
        axes = figure.subplots()
        for at, points in enumerate(lines.values()):
            shift = 0.05 * (at - (len(lines) - 1) / 2)
            _line(axes, at, [(place + shift, value) for place, value, _, _ in points], False)
            for place, value, low, high in points:
                axes.plot([place + shift], [value], marker="o", markersize=3, color=SERIES[series(at)[0]])
                if low is not None and high is not None:
                    axes.plot([place + shift] * 2, [low, high], color=SERIES[series(at)[0]], linewidth=0.8)
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlabel(axis)
        axes.set_title(label, loc="left", fontsize=9, color=INK)
        axes.grid(axis="y")
        spoken = "; ".join(f"{each} {points[0][1]:.4g} to {points[-1][1]:.4g}" for each, points in lines.items())
        return _inline(figure, name=f"steps-{name}", label=f"{label} by {axis}, from left to right: {spoken}")


def series(at: int) -> tuple[int, str]:
    """Return colour number and dash pattern for line `at`. The first 32 lines are all different."""
    return at % len(SERIES), DASHES[(at + at // len(SERIES)) % len(DASHES)]


def _finite(points: Curve, key: str) -> list[tuple[float, float]]:
    """Return epoch and value of the points with finite values."""
    pairs = [(point["epoch"], point.get(key)) for point in points]
    return [(epoch, value) for epoch, value in pairs if _number(epoch) and _number(value)]


def _number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _short(text: str) -> str:
    return text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…"


@contextmanager
def _figure(*, width: float, height: float) -> Iterator[Figure]:
    """Return a figure of `width` x `height` inches, independent of pyplot's global state."""
    import matplotlib
    from matplotlib.figure import Figure

    settings = matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "segue",
            "text.parse_math": False,
            "font.family": "DejaVu Sans",
            "font.size": 9.0,
            "axes.edgecolor": GRID,
            "axes.labelcolor": MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
        }
    )
    with settings, warnings.catch_warnings():
        # text stays text: the browser has the glyphs that are missing in Matplotlib's own font
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        yield Figure(figsize=(width, height), layout="constrained")


def _inline(figure: Figure, *, name: str, label: str) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    body = svg[svg.index("<svg ") :].partition(">")
    drawing = re.sub(r"(?<!\s)\s*+<(metadata|style)\b.*?(?:</\1>|\Z)", "", body[2], flags=re.DOTALL)
    # within tags only: a system may well be named "#010101"
    drawing = re.sub(r"<[^<>]*+>", lambda tag: _restyle(tag[0], re.sub(r"[^\w-]", "-", name)), drawing)
    box = re.search(r'viewBox="[^"]*"', body[0])
    return (
        f'<svg role="img" aria-label="{escape(label)}" class="plot" {box[0] if box else ""} '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{drawing}'
    )


def _restyle(tag: str, name: str) -> str:
    """Return an SVG tag with the page's colours and font, and with a unique id."""
    tag = re.sub(r"#0[1-5]0[1-5]0\d", lambda colour: _VARIABLES.get(colour[0], colour[0]), tag)
    tag = re.sub(r"font: (?:(bold|\d+) )?([\d.]+)px [^;\"]*", _font, tag)
    tag = re.sub(r"font-family: [^;\"]*(; )?", "", tag)
    tag = re.sub(r'<g id="[^"]*"', "<g", tag)
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    return re.sub(r'(url\(|href=")#', rf"\1#{name}-", tag)


def _font(match: re.Match[str]) -> str:
    return f"font-size: {match[2]}px" + (f"; font-weight: {match[1]}" if match[1] else "")

"""Report page `report.html`: one self-contained file for a run, for screens of any size, dark mode and print."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, Template
from markupsafe import Markup

from toolkit import run_directory
from toolkit.errors import RunDirectoryError
from toolkit.files import write_bytes
from toolkit.packages import MATPLOTLIB, REPORT_SKLEARN, TENSORBOARD
from toolkit.report import page_sections, plots
from toolkit.report.attribution_section import attribution
from toolkit.report.factor_map_section import factor_map
from toolkit.report.result_tables import Column, Table, pivot
from toolkit.report.run_files import RunFiles
from toolkit.report.summary_text import summary
from toolkit.report.tag_section import tags
from toolkit.report.track_map_section import track_map
from toolkit.report.training_section import encodings, training
from toolkit.report.trend_plots import trends

SECTIONS = (
    ("results", "Results"),
    ("cold", "Cold and warm"),
    ("macro", "Mean over playlists"),
    ("comparisons", "Differences"),
    ("trends", "Seeds, popularity, size"),
    ("attribution", "What each modality adds"),
    ("tags", "Tags"),
    ("factors", "Predicted factors"),
    ("map", "Map"),
    ("examples", "Examples"),
    ("training", "Training"),
    ("modalities", "Modalities"),
    ("cost", "Time and memory"),
    ("setup", "What was run"),
    ("again", "Run it again"),
)
NO_CHARTS = f"charts are left out, since matplotlib is not installed: {MATPLOTLIB.install}"
PNG = b"\x89PNG\r\n\x1a\n"


def render(run_dir: Path) -> Path:
    """Write `run_dir/report.html` from the run's files and return its path.

    Sections with missing or empty files are omitted. The page loads no other files. Its only script moves the maps, and
    is allowed by its hash. All text from data is escaped.

    Raises `RunDirectoryError` if recipe or metrics are missing, or if a file is damaged.
    """
    path = Path(run_dir) / run_directory.REPORT
    write_bytes(path, html(RunFiles.read(Path(run_dir))).encode("utf-8", "backslashreplace"))
    return path


def left_out(*, by_tsne: bool) -> str:
    """Return the omissions and the cure for a run without the packages of the extra `report`.

    The result is empty if all packages are installed.
    """
    parts = {"charts": MATPLOTLIB, "curves for TensorBoard": TENSORBOARD}
    if by_tsne:
        parts["the map of tracks"] = REPORT_SKLEARN
    missing = [part for part, package in parts.items() if package.fault]
    return f"left out: {', '.join(missing)}: {MATPLOTLIB.install}" if missing else ""


def html(run: RunFiles) -> str:
    """Return the page as text."""
    return _template().render(_context(run))


@lru_cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("toolkit.report").joinpath("page.html").read_text(encoding="utf-8"))


def _context(run: RunFiles) -> dict[str, object]:
    table = pivot(run.metrics, timings=run.timings, layout=run.table)
    column = page_sections.main_column(table, run.recipe)
    drawable = not MATPLOTLIB.fault
    curves = training(run.curves, run.encoders, column.key if column else "") if drawable else []
    coverage = page_sections.coverage(run.coverage)
    pictures = [_picture(modality, data) for modality, data in run.pictures.items()]
    timings = page_sections.timings(run.timings, run.manifest)
    maps = {"factors": _drawn(factor_map(run.factor_map)), "map": _drawn(track_map(run.map))}
    macro = pivot(run.metrics, slice="macro", timings=run.timings, layout=run.table)
    slices = _slices(run, table)
    context: dict[str, object] = {
        "title": run.recipe.get("name") or run.name,
        "style": Markup(files("toolkit.report").joinpath("style.css").read_text(encoding="utf-8")),
        "summary": summary(run, table, column),
        "forest": Markup(plots.forest(table.ranked(column), column)) if column and drawable else "",
        "no_charts": "" if drawable else NO_CHARTS,
        "curves": curves,
        "coverage": coverage,
        "pictures": pictures,
        "timings": timings,
        "encodings": encodings(run.encoders),
        "examples": [{**example, "systems": list((example.get("systems") or {}).items())} for example in run.examples],
        "table": table,
        "table_note": page_sections.table_note(table),
        "slices": slices,
        "macro": macro,
        "table_captions": {
            "all": page_sections.table_caption(table, "All hidden tracks"),
            "macro": page_sections.table_caption(macro, "Mean over playlists"),
        },
        "comparisons": page_sections.comparisons(
            run.comparisons, column, oracles={row.system for row in table.rows if row.oracle}
        ),
        "comparison_note": page_sections.comparison_note(run.comparisons, run.recipe),
        "attribution": attribution(run.attribution, column),
        "trends": _trends(run, table, column) if drawable else [],
        "tags": tags(run.tags),
        **maps,
        "permission": page_sections.permission(run),
        "setup": page_sections.setup(run),
        "skipped": page_sections.skipped(run.data),
        "recipe_text": run.recipe_text,
        "commands": page_sections.commands(run),
        "version": run.manifest.get("versions", {}).get("segue"),
    }
    if any(drawn.get("figure") for drawn in maps.values()):
        script = files("toolkit.report").joinpath("map.js").read_text(encoding="utf-8")
        # the page's policy allows this script by its hash, and no other
        context["script"] = Markup(script)
        context["script_hash"] = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    present = {
        "results": table.rows,
        "cold": slices,
        "macro": macro.rows,
        "training": curves,
        "modalities": coverage or pictures,
        "cost": timings or run.encoders,
        "again": True,
    }
    return {**context, "sections": [(id, text) for id, text in SECTIONS if present.get(id, context.get(id))]}


def _slices(run: RunFiles, whole: Table) -> list[dict[str, object]]:
    """Return tables for cold and for warm hidden tracks, with captions.

    The result is empty if all hidden tracks are of one kind, whose table is the table of all tracks.
    """
    tables = {part: pivot(run.metrics, slice=part, timings=run.timings, layout=run.table) for part in ("cold", "warm")}
    found = {part: table for part, table in tables.items() if table.rows}
    if all(table.rows == whole.rows for table in found.values()):
        return []
    return [
        {"table": table, "caption": page_sections.table_caption(table, f"Hidden {part} tracks")}
        for part, table in found.items()
    ]


def _trends(run: RunFiles, table: Table, column: Column | None) -> list[dict[str, object]]:
    ranked = [row for row, _ in table.ranked(column)] if column else []
    return [_drawn(figure) for figure in trends(run.metrics, ranked, column, run.sizes)]


def _drawn(section: Mapping[str, object]) -> dict[str, object]:
    """Return a section whose figure is not escaped by Jinja."""
    return {**section, "figure": Markup(str(section["figure"]))} if section else {}


def _picture(modality: str, data: bytes) -> dict[str, str]:
    if not data.startswith(PNG):
        raise RunDirectoryError(
            f"pictures/{modality}.png is not a PNG file: delete pictures/{modality}.png, and run the recipe again"
        )
    return {
        "uri": f"data:image/png;base64,{base64.b64encode(data).decode()}",
        "alt": f"Pairs of pictures: an input of the {modality} encoder and its reconstruction",
        "caption": f"{modality}: pairs of an original, left, and what the encoder keeps of it, right",
    }

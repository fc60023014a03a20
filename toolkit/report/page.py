"""`report.html`: one self-contained page a run, for a screen of any size, a dark room and paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import run_directory
from toolkit.errors import RunDirectoryError
from toolkit.files import write_bytes
from toolkit.packages import MATPLOTLIB, REPORT_SKLEARN, TENSORBOARD
from toolkit.report import page_sections, plots
from toolkit.report.attribution_section import attribution
from toolkit.report.factor_map_section import looking
from toolkit.report.result_tables import Column, Table, pivot
from toolkit.report.run_files import RunFiles
from toolkit.report.summary_text import summary
from toolkit.report.tag_section import tags
from toolkit.report.track_map_section import track_map
from toolkit.report.trend_plots import trends

if TYPE_CHECKING:
    from jinja2 import Template

SECTIONS = (
    ("results", "Results"),
    ("cold", "Cold and warm"),
    ("macro", "Mean over playlists"),
    ("comparisons", "Differences"),
    ("trends", "Seeds, popularity, size"),
    ("attribution", "What each modality adds"),
    ("tags", "Tags"),
    ("looking", "Looking"),
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

    Sections whose files are missing or empty are left out. The page fetches
    nothing, and its one script, of the maps, is named by hash; all text from
    data is escaped.
    Raises `RunDirectoryError` where recipe or metrics are missing or a file is damaged.
    """
    path = Path(run_dir) / run_directory.REPORT
    write_bytes(path, html(RunFiles.read(Path(run_dir))).encode("utf-8"))
    return path


def left_out(*, by_tsne: bool) -> str:
    """What a run without the packages of the extra `report` leaves out, with the cure; empty where all are installed."""
    parts = {"charts": MATPLOTLIB, "curves for TensorBoard": TENSORBOARD}
    if by_tsne:
        parts["the map of tracks"] = REPORT_SKLEARN
    missing = [part for part, package in parts.items() if package.fault]
    return f"left out: {', '.join(missing)}: {MATPLOTLIB.install}" if missing else ""


def html(run: RunFiles) -> str:
    """The page as text."""
    return _template().render(_context(run))


@lru_cache
def _template() -> Template:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("toolkit.report").joinpath("page.html").read_text(encoding="utf-8"))


def _context(run: RunFiles) -> dict[str, Any]:
    from markupsafe import Markup

    table = pivot(run.metrics, timings=run.timings, layout=run.table)
    column = page_sections.main_column(table, run.recipe)
    drawable = not MATPLOTLIB.fault
    context = {
        "title": run.recipe.get("name") or run.name,
        "style": Markup(files("toolkit.report").joinpath("style.css").read_text(encoding="utf-8")),
        "summary": summary(run, table, column),
        "forest": Markup(plots.forest(table.ranked(column), column)) if column and drawable else "",
        "no_charts": "" if drawable else NO_CHARTS,
        "curves": _curves(run, column.key if column else "") if drawable else {},
        "coverage": page_sections.coverage(run.coverage),
        "pictures": [_picture(modality, data) for modality, data in run.pictures.items()],
        "timings": page_sections.timings(run.timings, run.manifest),
        "examples": [{**example, "systems": list((example.get("systems") or {}).items())} for example in run.examples],
        **_tables(run, table),
        "comparisons": page_sections.comparisons(
            run.comparisons, column, oracles={row.system for row in table.rows if row.oracle}
        ),
        "comparison_note": page_sections.comparison_note(run.comparisons, run.recipe),
        "attribution": attribution(run.attribution, column),
        "trends": _trends(run, table, column) if drawable else [],
        "tags": tags(run.tags),
        "looking": _drawn(looking(run.looking)),
        "map": _drawn(track_map(run.map)),
        "permission": page_sections.permission(run),
        "setup": page_sections.setup(run),
        "skipped": page_sections.skipped(run.data),
        "recipe_text": run.recipe_text,
        "commands": page_sections.commands(run),
        "version": _version(run.manifest),
    }
    context |= _script(context)
    return {**context, "sections": [(id, text) for id, text in SECTIONS if _present(id, context)]}


def _present(section: str, context: Mapping[str, Any]) -> bool:
    """Whether the page has this section."""
    needs: dict[str, Any] = {
        "results": context["table"].rows,
        "cold": context["slices"],
        "macro": context["macro"].rows,
        "training": context["curves"],
        "modalities": context["coverage"] or context["pictures"],
        "cost": context["timings"],
        "again": True,
    }
    return bool(needs.get(section, context.get(section)))


def _tables(run: RunFiles, table: Table) -> dict[str, Any]:
    parts = [(part, pivot(run.metrics, slice=part, timings=run.timings, layout=run.table)) for part in ("cold", "warm")]
    macro = pivot(run.metrics, slice="macro", timings=run.timings, layout=run.table)
    return {
        "table": table,
        "table_note": page_sections.table_note(table),
        "slices": [
            {"table": each, "caption": page_sections.table_caption(each, f"Hidden {part} tracks")}
            for part, each in parts
            if each.rows
        ],
        "macro": macro,
        "table_captions": {
            "all": page_sections.table_caption(table, "All hidden tracks"),
            "macro": page_sections.table_caption(macro, "Mean over playlists"),
        },
    }


def _curves(run: RunFiles, main: str) -> dict[str, Any]:
    """Loss and validation (the main metric where the curves have it) by epoch, with one legend for both figures."""
    from markupsafe import Markup

    curves = {system: points for system, points in run.curves.items() if points}
    keys = list(
        dict.fromkeys(
            key
            for points in curves.values()
            for point in points
            for key in point
            if key not in {"epoch", "loss", "seconds"}
        )
    )
    if not curves:
        return {}
    keys.sort(key=lambda key: key != main)
    figures = [Markup(plots.lines(curves, "loss", label="Training loss"))]
    if keys:
        figures.append(
            Markup(
                plots.lines(curves, keys[0], label=f"Validation {page_sections.column_of(keys[0]).label}", best=True)
            )
        )
    legend = [
        dict(zip(("colour", "dash"), plots.series(at), strict=True)) | {"name": system}
        for at, system in enumerate(curves)
    ]
    note = "Losses of different kinds are not comparable between models." + (
        " A ring marks each model's best epoch." if keys else ""
    )
    return {"figures": figures, "legend": legend, "note": note}


def _trends(run: RunFiles, table: Table, column: Column | None) -> list[dict[str, Any]]:
    from markupsafe import Markup

    ranked = [row for row, _ in table.ranked(column)] if column else []
    return [{**each, "figure": Markup(each["figure"])} for each in trends(run.metrics, ranked, column, run.sizes)]


def _drawn(found: Mapping[str, Any]) -> dict[str, Any]:
    from markupsafe import Markup

    return {**found, "figure": Markup(found["figure"])} if found else {}


def _script(context: Mapping[str, Any]) -> dict[str, Any]:
    """What moves the maps of a page that has any, and its hash: no other script may run on the page."""
    from markupsafe import Markup

    if not any(context[name].get("figure") for name in ("looking", "map")):
        return {"script": ""}
    text = files("toolkit.report").joinpath("map.js").read_text(encoding="utf-8")
    return {"script": Markup(text), "script_hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}


def _picture(modality: str, data: bytes) -> dict[str, str]:
    if not data.startswith(PNG):
        raise RunDirectoryError(f"pictures/{modality}.png is not a PNG: delete it and segue run its recipe again")
    return {
        "uri": f"data:image/png;base64,{base64.b64encode(data).decode()}",
        "alt": f"Pairs of pictures: an input of the {modality} encoder and its reconstruction",
        "caption": f"{modality}: pairs of an original, left, and what the encoder keeps of it, right",
    }


def _version(manifest: Mapping[str, Any]) -> str:
    versions = manifest.get("versions")
    return f" {versions['segue']}" if isinstance(versions, Mapping) and versions.get("segue") else ""

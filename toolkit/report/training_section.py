"""Report section on training: learning curves of systems and encoders, and the seconds of each encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from toolkit.progress import duration
from toolkit.report import plots
from toolkit.report.page_sections import column_of
from toolkit.result_types import Curve, EncoderRow

NO_METRICS = {"epoch", "loss", "seconds", "hits", "log_rank"}
"""Keys of a learning curve that select no epoch alone."""


def training(curves: Mapping[str, Curve], encoders: Sequence[EncoderRow], main: str) -> list[dict[str, object]]:
    """Return figures, legend and note of the systems' curves, then those of the encoders' curves.

    - main: the metric of the systems to show, if the curves have it.
    """
    found = []
    if systems := {system: points for system, points in curves.items() if points}:
        found.append(_of_systems(systems, main))
    if own := {row["modality"]: row["curve"] for row in encoders if row["curve"]}:
        found.append(_of_encoders(own))
    return found


def _of_systems(curves: Mapping[str, Curve], main: str) -> dict[str, object]:
    """Return figures of loss, validation metric and log rank by epoch."""
    measured = dict.fromkeys(key for points in curves.values() for point in points for key in point)
    # a ranker whose network is trained like an encoder measures parts of its loss, which are not metrics
    named = (key for key in measured if key not in NO_METRICS and "@" in key)
    keys = sorted(named, key=lambda key: key != main)
    figures = [Markup(plots.lines(curves, "loss", label="Training loss"))]
    if keys:
        label = f"Validation {column_of(keys[0]).label}"
        figures.append(Markup(plots.lines(curves, keys[0], label=label, select=keys[0])))
    if keys and "log_rank" in measured:
        figures.append(Markup(plots.lines(curves, "log_rank", label="Mean log rank, lower is better", select=keys[0])))
    note = "Losses of different kinds are not comparable between models."
    if keys:
        note += " A ring marks each model's best epoch."
    return {"figures": figures, "legend": _legend(curves), "note": note}


def _of_encoders(curves: Mapping[str, Curve]) -> dict[str, object]:
    """Return a figure of the loss of each encoder, divided by its loss in the first epoch."""
    figure = plots.lines(
        {name: _relative(points) for name, points in curves.items()},
        "loss",
        label="Training loss of encoders, divided by that of the first epoch",
        name="encoders",
    )
    return {
        "figures": [Markup(figure)],
        "legend": _legend(curves),
        "note": "Encoders have losses of different kinds and sizes, so that only the form of a line can be compared.",
    }


def _relative(points: Curve) -> Curve:
    """Return epochs and losses, divided by the absolute value of the first loss unless this is 0."""
    scale = abs(points[0].get("loss") or 0.0) or 1.0
    return [
        {"epoch": point.get("epoch"), "loss": None if (loss := point.get("loss")) is None else loss / scale}
        for point in points
    ]


def _legend(curves: Mapping[str, Curve]) -> list[dict[str, object]]:
    return [
        dict(zip(("colour", "dash"), plots.series(at), strict=True)) | {"name": name} for at, name in enumerate(curves)
    ]


def encodings(rows: Sequence[EncoderRow]) -> list[dict[str, object]]:
    """Return the line of each encoder in the table of time and memory."""
    return [
        {
            "modality": row["modality"],
            "encoder": row["encoder"],
            "fit": _seconds(row["fit_seconds"]),
            "encode": _seconds(row["encode_seconds"]),
            "peak": "–" if (peak := row["peak_mb"]) is None else f"{peak:,.0f} MB",
            "computed": "an earlier run (cache)" if row["cached"] else "this run",
            "from_cache": row["cached"],
        }
        for row in rows
    ]


def _seconds(value: float | None) -> str:
    return "not known" if value is None else "–" if value == 0 else duration(value)

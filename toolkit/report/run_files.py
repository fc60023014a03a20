"""What a run directory holds for its page; all but the recipe and the metrics may be missing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import run_directory
from toolkit.contracts.metric import stored
from toolkit.errors import RunDirectoryError
from toolkit.report.result_tables import INFO

ROW_KEYS = ("system", "modalities", "split", "slice", "metric", "k", "value", "ci_low", "ci_high", "n")

AGAIN = "delete it and segue run its recipe again"
"""A finished run is not looked at again while its files are there."""


@dataclass(frozen=True)
class RunFiles:
    """The files of a run as read; a missing one is an empty list or dictionary.

    recipe_text is shown as written, recipe is the same parsed; pictures are
    PNG bytes by modality.
    """

    name: str
    recipe_text: str
    recipe: dict[str, Any]
    metrics: list[dict[str, Any]]
    manifest: dict[str, Any]
    data: dict[str, Any]
    timings: dict[str, dict[str, Any]]
    curves: dict[str, list[dict[str, Any]]]
    coverage: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    attribution: dict[str, list[dict[str, Any]]]
    tags: list[dict[str, Any]]
    looking: dict[str, Any]
    map: dict[str, Any]
    table: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    pictures: dict[str, bytes]
    sizes: dict[str, tuple[str, int]]
    """Type and embedding size of each sequential model, by system."""
    names: tuple[str, ...] = ()
    """Of the runs that were joined; empty for one run."""
    folds: tuple[str, ...] = ()
    """Runs of a bench's folds, beside this one, that its tables were joined from: each has its own settings."""

    @classmethod
    def read(cls, run_dir: Path) -> RunFiles:
        """Read a run directory.

        Raises `RunDirectoryError` where the recipe or the metrics are missing
        or a file does not hold what its name promises.
        """
        text = _text(run_dir / "recipe.yaml")
        recipe, metrics = _yaml(run_dir / "recipe.yaml", text), _metrics(run_dir / "metrics.json")
        known = _json(run_dir / run_directory.METRIC_INFO, dict)
        table, root = _json(run_dir / "table.json", list), run_dir.resolve()
        folds = [fold for fold in run_directory.RunDirectory(root).folds() if not fold.is_relative_to(root)]
        return cls(
            name=root.name,
            recipe_text=text,
            recipe=recipe,
            metrics=_with_info(metrics, known),
            manifest=_json(run_dir / "manifest.json", dict),
            data=_json(run_dir / "data.json", dict),
            timings=_json(run_dir / "timings.json", dict),
            curves=_json(run_dir / "curves.json", dict),
            coverage=_json(run_dir / "coverage.json", list),
            comparisons=_with_info(_json(run_dir / "comparisons.json", list), known),
            attribution=_attribution(_json(run_dir / "attribution.json", dict), known),
            tags=_json(run_dir / "tags.json", list),
            looking=_json(run_dir / "looking.json", dict),
            map=_json(run_dir / "map.json", dict),
            table=table,
            examples=_json(run_dir / "examples.json", list),
            pictures={path.stem: path.read_bytes() for path in sorted((run_dir / "pictures").glob("*.png"))},
            sizes=_sizes(recipe, table or metrics),
            folds=tuple(os.path.relpath(fold, root.parent) for fold in folds),
        )


def _with_info(rows: list[dict[str, Any]], known: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows, those of a metric that is not installed with what the run stored about it."""
    infos = {name: info for name in known if (info := stored(known, name)) is not None}
    return (
        [{**row, INFO: infos[row["metric"]]} if row.get("metric") in infos else row for row in rows] if infos else rows
    )


def _attribution(found: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {**found, "differences": _with_info(found["differences"], known)} if "differences" in found else found


def _sizes(recipe: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, tuple[str, int]]:
    """A run's rows begin with its recipe's models, in the recipe's order."""
    systems, models = dict.fromkeys(row["system"] for row in rows), recipe.get("models") or []
    pairs = zip(systems, models, strict=False)
    return {
        system: (model["type"], model["hidden_size"])
        for system, model in pairs
        if {"type", "hidden_size"} <= set(model)
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunDirectoryError(
            f"{path.parent} has no {path.name}, so it is not a finished run: segue run its recipe again"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirectoryError(
            f"{path} cannot be read ({error}): {run_directory.BROUGHT_BACK if path.name == run_directory.RECIPE else AGAIN}"
        ) from None


def _yaml(path: Path, text: str) -> dict[str, Any]:
    from ruamel.yaml import YAML, YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise RunDirectoryError(
            f"{path} is not YAML ({' '.join(str(error).split())}): {run_directory.BROUGHT_BACK}"
        ) from None
    if not isinstance(found, dict):
        raise RunDirectoryError(
            f"{path} must hold keys and values, not {type(found).__name__}: {run_directory.BROUGHT_BACK}"
        )
    return found


def _json(path: Path, kind: type[dict] | type[list]) -> Any:
    """The parsed file; an empty `kind` where it is missing or empty."""
    if not path.exists():
        return kind()
    text = _text(path)
    if not text.strip():
        return kind()
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise RunDirectoryError(f"{path}:{error.lineno} is not JSON ({error.msg}): {AGAIN}") from None
    if not isinstance(found, kind):
        raise RunDirectoryError(f"{path} must hold a {kind.__name__}, not {type(found).__name__}: {AGAIN}")
    if kind is list and (wrong := [at for at, row in enumerate(found) if not isinstance(row, dict)]):
        raise RunDirectoryError(f"{path}: row {wrong[0]} is not an object of keys and values: {AGAIN}")
    return found


def _metrics(path: Path) -> list[dict[str, Any]]:
    _text(path)
    rows = _json(path, list)
    for at, row in enumerate(rows):
        missing = [key for key in ROW_KEYS if key not in row]
        if missing:
            raise RunDirectoryError(f"{path}: row {at} lacks {', '.join(missing)}: {AGAIN}")
    return rows

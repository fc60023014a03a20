"""Files of a run for its report. Only the recipe and the metrics are required."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from toolkit import run_directory
from toolkit.contracts.metric import MetricInfo, stored
from toolkit.recipe import resolved_recipes
from toolkit.recipe.stored_recipe import StoredRecipe
from toolkit.result_types import (
    Attribution,
    AttributionRow,
    ComparisonRow,
    CoverageRow,
    Curve,
    DataFacts,
    EncoderRow,
    Example,
    FactorMap,
    Manifest,
    MetricRow,
    TableRow,
    TagScores,
    Timing,
    TrackMap,
)

Row = TypeVar("Row", MetricRow, ComparisonRow, AttributionRow)

FACTOR_MAP_BEFORE = run_directory.RunFile("looking.json", FactorMap)
"""The name of `factor_map.json` in runs of earlier versions."""
FACTORS = ("map", "similar", "ends")
"""Keys of a factor map that is not empty."""


@dataclass(frozen=True)
class RunFiles:
    """Files of a run. A missing file is an empty list or dictionary.

    - recipe_text, recipe: the recipe as written, and parsed.
    - pictures: PNG bytes by modality.
    - sizes: type and embedding size of each sequential model, by system.
    - names: names of merged runs; empty for a single run.
    - folds: names of the fold runs whose tables are pooled in this run.
    """

    name: str
    recipe_text: str
    recipe: StoredRecipe
    metrics: list[MetricRow]
    manifest: Manifest
    data: DataFacts
    timings: dict[str, Timing]
    curves: dict[str, Curve]
    coverage: list[CoverageRow]
    encoders: list[EncoderRow]
    comparisons: list[ComparisonRow]
    attribution: Attribution
    tags: list[TagScores]
    factor_map: FactorMap
    map: TrackMap
    table: list[TableRow]
    examples: list[Example]
    pictures: dict[str, bytes]
    sizes: dict[str, tuple[str, int]]
    names: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()

    @classmethod
    def read(cls, run_dir: Path) -> RunFiles:
        """Read a run directory.

        Raises `RunDirectoryError` if the recipe or the metrics are missing, or if a file has the wrong content.
        """
        recipe, run = run_directory.read_recipe(run_dir), run_directory.RunDirectory(run_dir.resolve())
        metrics, table = run.read(run_directory.METRICS), run.find(run_directory.TABLE)
        known, attribution = run.find(run_directory.METRIC_INFO), run.find(run_directory.ATTRIBUTION)
        infos = {name: info for name in known if (info := stored(known, name)) is not None}
        if "differences" in attribution:
            attribution = {**attribution, "differences": _with_info(attribution["differences"], infos)}
        folds = [fold for fold in run.folds() if not fold.is_relative_to(run.root)]
        return cls(
            name=run.root.name,
            recipe_text=resolved_recipes.to_yaml(recipe).decode("utf-8"),
            recipe=recipe,
            metrics=_with_info(metrics, infos),
            manifest=run.find(run_directory.MANIFEST),
            data=run.find(run_directory.DATA),
            timings=run.find(run_directory.TIMINGS),
            curves=run.find(run_directory.CURVES),
            coverage=run.find(run_directory.COVERAGE),
            encoders=run.find(run_directory.ENCODERS),
            comparisons=_with_info(run.find(run_directory.COMPARISONS), infos),
            attribution=attribution,
            tags=run.find(run_directory.TAGS),
            factor_map=run.find(run_directory.FACTOR_MAP, keys=FACTORS) or run.find(FACTOR_MAP_BEFORE, keys=FACTORS),
            map=run.find(run_directory.MAP, keys=("vectors", "among")),
            table=table,
            examples=run.find(run_directory.EXAMPLES),
            pictures={path.stem: path.read_bytes() for path in sorted((run_dir / "pictures").glob("*.png"))},
            sizes=_sizes(recipe, [row["system"] for row in table or metrics]),
            folds=tuple(os.path.relpath(fold, run.root.parent) for fold in folds),
        )


def _with_info(rows: Sequence[Row], infos: Mapping[str, MetricInfo]) -> list[Row]:
    """Return rows, with stored facts for metrics that are not installed."""
    for row in rows:
        if row["metric"] in infos:
            row["metric_info"] = infos[row["metric"]]
    return list(rows)


def _sizes(recipe: StoredRecipe, systems: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return type and embedding size of each sequential model. Rows of a run begin with the models, in recipe order."""
    pairs = zip(dict.fromkeys(systems), recipe.get("models") or [], strict=False)
    return {
        system: (model["type"], model["hidden_size"])
        for system, model in pairs
        if "type" in model and "hidden_size" in model
    }

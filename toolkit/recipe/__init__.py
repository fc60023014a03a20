"""Recipe: a YAML file with the data, systems and settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.recipe.baseline_section import BaselineSpec, as_baseline
from toolkit.recipe.coldstart_section import ColdStart, ColdSystem, FactorMap, FactorSpec, TagPrediction, TagRow
from toolkit.recipe.data_section import ContentRule, Data, EncoderSpec, Filters, Permission, Targets
from toolkit.recipe.evaluation_section import Evaluation, MetricName
from toolkit.recipe.fusion_section import Fusion
from toolkit.recipe.model_section import ModelSpec
from toolkit.recipe.recipe import Recipe, Report
from toolkit.recipe.sweep_section import Range, Sweep

__all__ = [
    "BaselineSpec",
    "ColdStart",
    "ColdSystem",
    "ContentRule",
    "Data",
    "EncoderSpec",
    "Evaluation",
    "FactorMap",
    "FactorSpec",
    "Filters",
    "Fusion",
    "MetricName",
    "ModelSpec",
    "Permission",
    "Range",
    "Recipe",
    "Report",
    "Sweep",
    "TagPrediction",
    "TagRow",
    "Targets",
    "as_baseline",
    "load",
]


def load(path: Path, overrides: Sequence[str] = (), *, parameters: bool = False) -> Recipe:
    """Read and check a recipe, with overrides of the form `a.b.c=value`.

    - parameters: also check options and parameters against the plug-ins that read them, which imports the plug-ins.

    Raises `RecipeError` with line, key, value and rule, also for values that are never read.
    """
    from toolkit.recipe import yaml_file

    return yaml_file.read(Path(path), overrides).recipe(parameters=parameters)

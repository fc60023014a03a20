"""The stage `collect`: found by entry point, since nothing here knows a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toolkit import plugins
from toolkit.ingest.read_data import Ingested
from toolkit.progress import Reporter
from toolkit.recipe import Recipe

STAGES = "segue.stages"


def collected(recipe: Recipe, ingested: Ingested, reporter: Reporter) -> Ingested:
    """The same corpus with the library as its catalogue, filled with what the catalogue has and what was collected."""
    if recipe.collect is None or ingested.catalogue is None:
        return ingested
    reporter.stage("collect")
    stage, params = _stage(recipe.collect)
    library, blobs = stage.run(params, ingested.catalogue, reporter)
    return replace(ingested, catalogue=library, blobs=blobs)


def found(recipe: Recipe, ingested: Ingested) -> Ingested:
    """The same, as another process left it."""
    if recipe.collect is None or ingested.catalogue is None:
        return ingested
    stage, params = _stage(recipe.collect)
    library, blobs = stage.where(params)
    return replace(ingested, catalogue=library, blobs=blobs)


def fields(recipe: Recipe) -> set[str] | None:
    """Names of the fields that the section `collect` may add to the catalogue; None where only the library shows them."""
    if recipe.collect is None:
        return set()
    stage, params = _stage(recipe.collect)
    found: set[str] | None = stage.fields(params)
    return found


def stamp(recipe: Recipe) -> str:
    """Differs where the library that the recipe collects into may have changed."""
    if recipe.collect is None:
        return ""
    stage, params = _stage(recipe.collect)
    text: str = stage.stamp(params)
    return text


def _stage(given: dict[str, Any]) -> tuple[Any, Any]:
    stage = plugins.load(STAGES, "collect")
    return stage, stage.Params.model_validate(given)

"""The stage `collect`, loaded by its entry point because no module of the toolkit uses the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from toolkit import plugins
from toolkit.ingest.read_data import Ingested
from toolkit.progress import Reporter
from toolkit.recipe import Recipe

STAGES = "segue.stages"


class CollectStage(Protocol):
    """What the entry point `collect` offers. Params: the model of the recipe's section `collect`."""

    Params: type[BaseModel]

    def run(self, params: BaseModel, catalogue: Path | str, reporter: Reporter) -> tuple[Path | str, Path | None]:
        """Fill the library with the catalogue's tracks and collect.

        The library's database, and the folder of its blobs.
        """

    def where(self, params: BaseModel) -> tuple[Path | str, Path | None]:
        """The library's database, and the folder of its blobs."""

    def fields(self, params: BaseModel) -> set[str] | None:
        """Names of the fields that the library may have; None if only the library itself shows them."""

    def stamp(self, params: BaseModel) -> str:
        """A text that changes if the library's values have changed."""


def collect(recipe: Recipe, ingested: Ingested, reporter: Reporter) -> Ingested:
    """The same corpus with the library as its catalogue: what the catalogue has and what was collected."""
    if recipe.collect is None or ingested.catalogue is None:
        return ingested
    reporter.stage("collect")
    stage, params = _stage(recipe.collect)
    library, blobs = stage.run(params, ingested.catalogue, reporter)
    return replace(ingested, catalogue=library, blobs=blobs)


def filled(recipe: Recipe, ingested: Ingested) -> Ingested:
    """The same corpus with the library as another process left it."""
    if recipe.collect is None or ingested.catalogue is None:
        return ingested
    stage, params = _stage(recipe.collect)
    library, blobs = stage.where(params)
    return replace(ingested, catalogue=library, blobs=blobs)


def fields(recipe: Recipe) -> set[str] | None:
    """Names of the fields that the section `collect` may add to the catalogue; None if only the library shows them."""
    if recipe.collect is None:
        return set()
    stage, params = _stage(recipe.collect)
    return stage.fields(params)


def stamp(recipe: Recipe) -> str:
    """A text that changes if the library that the recipe collects into may have changed."""
    if recipe.collect is None:
        return ""
    stage, params = _stage(recipe.collect)
    return stage.stamp(params)


def _stage(section: Mapping[str, object]) -> tuple[CollectStage, BaseModel]:
    stage: CollectStage = plugins.load(STAGES, "collect")
    return stage, stage.Params.model_validate(section)

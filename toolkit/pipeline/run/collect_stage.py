"""Stage `collect`, loaded by its entry point because the toolkit's own modules do not use the network."""

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
    """Interface of the entry point `collect`. Params: the model for the recipe's section `collect`."""

    Params: type[BaseModel]

    def run(self, params: BaseModel, catalogue: Path | str, reporter: Reporter) -> tuple[Path | str, Path | None]:
        """Fill the library with the catalogue's tracks, and collect their data.

        The library's database, and the folder of its blobs.
        """

    def where(self, params: BaseModel) -> tuple[Path | str, Path | None]:
        """Return the database and the blob folder of the library."""

    def fields(self, params: BaseModel) -> set[str] | None:
        """Return the field names that the library may have, or None if only the library can list its fields."""

    def stamp(self, params: BaseModel) -> str:
        """Return a text that changes with the values in the library."""


def collect(recipe: Recipe, ingested: Ingested, reporter: Reporter, *, fill: bool) -> Ingested:
    """Return the corpus with the library as its catalogue, which has the catalogue's fields and the collected fields.

    - fill: whether to fill the library; otherwise the library is used as another process filled it.
    """
    if recipe.collect is None or ingested.catalogue is None:
        return ingested
    reporter.stage("collect")
    stage, params = _stage(recipe.collect)
    library, blobs = stage.run(params, ingested.catalogue, reporter) if fill else stage.where(params)
    return replace(ingested, catalogue=library, blobs=blobs)


def fields(recipe: Recipe) -> set[str] | None:
    """Return field names that the section `collect` may add, or None if only the library can list them."""
    if recipe.collect is None:
        return set()
    stage, params = _stage(recipe.collect)
    return stage.fields(params)


def stamp(recipe: Recipe) -> str:
    """Return a text that changes if the recipe's library may have changed."""
    if recipe.collect is None:
        return ""
    stage, params = _stage(recipe.collect)
    return stage.stamp(params)


def _stage(section: Mapping[str, object]) -> tuple[CollectStage, BaseModel]:
    stage: CollectStage = plugins.load(STAGES, "collect")
    return stage, stage.Params.model_validate(section)

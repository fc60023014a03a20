"""The data of a recipe, made ready for its systems: read, collected, split and encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.playlist_data import Playlists
from segue.split import Training
from toolkit.coldstart.factorisation import FactorStore
from toolkit.evaluation import leaks
from toolkit.files import digest
from toolkit.ingest import label_matrices
from toolkit.ingest import read_data as ingest
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.run import collect_stage, encode_modalities
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System, needs_catalogue
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.timestamps import to_iso


@dataclass(frozen=True)
class Prepared:
    """The data of a recipe, read and collected. stamp: as of `stamp`, taken before the data were read."""

    context: Context
    ingested: Ingested
    stamp: str

    def gather(self, systems: Sequence[System], context: Context | None = None) -> Material:
        """Split and encode what these systems are fitted to. context: of a variant of the recipe on the same data."""
        return gather(context or self.context, self.ingested, systems)


def prepare(context: Context, *, collect: bool = True) -> Prepared:
    """Read the data of the context's recipe and collect what it asks for.

    - collect: whether to fill the library; otherwise it is used as another process left it.
    """
    recipe, reporter = context.recipe, context.reporter
    before = ingest.stamp(recipe.data)
    ingested = read(recipe, context.cache, reporter)
    ingested = collect_stage.collect(recipe, ingested, reporter) if collect else collect_stage.filled(recipe, ingested)
    return Prepared(context, ingested, before + collect_stage.stamp(recipe))


def read(recipe: Recipe, cache: Path, reporter: Reporter) -> Ingested:
    """The corpus of a recipe, and its catalogue if one of its systems needs it."""
    reporter.stage("ingest")
    return ingest.ingest(recipe.data, cache, reporter=reporter, described=needs_catalogue(recipe))


def stamp(recipe: Recipe) -> str:
    """A text that changes if the files of the data, or the library they are collected into, may have changed."""
    return ingest.stamp(recipe.data) + collect_stage.stamp(recipe)


def gather(context: Context, ingested: Ingested, systems: Sequence[System]) -> Material:
    """What `systems` are fitted to: the split, and the modalities and labels that they or the report read."""
    recipe = context.recipe
    protocol, cold = recipe.evaluation.split, recipe.coldstart
    split = leaks.parts_of(protocol, ingested.corpus, ingest.texts(ingested, protocol.reads_field))
    if split.cuts:
        context.reporter.note("validation begins {}, the test {}".format(*map(to_iso, split.cuts)))
    if left_out := ", ".join(
        f"{count:,} {name.replace('_', ' ')} (such as {split.examples[name][0]})"
        for name, count in split.facts.items()
        if count and name not in ("valid_tracks", "test_tracks")
    ):
        context.reporter.note(f"{protocol.type} leaves out: {left_out}")
    data = Playlists(
        lambda _: ingested,
        permission=recipe.data.permission,
        strict=True,
        cache=context.cache,
        reporter=context.reporter,
        factors=cold.factors,
    )
    folder = context.cache / "factors"
    factors = FactorStore(split.train, data.factors, recipe.seed, context.device, folder, context.progress(""))
    train = Training(data, split.train, factors)
    names = {name for system in systems for name in system.modalities}
    names |= {row.vectors for row in cold.tags.rows} if cold.tags is not None else set()
    names |= {cold.factor_map.predicted} if cold.factor_map is not None else set()
    encoded = encode_modalities.encode_all(context, train, names)
    labels = train.labels(kind for system in systems for kind in system.labels)
    content = {
        name: encode_modalities.content_hash(modality.on(data.corpus)) for name, modality in encoded.modalities.items()
    }
    content |= {f"label:{kind}": label_matrices.content_hash(matrix) for kind, matrix in labels.items()}
    key = digest([ingested.key, recipe.evaluation.model_dump(mode="json")])
    return Material(train, split, encoded.modalities, key, content, encoded.missing, labels, coverage=encoded.coverage)

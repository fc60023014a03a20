"""Preparation of a recipe's data for its systems: reading, collecting, splitting and encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.playlist_data import Playlists
from segue.split import Training
from toolkit.coldstart.factorisation import FactorStore
from toolkit.evaluation import leaks, shared_recordings
from toolkit.files import digest
from toolkit.ingest import label_matrices, read_data
from toolkit.ingest.track_recordings import with_recordings
from toolkit.pipeline.run import collect_stage, encode_modalities
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System, needs_catalogue
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.timestamps import to_iso


@dataclass(frozen=True)
class Prepared:
    """Data of a recipe, read and collected. stamp: the result of `stamp` before the data were read."""

    context: Context
    ingested: read_data.Ingested
    stamp: str

    def gather(self, systems: Sequence[System], context: Context | None = None) -> Material:
        """Split and encode the data for these systems. context: for a variant of the recipe on the same data.

        - context: of a variant of the recipe on the same data.
        """
        context = context or self.context
        recipe = context.recipe
        protocol, cold = recipe.evaluation.split, recipe.coldstart
        split = leaks.parts_of(protocol, self.ingested.corpus, read_data.texts(self.ingested, protocol.reads_field))
        if split.cuts:
            context.reporter.note("validation begins {}, the test {}".format(*map(to_iso, split.cuts)))
        if left_out := ", ".join(
            f"{count:,} {name.replace('_', ' ')} (such as {split.examples[name][0]})"
            for name, count in split.facts.items()
            if count and name not in ("valid_tracks", "test_tracks")
        ):
            context.reporter.note(f"{protocol.type} leaves out: {left_out}")
        shared = shared_recordings.in_training(split)
        shared_recordings.report(split, shared, strict=protocol.stops_at_overlap, note=context.reporter.note)
        data = Playlists(
            lambda _: self.ingested,
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
            name: encode_modalities.content_hash(modality.on(data.corpus))
            for name, modality in encoded.modalities.items()
        }
        content |= {f"label:{kind}": label_matrices.content_hash(matrix) for kind, matrix in labels.items()}
        groups = hashlib.blake2b(self.ingested.corpus.recordings.tobytes(), digest_size=16).hexdigest()
        key = digest([self.ingested.key, recipe.evaluation.model_dump(mode="json"), groups])
        return Material(
            train,
            split,
            encoded.modalities,
            key,
            content,
            encoded.missing,
            labels,
            coverage=encoded.coverage,
            shared=shared,
        )


def prepare(context: Context, *, collect: bool = True) -> Prepared:
    """Read the data of the context's recipe, and collect the data that its section `collect` requests.

    - collect: whether to fill the library; otherwise the library is used as another process filled it.
    """
    recipe, reporter = context.recipe, context.reporter
    before = read_data.stamp(recipe.data)
    ingested = read(recipe, context.cache, reporter)
    ingested = collect_stage.collect(recipe, ingested, reporter, fill=collect)
    return Prepared(context, with_recordings(ingested), before + collect_stage.stamp(recipe))


def read(recipe: Recipe, cache: Path, reporter: Reporter) -> read_data.Ingested:
    """Return the corpus of a recipe, and its catalogue if a system requires it."""
    reporter.stage("ingest")
    return read_data.ingest(recipe.data, cache, reporter=reporter, described=needs_catalogue(recipe))


def stamp(recipe: Recipe) -> str:
    """Return a text that changes if the data files or the library may have changed."""
    return read_data.stamp(recipe.data) + collect_stage.stamp(recipe)

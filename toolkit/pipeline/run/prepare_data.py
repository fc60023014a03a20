"""Preparation of a recipe's data for its systems: reading, collecting, splitting and encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from scipy.sparse import csr_matrix

from segue.playlist_data import Playlists
from segue.split import Training
from toolkit.catalogue.named_files import NamedFiles
from toolkit.coldstart.factorisation import FactorStore
from toolkit.contracts.protocol import Protocol
from toolkit.corpus.splits import PlaylistSet, Split
from toolkit.evaluation import leaks, shared_recordings
from toolkit.evaluation.split_size import few_playlists
from toolkit.files import digest
from toolkit.ingest import label_matrices, read_data
from toolkit.ingest.track_recordings import with_recordings
from toolkit.pipeline.run import check_requirements, collect_stage, encode_modalities
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System, needs_catalogue
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.timestamps import to_iso


class DataStamp(NamedTuple):
    """Data of a finished run.

    - files, blake2b: states and hash of the data files.
    - library: text that changes if the library may have changed.
    """

    files: str
    blake2b: str
    library: str


@dataclass(frozen=True)
class Prepared:
    """Data of a recipe, read and collected. stamp: the stamp from before the data was read."""

    context: Context
    ingested: read_data.Ingested
    stamp: DataStamp

    def split(self, protocol: Protocol) -> Split:
        """Split the playlists. Raises `InputError` for an empty part, and `LeakError`."""
        return leaks.parts_of(protocol, self.ingested.corpus, read_data.texts(self.ingested, protocol.reads_field))

    def check(self, systems: Sequence[System], context: Context, protocol: Protocol, *, fold: str = "") -> None:
        """Raise `RecipeError` for a system that cannot be fitted to the split of a context's recipe.

        - protocol: the protocol that the cure may change, perhaps over all folds.
        - fold: name of the fold in the message.
        """
        split = self.split(context.recipe.evaluation.split)
        labels = _labels(self._training(context, split.train), systems)
        check_requirements.check(context, systems, split, labels, divide=self.split, protocol=protocol, fold=fold)

    def gather(
        self, systems: Sequence[System], context: Context | None = None, *, left_out: dict[str, str] | None = None
    ) -> Material:
        """Split and encode the data for these systems.

        - context: of a variant of the recipe on the same data.
        - left_out: receives the reason for each system that cannot be fitted to the split. Without it, such a system
          raises `RecipeError`.
        """
        context = context or self.context
        recipe = context.recipe
        protocol, cold = recipe.evaluation.split, recipe.coldstart
        split = self.split(protocol)
        if split.cuts:
            context.reporter.note("validation begins {}, the test {}".format(*map(to_iso, split.cuts)))
        for line in few_playlists(split, protocol):
            context.reporter.note(line)
        if excluded := ", ".join(
            f"{count:,} {name.replace('_', ' ')} (such as {split.examples[name][0]})"
            for name, count in split.facts.items()
            if count and name not in ("valid_tracks", "test_tracks")
        ):
            context.reporter.note(f"{protocol.type} leaves out: {excluded}")
        shared = shared_recordings.in_training(split)
        shared_recordings.report(split, shared, strict=protocol.stops_at_overlap, note=context.reporter.note)
        train = self._training(context, split.train)
        labels = _labels(train, systems)
        if left_out is None:
            check_requirements.check(context, systems, split, labels, divide=self.split, protocol=protocol)
        else:
            found = check_requirements.unmet_requirements(context, systems, split, labels)
            left_out.update({system.name: unmet.rule.lstrip(": ") for system, unmet in found})
            systems = [system for system in systems if system.name not in left_out]
        names = {name for system in systems for name in system.modalities}
        names |= {candidate for name in names for candidate in recipe.choices.get(name, ())}
        names |= {row.vectors for row in cold.tags.rows} if cold.tags is not None else set()
        names |= {cold.factor_map.predicted} if cold.factor_map is not None else set()
        encoded = encode_modalities.encode_all(context, train, names)
        content = {
            name: encode_modalities.content_hash(modality.on(train.data.corpus))
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
            encoders=encoded.encoders,
            shared=shared,
        )

    def _training(self, context: Context, playlists: PlaylistSet) -> Training:
        recipe, folder = context.recipe, context.cache / "factors"
        data = Playlists(
            lambda _: self.ingested,
            permission=recipe.data.permission,
            strict=True,
            cache=context.cache,
            reporter=context.reporter,
            factors=recipe.coldstart.factors,
        )
        factors = FactorStore(playlists, data.factors, recipe.seed, context.device, folder, context.progress(""))
        return Training(data, playlists, factors)


def _labels(train: Training, systems: Sequence[System]) -> dict[str, csr_matrix]:
    return train.labels(kind for system in systems for kind in system.labels)


def prepare(context: Context, *, collect: bool = True) -> Prepared:
    """Read the data of the context's recipe, and collect the data that its section `collect` requests.

    - collect: whether to fill the library; otherwise the library is used as another process filled it.
    """
    recipe, reporter = context.recipe, context.reporter
    before = read_data.stamp(recipe.data)
    ingested = read(recipe, context.cache, reporter)
    for line in ingested.label_notes:
        reporter.note(line)
    ingested = collect_stage.collect(recipe, ingested, reporter, fill=collect)
    stamp = DataStamp(before, data_hash(ingested), collect_stage.stamp(recipe))
    return Prepared(context, with_recordings(ingested), stamp)


def read(recipe: Recipe, cache: Path, reporter: Reporter) -> read_data.Ingested:
    """Return the corpus of a recipe, and its catalogue if a system requires it."""
    reporter.stage("ingest")
    return read_data.ingest(recipe.data, cache, reporter=reporter, described=needs_catalogue(recipe))


def data_hash(ingested: read_data.Ingested) -> str:
    """Return the hash of the data files, without the files that records name."""
    return ingested.content.get("data_blake2b", ingested.content["blake2b"])


def same_data(recipe: Recipe, stamp: DataStamp, named: NamedFiles, reporter: Reporter) -> bool:
    """Return whether the data files, the files that records name, and the library are those of a finished run.

    Data files with another state, such as copies, are read and compared by their content. Data that is no longer there
    counts as the same.
    """
    if collect_stage.stamp(recipe) != stamp.library:
        return False
    if recipe.data.path is None or not recipe.data.path.exists():
        return True
    if read_data.stamp(recipe.data) != stamp.files and (
        read_data.content_of(recipe.data, reporter)["blake2b"] != stamp.blake2b
    ):
        return False
    return named.changed() is None

"""Label matrices for artist, album and genre of every track, for the baselines that read labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set

import numpy as np
import scipy.sparse as sp

from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.ingest.read_data import Ingested, text_values
from toolkit.ingest.training_permission import permitted
from toolkit.progress import Reporter
from toolkit.recipe import Permission

FIELDS = {"artist": ("artist_id",), "album": ("album_id",), "genre": ("genres", "genre", "tags")}
"""Fields of the catalogue that a kind of label is read from; the first one that exists."""


def label_matrices(
    ingested: Ingested, kinds: Set[str], permission: Permission | None, reporter: Reporter
) -> dict[str, sp.csr_matrix]:
    """Return the labels of each track, float32 [V + 1, L], by kind.

    Kinds that the catalogue does not have are omitted. Kinds that require permission for training are also omitted,
    with a note. A baseline that requires a missing kind raises an error. Other baselines rank without it.
    """
    if ingested.catalogue is None or not kinds:
        return {}
    ids = ingested.corpus.tracks["id"].to_pylist()
    with ingested.open() as catalogue:
        known = {*catalogue.counts()["fields"], "artist_id", "album_id"}
        matrices = {}
        for kind in sorted(kinds):
            name = next((name for name in FIELDS[kind] if name in known), None)
            if name is None:
                continue
            try:
                permitted(catalogue, name, None, ids, permission)
            except InputError as error:
                reporter.note(f"{kind} labels are left out: {error}")
                continue
            if (matrix := _matrix(catalogue, name, ids)).nnz:
                matrices[kind] = matrix
    return matrices


def content_hash(matrix: sp.csr_matrix) -> str:
    """Return a hash of the labels of all tracks."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in (matrix.indptr, matrix.indices):
        hasher.update(np.ascontiguousarray(part, np.int64).data)
    return hasher.hexdigest()


def _matrix(catalogue: Catalogue, field: str, ids: Sequence[str]) -> sp.csr_matrix:
    present, values = text_values(catalogue, field, ids)
    split = field not in ("artist_id", "album_id")
    of_track = [sorted({label.strip() for label in text.split(",")} - {""}) if split else [text] for text in values]
    column = {name: place for place, name in enumerate(sorted({name for names in of_track for name in names}))}
    counts = np.zeros(len(ids) + 1, np.int64)
    counts[np.flatnonzero(present) + 1] = [len(names) for names in of_track]
    columns = np.array([column[name] for names in of_track for name in names], np.int64)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_matrix((np.ones(len(columns), np.float32), columns, bounds), (len(ids) + 1, len(column)))

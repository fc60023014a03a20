"""Recordings of a corpus by the names, durations and codes in its catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.corpus.recordings import CODES, recordings
from toolkit.ingest.read_data import Ingested, texts


def with_recordings(ingested: Ingested) -> Ingested:
    """Return the data with the recordings of its corpus, unless it has recordings already.

    Durations, and the fields `isrc` and `mbid`, are read from the catalogue. Without a catalogue, only names are
    compared.
    """
    corpus = ingested.corpus
    if corpus.recording is not None:
        return ingested
    if ingested.catalogue is None:
        groups = corpus.recordings
    else:
        ids = corpus.tracks["id"].to_pylist()
        with ingested.open() as catalogue:
            present, values = catalogue.field_values("duration", ids)
            known = catalogue.counts()["fields"]
        durations = np.full(len(ids), np.nan)
        durations[np.flatnonzero(present)] = np.asarray(values, np.float64)
        codes = {name: found for name in CODES if name in known and (found := texts(ingested, name)) is not None}
        titles, artists, albums = (corpus.tracks[name] for name in ("title", "artist", "album"))
        groups = recordings(corpus.tracks["id"], titles, artists, albums, durations, codes)
    return replace(ingested, corpus=replace(corpus, recording=groups))

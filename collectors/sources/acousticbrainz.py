"""Audio features by MusicBrainz id from AcousticBrainz dumps, measured from 2015 to 2022.

Page: https://acousticbrainz.org/download (JSON dumps of low-level and high-level data). Licence: CC0.
The low-level numbers are Essentia's measurements, the high-level ones the probabilities of its classifiers. Neither are
the eleven `audio_features` of other sources, so they are fields of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from pydantic import Field, model_validator

from collectors import dump_archives, file_index
from collectors.source import Absent, Answer, Found, Http, Request, SourceParams, Terms

KEYS = {
    name: n
    for n, names in enumerate(["C", "C#/Db", "D", "D#/Eb", "E", "F", "F#/Gb", "G", "G#/Ab", "A", "A#/Bb", "B"])
    for name in names.split("/")
}
MFCC = 13
LOWLEVEL = (
    *(("rhythm", name) for name in ("bpm", "danceability", "onset_rate")),
    *(("lowlevel", name) for name in ("average_loudness", "dynamic_complexity")),
    *(("tonal", name) for name in ("key_strength", "chords_changes_rate")),
)
HIGHLEVEL = (
    ("danceability", "danceable"),
    ("mood_acoustic", "acoustic"),
    ("mood_aggressive", "aggressive"),
    ("mood_electronic", "electronic"),
    ("mood_happy", "happy"),
    ("mood_party", "party"),
    ("mood_relaxed", "relaxed"),
    ("mood_sad", "sad"),
    ("timbre", "bright"),
    ("tonal_atonal", "tonal"),
    ("voice_instrumental", "instrumental"),
)
NAME = re.compile(r"(?:^|/)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-(\d+))?\.json$")

Document = Mapping[str, Mapping[str, Any]]
"""A document's JSON: parts, each with values by name."""


class AcousticBrainz(file_index.IndexedSource):
    """Audio features from the dumps of AcousticBrainz, by MusicBrainz id.

    - acoustic_lowlevel: float32 [22], `LOWLEVEL`, key 0…11 (C is 0), 1 for major, 13 mean MFCC.
    - acoustic_highlevel: [11], 0…1.

    If a recording has several submissions, the first one counts.
    """

    name = "acousticbrainz"
    page = "https://acousticbrainz.org/download"
    fields = {"acoustic_lowlevel": "track", "acoustic_highlevel": "track"}
    terms = Terms(True, "CC0-1.0", "https://acousticbrainz.org/download", attribution="AcousticBrainz")
    together = True
    needs = ("mbid",)

    class Params(SourceParams):
        """Parameters of AcousticBrainz: at least one of `lowlevel` and `highlevel`, as published (`.tar.zst`)."""

        lowlevel: Path | None = Field(None, description="the dump of low-level data, or a folder of its documents")
        highlevel: Path | None = Field(None, description="the dump of high-level data, or a folder of its documents")

        @model_validator(mode="after")
        def _require_dump(self) -> Self:
            if self.lowlevel is None and self.highlevel is None:
                raise ValueError("at least one dump is required: set `lowlevel`, `highlevel` or both")
            return self

    def _dumps(self) -> dict[str, Path]:
        dumps = {"acoustic_lowlevel": self.params.lowlevel, "acoustic_highlevel": self.params.highlevel}
        return {field: path for field, path in dumps.items() if path is not None}

    def files(self) -> list[Path]:
        return list(self._dumps().values())

    def rows(self) -> Iterator[tuple[str, bytes]]:
        for field, path in self._dumps().items():
            yield from _rows(field, path)

    def collect(self, request: Request, http: Http) -> Answer:
        vectors = {field: self.index.get(f"{field}/{request.ids['mbid']}")[:1] for field in request.fields}
        values = {field: np.frombuffer(data[0], np.float32).tolist() for field, data in vectors.items() if data}
        payload = b"".join(vector for data in vectors.values() for vector in data)
        return Found(values, payload=payload) if values else Absent()


def _rows(field: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield key and float32 bytes of all documents without missing numbers."""
    vector_of = lowlevel if field == "acoustic_lowlevel" else highlevel
    for name, content in dump_archives.documents(path):
        match = NAME.search(name)
        if match is None or match[2] not in (None, "0"):
            continue
        try:
            vector = vector_of(msgspec.json.decode(content))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            continue
        if np.isfinite(vector).all():
            yield f"{field}/{match[1]}", vector.tobytes()


def lowlevel(document: Document) -> np.ndarray:
    """Return float32 [22]. Raises `KeyError`, `TypeError` or `ValueError` for missing numbers."""
    numbers = [float(document[part][name]) for part, name in LOWLEVEL]
    mode = {"major": 1, "minor": 0}[document["tonal"]["key_scale"]]
    mean = document["lowlevel"]["mfcc"]["mean"]
    if len(mean) != MFCC:
        raise ValueError(f"the MFCC mean has {len(mean)} coefficients and must have {MFCC}")
    return np.array([*numbers, KEYS[document["tonal"]["key_key"]], mode, *mean], np.float32)


def highlevel(document: Document) -> np.ndarray:
    """Return probabilities of the classes `HIGHLEVEL`, float32 [11]. Raises like `lowlevel`."""
    return np.array([float(document["highlevel"][name]["all"][kind]) for name, kind in HIGHLEVEL], np.float32)

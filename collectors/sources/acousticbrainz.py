"""Audio features by MusicBrainz id from AcousticBrainz' dumps, which describe what its users measured from 2015 to 2022.

Page: https://acousticbrainz.org/download (JSON dumps of low-level and high-level data). Licence: CC0.
The low-level numbers are measured by Essentia, the high-level ones are the probabilities of its classifiers. Neither are the eleven
`audio_features` of other sources, so they are fields of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
from pydantic import Field, model_validator

from collectors import dump_archives, file_index
from collectors.source import Absent, Answer, Entity, Found, Http, Request, Source, SourceParams, Terms

KEYS = {
    "C": 0,
    "C#": 1,
    "Db": 1,
    "D": 2,
    "D#": 3,
    "Eb": 3,
    "E": 4,
    "F": 5,
    "F#": 6,
    "Gb": 6,
    "G": 7,
    "G#": 8,
    "Ab": 8,
    "A": 9,
}
KEYS |= {"A#": 10, "Bb": 10, "B": 11}
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
VERSION = 1


class AcousticBrainzParams(SourceParams):
    """lowlevel, highlevel: a dump as it is published (`.tar.zst` and the like), or a folder of its documents; at least one."""

    lowlevel: Path | None = Field(None, description="the dump of low-level data, or a folder of its documents")
    highlevel: Path | None = Field(None, description="the dump of high-level data, or a folder of its documents")

    @model_validator(mode="after")
    def _some(self) -> AcousticBrainzParams:
        if self.lowlevel is None and self.highlevel is None:
            raise ValueError("name a dump: lowlevel, highlevel or both")
        return self


class AcousticBrainz(Source):
    """Audio features from the dumps of AcousticBrainz, by MusicBrainz id.

    - acoustic_lowlevel: float32 [22], `LOWLEVEL`, key 0…11 (C is 0), 1 for major, 13 mean MFCC.
    - acoustic_highlevel: [11], 0…1.

    If a recording has several submissions, the first one counts.
    """

    name: ClassVar[str] = "acousticbrainz"
    page: ClassVar[str] = "https://acousticbrainz.org/download"
    fields: ClassVar[Mapping[str, Entity]] = {"acoustic_lowlevel": "track", "acoustic_highlevel": "track"}
    terms: ClassVar[Terms] = Terms(True, "CC0-1.0", "https://acousticbrainz.org/download", attribution="AcousticBrainz")
    together: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("mbid",)
    Params: ClassVar[type[SourceParams]] = AcousticBrainzParams

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        dumps = {"acoustic_lowlevel": self.params.lowlevel, "acoustic_highlevel": self.params.highlevel}
        given = {field: path for field, path in dumps.items() if path is not None}
        rows = (row for field, path in given.items() for row in _rows(field, path))
        with file_index.opened(folder, list(given.values()), rows, version=VERSION) as self.index:
            yield

    def collect(self, request: Request, http: Http) -> Answer:
        found = {field: self.index.get(f"{field}/{request.ids['mbid']}")[:1] for field in request.fields}
        values = {field: np.frombuffer(stored[0], np.float32).tolist() for field, stored in found.items() if stored}
        return (
            Found(values, payload=b"".join(each for stored in found.values() for each in stored))
            if values
            else Absent()
        )


def _rows(field: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Key and float32 bytes of every document that has all its numbers."""
    described = lowlevel if field == "acoustic_lowlevel" else highlevel
    for name, content in dump_archives.documents(path):
        found = NAME.search(name)
        if found is None or found[2] not in (None, "0"):
            continue
        try:
            vector = described(msgspec.json.decode(content))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            continue  # a submission that lacks a number describes nothing: the recording is absent
        if np.isfinite(vector).all():
            yield f"{field}/{found[1]}", vector.tobytes()


def lowlevel(document: Any) -> np.ndarray:
    """float32 [22]. Raises `KeyError`, `TypeError` or `ValueError` for a document without them."""
    numbers = [float(document[part][name]) for part, name in LOWLEVEL]
    mode = {"major": 1, "minor": 0}[document["tonal"]["key_scale"]]
    mean = document["lowlevel"]["mfcc"]["mean"]
    if len(mean) != MFCC:
        raise ValueError(f"{len(mean)} coefficients")
    return np.array([*numbers, KEYS[document["tonal"]["key_key"]], mode, *mean], np.float32)


def highlevel(document: Any) -> np.ndarray:
    """float32 [11]: the probability of each class of `HIGHLEVEL`. Raises as `lowlevel`."""
    return np.array([float(document["highlevel"][name]["all"][kind]) for name, kind in HIGHLEVEL], np.float32)

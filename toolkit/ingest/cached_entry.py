"""Cached result of reading: a corpus and, if content is read, the catalogue of its tracks.

An entry is built once in a new folder and never changed. It holds checksums of its files. An entry with a missing or
damaged file, or from a file that is no longer the same, is rebuilt with a note.
"""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec

from toolkit import interrupts
from toolkit.catalogue.named_files import NamedFiles
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.label_counts import LabelCounts
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.corpus_files import file_checksum
from toolkit.errors import DataError, InputError
from toolkit.files import write_bytes
from toolkit.progress import Reporter
from toolkit.recipe import Data

if TYPE_CHECKING:
    import numpy as np

    from toolkit.catalogue.store import Catalogue

FACTS = "ingest.json"
CORPUS = "corpus"
ARTISTS = "artists"
CATALOGUE = "catalogue"
DATABASE = "catalogue.sqlite"
BLOBS = "catalogue.blobs"
LABELS = "catalogue/labels.json"
NAMED = "named_files.json"


class Skipped(TypedDict):
    """Number of skipped invalid records, with messages about the first records."""

    count: int
    examples: list[str]


class Facts(msgspec.Struct):
    """Content of `ingest.json`.

    - checksums: CRC-32 of each file by path, apart from blobs, whose names are their hashes, and `NAMED`.
    - level: folder of the corpus.
    - blobs: CRC-32 of the names and sizes of all blobs.
    """

    skipped: Skipped
    doubles: int
    seconds: float
    level: str
    checksums: dict[str, int]
    blobs: int
    described: bool


class _Checked(msgspec.Struct):
    """Facts with their checksum."""

    facts: msgspec.Raw
    crc32: int


@dataclass(frozen=True)
class Entry:
    """Loaded entry. corpus: of tracks or artists."""

    facts: Facts
    corpus: Corpus
    labels: list[LabelCounts]
    named: NamedFiles


def load(root: Path, base: Path, reporter: Reporter, *, described: bool) -> Entry | None:
    """Return an entry, or None if it is missing. A note reports why an entry must be rebuilt.

    - base: folder of the data, to which names of files are relative.
    - described: whether the entry must have a catalogue.
    """
    if not (root / FACTS).exists():
        return None
    try:
        facts = _facts((root / FACTS).read_bytes())
        if described and not facts.described:
            return None
        for name, expected in facts.checksums.items():
            if file_checksum(root / name) != expected:
                raise DataError(f"the checksum of {root / name} does not match")
        if _listing(root / CATALOGUE / BLOBS) != facts.blobs:
            raise DataError(f"blobs in {root / CATALOGUE / BLOBS} are missing or damaged")
        named = NamedFiles.decode((root / NAMED).read_bytes(), base)
        states = dict(named.files)
        if (path := named.changed()) is not None:
            reporter.note(f"reading the data again because {path}, which the data names, changed")
            return None
        if named.files != states:
            write_bytes(root / NAMED, named.encode(base))
        labels = msgspec.json.decode((root / LABELS).read_bytes(), type=list[LabelCounts]) if facts.described else []
        return Entry(facts, Corpus.load(root / facts.level), labels, named)
    except (InputError, OSError, msgspec.MsgspecError, ValueError) as error:
        interrupts.raise_if_interrupted()
        reporter.note(f"reading the data again because its cached form is damaged: {error}")
        return None


def build(reader: Reader, data: Data, root: Path, base: Path, reporter: Reporter, *, described: bool) -> None:
    """Read all records into a new entry at `root`."""
    from toolkit.catalogue.store import Catalogue
    from toolkit.corpus.build import build as build_corpus

    started = time.perf_counter()
    named, database = reader.files, root / CATALOGUE / DATABASE
    with Catalogue.open(database) if described else contextlib.nullcontext() as catalogue:
        corpus = build_corpus(
            reader,
            catalogue,
            root / CORPUS,
            filters=data.filters,
            has_content=_content_filter(catalogue, data, reporter),
            progress=lambda records: reporter(records, 0, "records"),
        )
        if catalogue is not None:
            named.update(catalogue.files)
    level = CORPUS
    if data.level == "artist":
        level = ARTISTS
        _by_artist(corpus, database).save(root / ARTISTS)
    if described:
        write_bytes(root / LABELS, msgspec.json.encode([asdict(counts) for counts in reader.labels]))
    write_bytes(root / NAMED, named.encode(base))
    files = (f"{CATALOGUE}/{DATABASE}", LABELS) if described else ()
    facts = Facts(
        {"count": reader.skipped.count, "examples": reader.skipped.examples},
        reader.doubles.count,
        round(time.perf_counter() - started, 3),
        level,
        {name: file_checksum(root / name) for name in files},
        _listing(root / CATALOGUE / BLOBS),
        described,
    )
    raw = msgspec.json.encode(facts)
    write_bytes(root / FACTS, msgspec.json.encode(_Checked(msgspec.Raw(raw), zlib.crc32(raw))))


def _content_filter(
    catalogue: Catalogue | None, data: Data, reporter: Reporter
) -> Callable[[list[str]], np.ndarray] | None:
    """Return the function that applies the filter `require`, or None without the filter."""
    from toolkit.ingest.required_content import tracks_with

    rules = data.filters.require
    return None if catalogue is None or not rules else lambda ids: tracks_with(catalogue, rules, ids, reporter)


def _facts(data: bytes) -> Facts:
    """Return the facts. Raises `DataError` or `msgspec.MsgspecError` for damaged facts."""
    checked = msgspec.json.decode(data, type=_Checked)
    if zlib.crc32(checked.facts) != checked.crc32:
        raise DataError(f"the checksum of {FACTS} does not match")
    return msgspec.json.decode(checked.facts, type=Facts)


def _listing(blobs: Path) -> int:
    """Return the CRC-32 of the names and sizes of all blobs."""
    found = sorted((path.name, path.stat().st_size) for path in blobs.rglob("*") if path.is_file())
    return zlib.crc32(json.dumps(found).encode())


def _by_artist(corpus: Corpus, catalogue: Path) -> Corpus:
    from toolkit.catalogue.artist_catalogue import ArtistCatalogue
    from toolkit.corpus.artist_playlists import by_artist

    with ArtistCatalogue.open(catalogue) as opened:
        return by_artist(corpus, *opened.credits(corpus.tracks["id"].to_pylist()))

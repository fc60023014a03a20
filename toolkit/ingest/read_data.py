"""Reading of playlists and tracks into a corpus and a catalogue, cached for all runs with the same data and options."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec

from toolkit import interrupts, plugins
from toolkit.catalogue.readers.open_files import existing, files_below, is_file
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.label_counts import LabelCounts
from toolkit.corpus.arrays import Corpus
from toolkit.errors import InputError
from toolkit.files import digest, folder, locked, read_json, write_json
from toolkit.ingest.label_leaks import check_labels, doubtful
from toolkit.progress import Reporter
from toolkit.recipe import Data
from toolkit.source_code import package_source, source_of
from toolkit.validation import validated

if TYPE_CHECKING:
    import numpy as np

    from toolkit.catalogue.store import Catalogue

FACTS = "ingest.json"
CATALOGUE = "catalogue"
DATABASE = "catalogue.sqlite"
ARTISTS = "artists"
LABELS = "labels.json"


class Content(TypedDict):
    """Path, size in bytes and BLAKE2b hash of the files; without a path, of the data in memory."""

    path: str | None
    bytes: int
    blake2b: str


class ReadContent(Content):
    """`Content` with the name of the reader."""

    reader: str


class Skipped(TypedDict):
    """Number of skipped invalid records, with messages about the first records."""

    count: int
    examples: list[str]


@dataclass(frozen=True)
class Ingested:
    """Corpus, and the catalogue of its tracks; None if the recipe reads no content.

    - key: hash of the content and of all settings that change the result.
    - catalogue, blobs: arguments of `Catalogue.open`.
    - doubles: number of records that repeat an earlier record and were read once.
    - label_notes: warnings about columns that may label playlists; empty without a catalogue.
    """

    key: str
    corpus: Corpus
    catalogue: Path | str | None
    content: ReadContent
    skipped: Skipped
    blobs: Path | None = None
    level: str = "track"
    doubles: int = 0
    label_notes: tuple[str, ...] = ()

    def open(self) -> Catalogue:
        """Open the catalogue with the ids of the corpus (tracks or artists). `catalogue` must not be None."""
        from toolkit.catalogue.artist_catalogue import ArtistCatalogue
        from toolkit.catalogue.store import Catalogue

        assert self.catalogue is not None
        return (ArtistCatalogue if self.level == "artist" else Catalogue).open(self.catalogue, blobs=self.blobs)


def ingest(data: Data, cache: Path, *, reporter: Reporter, described: bool = True) -> Ingested:
    """Read the data, or load the cached result for identical files.

    - described: whether to fill a catalogue too. For millions of tracks the catalogue takes much longer than the
      corpus, so it is filled in the first run that requires it.

    Two runs on the same data wait for each other, and an interrupted run leaves no partial result. Results with missing
    or damaged files are rebuilt. Raises `LeakError` if a column that labels the playlist is content of its tracks.
    """
    return ingest_from(
        lambda: open_reader(data),
        data,
        lambda: content_of(data, reporter),
        cache,
        reporter=reporter,
        described=described,
    )


def ingest_from(
    make: Callable[[], Reader],
    data: Data,
    content: Callable[[], Content],
    cache: Path,
    *,
    reporter: Reporter,
    described: bool,
) -> Ingested:
    """Read data as `ingest` does, from any reader.

    - make: returns a new reader for the same content.
    - content: returns path, size and hash of that content.
    """
    reader = make()
    about: ReadContent = {"reader": reader.name, **content()}
    options, filters = reader.params.model_dump(mode="json"), data.filters.model_dump(mode="json")
    described = described or data.level == "artist"
    own = source_of("segue.readers", type(reader), reader.name)
    key = digest(
        [
            about["blake2b"],
            reader.name,
            options,
            data.on_error,
            filters,
            package_source("catalogue", "corpus", "datasets"),
            *own.values(),
        ]
    )
    root = cache / "corpora" / key
    with locked(root.with_suffix(".lock")):
        if not _complete(root, reporter):
            with folder(root) as unfinished:
                _build(reader, data, unfinished, reporter, described=described)
        database = root / CATALOGUE / DATABASE
        counted = root / CATALOGUE / LABELS
        if described and not (database.exists() and database.stat().st_size > 0 and _labels(counted) is not None):
            with folder(root / CATALOGUE) as unfinished:
                _fill_catalogue(make(), unfinished, reporter)
        if data.level == "artist" and not _loads(root / ARTISTS, reporter):
            with folder(root / ARTISTS) as unfinished:
                _by_artist(Corpus.load(root / "corpus"), database).save(unfinished)
    facts = read_json(root / FACTS)
    labels = (_labels(counted) if described else None) or []
    check_labels(labels, data.allow_label_leak)
    artists = data.level == "artist"
    corpus = Corpus.load(root / (ARTISTS if artists else "corpus"))
    return Ingested(
        digest([key, ARTISTS]) if artists else key,
        corpus.with_own_recordings() if artists else corpus,
        database if described else None,
        about,
        facts["skipped"],
        level=data.level,
        doubles=facts["doubles"],
        label_notes=doubtful(labels, data.allow_label_leak),
    )


def texts(ingested: Ingested, name: str | None) -> list[str | None] | None:
    """Return a text field, with one text for each track in the corpus, or None without a name.

    Raises `InputError` for a field with values that are not texts.
    """
    if name is None:
        return None
    with ingested.open() as catalogue:
        present, values = text_values(catalogue, name, ingested.corpus.tracks["id"].to_pylist())
    remaining = iter(values)
    return [next(remaining) if there else None for there in present.tolist()]


def text_values(
    catalogue: Catalogue, field: str, ids: Sequence[str], *, source: str | None = None
) -> tuple[np.ndarray, Sequence[str]]:
    """Return the result of `Catalogue.field_values` for a text field. Raises `InputError` for other values."""
    present, values = catalogue.field_values(field, ids, source=source)
    if values and not isinstance(values[0], str):
        raise InputError(f"field {field!r} must contain texts, not {type(values[0]).__name__}: set a text field")
    return present, values


def open_reader(data: Data) -> Reader:
    """Return the reader for a recipe's section `data`. Raises `InputError` for an unknown reader or wrong options."""
    name = data.reader
    if name == "auto":
        from toolkit.catalogue.readers.auto import detect

        name = detect(_path(data))
    cls: type[Reader] = plugins.load("segue.readers", name)
    params = validated(cls.Params, data.options, "data.options.")
    return cls(data.path or Path("."), params, on_error=data.on_error)


def content_of(data: Data, reporter: Reporter) -> Content:
    """Return path, size and hash of the data files, including files that are named in options."""
    if data.path is None:
        return {"path": None, "bytes": 0, "blake2b": digest([])}
    hasher, size = hashlib.blake2b(digest_size=16), 0
    for name, path in _files(data):
        hasher.update(f"{name}\n{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
        size += _hash_file(path, hasher, reporter, size)
    return {"path": str(data.path), "bytes": size, "blake2b": hasher.hexdigest()}


def stamp(data: Data) -> str:
    """Return a hash of names, sizes and times of the files, as a fast check for changes."""
    if data.path is None or not data.path.exists():
        return ""
    stats = [(name, path.stat()) for name, path in _files(data)]
    return digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


def _files(data: Data) -> Iterator[tuple[str, Path]]:
    path = _path(data)
    if path.is_dir():
        yield from ((str(file.relative_to(path)), file) for file in files_below(path))
    else:
        yield path.name, path
    base = path if path.is_dir() else path.parent
    for text in _texts(data.options):
        named = Path(base, text)
        if is_file(named) and not (path.is_dir() and named.is_relative_to(path)):
            yield text, named


def _texts(value: object) -> Iterator[str]:
    """Yield all strings in nested options, sorted by key. Each string may name a file next to the data."""
    if isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value:
        yield value
    elif isinstance(value, list):
        yield from (text for part in value for text in _texts(part))
    elif isinstance(value, dict):
        yield from (text for _, part in sorted(value.items(), key=lambda item: str(item[0])) for text in _texts(part))


def _path(data: Data) -> Path:
    if data.path is None:
        raise InputError("data.path is missing: set `data.path` to a file or folder")
    if not data.path.exists():
        raise InputError(f"{data.path} does not exist: correct the path")
    return existing(data.path)


def _hash_file(path: Path, hasher: hashlib.blake2b, reporter: Reporter, before: int) -> int:
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                hasher.update(chunk)
                size += len(chunk)
                reporter((before + size) >> 20, 0, "hashing the data, MB")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): check the path and its permissions"
        ) from None
    return size


def _by_artist(corpus: Corpus, catalogue: Path) -> Corpus:
    from toolkit.catalogue.artist_catalogue import ArtistCatalogue
    from toolkit.corpus.artist_playlists import by_artist

    with ArtistCatalogue.open(catalogue) as opened:
        return by_artist(corpus, *opened.credits(corpus.tracks["id"].to_pylist()))


def _complete(root: Path, reporter: Reporter) -> bool:
    """Return whether a cached corpus is complete and readable. Parts may have been deleted."""
    if not (root / FACTS).exists():
        return False
    try:
        facts = read_json(root / FACTS)
    except InputError as error:
        reporter.note(f"reading the data again: {error}")
        return False
    return isinstance(facts, dict) and facts.keys() >= {"skipped", "doubles"} and _loads(root / "corpus", reporter)


def _loads(corpus: Path, reporter: Reporter) -> bool:
    if not corpus.exists():
        return False
    try:
        Corpus.load(corpus)
    except InputError as error:
        interrupts.raise_if_interrupted()
        reporter.note(f"building it again: {error}")
        return False
    return True


def _build(reader: Reader, data: Data, root: Path, reporter: Reporter, *, described: bool) -> None:
    from toolkit.catalogue.store import Catalogue
    from toolkit.corpus.build import build

    started = time.perf_counter()
    with Catalogue.open(root / CATALOGUE / DATABASE) if described else contextlib.nullcontext() as catalogue:
        build(
            reader,
            catalogue,
            root / "corpus",
            filters=data.filters,
            progress=lambda records: reporter(records, 0, "records"),
        )
    if described:
        _write_labels(reader, root / CATALOGUE)
    skipped = {"count": reader.skipped.count, "examples": reader.skipped.examples}
    write_json(
        root / FACTS,
        {"skipped": skipped, "doubles": reader.doubles.count, "seconds": round(time.perf_counter() - started, 3)},
    )


def _fill_catalogue(reader: Reader, root: Path, reporter: Reporter) -> None:
    """Fill the catalogue for a corpus that was built without a catalogue."""
    from toolkit.catalogue.store import Catalogue

    with Catalogue.open(root / DATABASE) as catalogue:
        catalogue.add(reader.read(), lambda records: reporter(records, 0, "records of the catalogue"))
    _write_labels(reader, root)


def _labels(path: Path) -> list[LabelCounts] | None:
    """Return the stored counts, or None if the file is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[LabelCounts])
    except (OSError, msgspec.DecodeError):
        return None


def _write_labels(reader: Reader, root: Path) -> None:
    write_json(root / LABELS, [asdict(counts) for counts in reader.labels])

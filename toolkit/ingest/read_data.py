"""Reading of playlists and tracks into a corpus and a catalogue, cached for all runs with the same data and options."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from toolkit import plugins
from toolkit.catalogue.named_files import NamedFiles
from toolkit.catalogue.readers.open_files import existing, files_below, is_file
from toolkit.catalogue.readers.reader import Reader
from toolkit.corpus.arrays import Corpus
from toolkit.errors import InputError, SegueError
from toolkit.files import changed_while_read, digest, file_state, folder, hash_once, locked
from toolkit.ingest import cached_entry
from toolkit.ingest.cached_entry import Skipped
from toolkit.ingest.label_leaks import check_labels, doubtful
from toolkit.progress import Reporter
from toolkit.recipe import Data
from toolkit.source_code import package_source, source_of
from toolkit.validation import validated

if TYPE_CHECKING:
    import numpy as np

    from toolkit.catalogue.store import Catalogue


class Content(TypedDict):
    """Path, size in bytes and BLAKE2b hash of the files; without a path, of the data in memory."""

    path: str | None
    bytes: int
    blake2b: str


class ReadContent(Content):
    """`Content` with the name of the reader.

    Where records name files, such as covers, that were read, `bytes` and `blake2b` include these files.

    - data_blake2b: hash without these files.
    - named_files: number of these files.
    """

    reader: str
    data_blake2b: NotRequired[str]
    named_files: NotRequired[int]


@dataclass(frozen=True)
class Ingested:
    """Corpus, and the catalogue of its tracks; None if the recipe reads no content.

    - key: hash of the content and of all settings that change the result.
    - catalogue, blobs: arguments of `Catalogue.open`.
    - doubles: number of records that repeat an earlier record and were read once.
    - label_notes: warnings about columns that may label playlists; empty without a catalogue.
    - named: files that records name.
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
    named: NamedFiles = field(default_factory=NamedFiles)

    def open(self) -> Catalogue:
        """Open the catalogue with the ids of the corpus (tracks or artists). `catalogue` must not be None."""
        from toolkit.catalogue.artist_catalogue import ArtistCatalogue
        from toolkit.catalogue.store import Catalogue

        assert self.catalogue is not None
        return (ArtistCatalogue if self.level == "artist" else Catalogue).open(self.catalogue, blobs=self.blobs)


def ingest(data: Data, cache: Path, *, reporter: Reporter, described: bool = True) -> Ingested:
    """Read the data, or load the cached result for identical files.

    - described: whether to fill a catalogue too. For millions of tracks the catalogue takes much longer than the
      corpus, so it is filled in the first run that requires it. With `on_error: skip` the result is another one,
      because values that only a catalogue reads decide which records are bad.

    Two runs on the same data wait for each other, and an interrupted run leaves no partial result. Results with missing
    or damaged files are rebuilt, and results from files that records name, such as covers, if one of these changed.

    Raises `LeakError` if a column that labels the playlist is content of its tracks, and `DataError` if the data
    changes while it is read.
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
    reader, before = make(), content()
    options, filters = reader.params.model_dump(mode="json"), data.filters.model_dump(mode="json")
    described = described or data.level == "artist" or bool(data.filters.require)
    own = source_of("segue.readers", type(reader), reader.name)
    key = digest(
        [
            before["blake2b"],
            reader.name,
            options,
            data.on_error,
            filters,
            data.level,
            described and data.on_error == "skip",  # values that only a catalogue reads decide what is skipped
            package_source("catalogue", "corpus", "datasets"),
            *own.values(),
        ]
    )
    root, base = cache / "corpora" / key, _base(data)
    with locked(root.with_suffix(".lock")):
        entry = cached_entry.load(root, base, reporter, described=described)
        if entry is None:
            with folder(root) as unfinished:
                cached_entry.build(reader, data, unfinished, base, reporter, described=described)
                if content()["blake2b"] != before["blake2b"]:
                    shutil.rmtree(unfinished)
                    raise changed_while_read(data.path)
            entry = cached_entry.load(root, base, reporter, described=described)
            if entry is None:
                raise SegueError(f"{root} was damaged while it was written: check the disk, then run again")
    labels, named = (entry.labels, entry.named) if described else ([], NamedFiles())
    check_labels(labels, data.allow_label_leak)
    return Ingested(
        digest([key, named.content(base)]) if named else key,
        entry.corpus.with_own_recordings() if data.level == "artist" else entry.corpus,
        root / cached_entry.CATALOGUE / cached_entry.DATABASE if described else None,
        _with_named(before, reader.name, named, base),
        entry.facts.skipped,
        level=data.level,
        doubles=entry.facts.doubles,
        label_notes=doubtful(labels, data.allow_label_leak),
        named=named,
    )


def _with_named(content: Content, reader: str, named: NamedFiles, base: Path) -> ReadContent:
    """Return the content with the files that records name."""
    about: ReadContent = {
        "reader": reader,
        "path": content["path"],
        "bytes": content["bytes"],
        "blake2b": content["blake2b"],
    }
    if named:
        about["data_blake2b"], about["named_files"] = about["blake2b"], len(named)
        about["bytes"] += named.size
        about["blake2b"] = digest([about["blake2b"], named.content(base)])
    return about


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
    cls = _reader_class(data)
    params = validated(cls.Params, data.options, "data.options.")
    return cls(data.path or Path("."), params, on_error=data.on_error)


def _reader_class(data: Data) -> type[Reader]:
    name = data.reader
    if name == "auto":
        from toolkit.catalogue.readers.auto import detect

        name = detect(_path(data))
    cls: type[Reader] = plugins.load("segue.readers", name)
    return cls


def content_of(data: Data, reporter: Reporter) -> Content:
    """Return path, size and hash of the data files, including files that are named in options."""
    if data.path is None:
        return {"path": None, "bytes": 0, "blake2b": digest([])}
    files = list(_files(data))

    def compute() -> tuple[int, str]:
        hasher, size = hashlib.blake2b(digest_size=16), 0
        for name, path in files:
            hasher.update(f"{name}\n{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            size += _hash_file(path, hasher, reporter, size)
        return size, hasher.hexdigest()

    size, blake2b = hash_once([path for _, path in files], compute, [name for name, _ in files])
    return {"path": str(data.path), "bytes": size, "blake2b": blake2b}


def stamp(data: Data) -> str:
    """Return a hash of names and states of the files, as a fast check for changes."""
    if data.path is None or not data.path.exists():
        return ""
    return digest([(name, file_state(path)) for name, path in _files(data)])


def named_files(data: Data, encoded: bytes) -> NamedFiles:
    """Return the result of `encode_named`. Raises `msgspec.DecodeError` for other bytes."""
    return NamedFiles.decode(encoded, _base(data))


def encode_named(data: Data, named: NamedFiles) -> bytes:
    """Return the files that records name as bytes, with names relative to the data."""
    return named.encode(_base(data))


def _base(data: Data) -> Path:
    """Return the folder of the data, to which the paths in its cells are relative."""
    if data.path is None:
        return Path()
    return data.path if data.path.is_dir() else data.path.parent


def _files(data: Data) -> Iterator[tuple[str, Path]]:
    path = _path(data)
    if path.is_dir():
        yield from ((str(file.relative_to(path)), file) for file in files_below(path))
    else:
        yield path.name, path
    base = _base(data)
    yield from ((file.name, file) for file in _reader_class(data).beside(path) if is_file(file))
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

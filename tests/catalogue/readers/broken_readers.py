"""Readers that each break one rule of the reader contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from toolkit.catalogue.readers.open_files import opened, some
from toolkit.catalogue.readers.reader import Reader, ReaderParams
from toolkit.catalogue.readers.tables.record_blocks import Placements, Playlists, Tracks
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.errors import InputError


class Words(Reader):
    """Reader of lines with a playlist id and track ids, where a line of one word is a bad record."""

    name = "words"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.is_file() and path.name.endswith(".words")

    def read(self) -> Iterator:
        return some(self._read(), self.path)

    def _read(self) -> Iterator:
        with opened(self.path) as file:
            for number, line in enumerate(file):
                playlist, *tracks = line.decode().split()
                if tracks:
                    yield from (TrackRecord(f"local:{track}", track.upper()) for track in tracks)
                    yield PlaylistRecord(playlist, [f"local:{track}" for track in tracks])
                else:
                    self.bad(f"{self.path}, line {number + 1}", "has no track")


class Columns(Words):
    """Reader that also returns its records as columns."""

    def blocks(self) -> Iterator:
        found = list(self.read())
        tracks = [record for record in found if isinstance(record, TrackRecord)]
        none = pa.nulls(len(tracks), pa.string())
        yield Tracks(pa.array([track.id for track in tracks]), pa.array([track.title for track in tracks]), none, none)
        for record in found:
            if isinstance(record, PlaylistRecord):
                yield Playlists(pa.array([record.id]), np.array([0, len(record.tracks)]), pa.array(record.tracks))


class Listed(Words):
    def read(self) -> list:
        return list(super().read())


class Bare(Words):
    def _read(self) -> Iterator:
        yield PlaylistRecord("m", ["a"])


class Mapped(Words):
    def _read(self) -> Iterator:
        yield {"id": "m", "tracks": ["local:a"]}
        yield from super()._read()


class NoTitle(Words):
    def _read(self) -> Iterator:
        yield TrackRecord("local:x", "")
        yield from super()._read()


class Infinite(Words):
    def _read(self) -> Iterator:
        yield TrackRecord("local:x", fields={"sound": Field([float("inf")])})
        yield from super()._read()


class Twice(Words):
    def _read(self) -> Iterator:
        yield from super()._read()
        yield from super()._read()


class Counting(Words):
    counts = True


class Forgetful(Words):
    """Reader that returns its records only on the first read."""

    def _read(self) -> Iterator:
        self.seen: set[str] = getattr(self, "seen", set())
        for record in super()._read():
            if isinstance(record, PlaylistRecord) or record.id not in self.seen:
                self.seen.add(record.id)
                yield record


class OneFile(Words):
    """Reader whose iterators share one file position."""

    def read(self) -> Iterator:
        self.rest = list(super().read())
        while self.rest:
            yield self.rest.pop(0)


class Brief(Words):
    def brief(self) -> Iterator:
        return (record for record in self.read() if isinstance(record, PlaylistRecord))


class Shorter(Words):
    def brief(self) -> Iterator:
        return (record for record in self.read() if record.id != "e")


class OtherOrder(Columns):
    def blocks(self) -> Iterator:
        return reversed(list(super().blocks()))


class OtherLists(Columns):
    def blocks(self) -> Iterator:
        for block in super().blocks():
            if isinstance(block, Playlists):
                yield Placements(pa.array(["m"] * len(block)), block.track)
            else:
                yield block


class OtherNames(Columns):
    def blocks(self) -> Iterator:
        for block in super().blocks():
            yield Tracks(block.id, block.id, block.artist, block.album) if isinstance(block, Tracks) else block


class Greedy(Words):
    @classmethod
    def recognises(cls, path: Path) -> bool:
        return True


class Shy(Words):
    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False


class Raising(Words):
    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.read_text().startswith("m a")


class Trusting(Words):
    def _read(self) -> Iterator:
        if not self.path.exists():
            yield PlaylistRecord("m", ["local:a"])
        else:
            yield from super()._read()


class Crashing(Words):
    def _read(self) -> Iterator:
        self.path.read_text()
        yield from super()._read()


class Silent(Words):
    def bad(self, where: str, why: str) -> None:
        """Ignore the bad record."""


class Uncounted(Words):
    def bad(self, where: str, why: str) -> None:
        if self.on_error == "stop":
            super().bad(where, why)


class Loose(Words):
    class Params(ReaderParams):
        @model_validator(mode="before")
        @classmethod
        def _drop_unknown(cls, values: Any) -> Any:
            return {key: value for key, value in values.items() if key in cls.model_fields}

        @model_validator(mode="before")
        @classmethod
        def _refuse_unknown(cls, values: Any) -> Any:
            return values


class Hoarding(Words):
    def _read(self) -> Iterator:
        yield from list(super()._read())


class Refusing(Words):
    def check_source(self) -> None:
        raise InputError("column 'song' is missing")


class Promising(Words):
    def fields_offered(self) -> set[str]:
        return {"lyrics"}


class Needy(Words):
    requires = ("faiss",)


BROKEN = [
    (Refusing, r"check_source must not raise InputError\(\"column 'song' is missing\"\) for correct data"),
    (Promising, r"fields_offered must contain 'title', because a track has this field"),
    (Needy, r"Needy.requires=\('faiss',\) must be a tuple of toolkit.packages.Package"),
    (Listed, r"words: read returned list and must return an iterator: yield records"),
    (Bare, r"words: id 'a' must have a scheme"),
    (Mapped, r"words: read yielded {'id': 'm', .*} and must yield TrackRecord or PlaylistRecord"),
    (NoTitle, r"names \(.*\) must be non-empty strings or None"),
    (Infinite, r"field 'sound' must be a non-empty list of finite numbers"),
    (Twice, r"playlist id 'm' must be unique"),
    (Counting, r"plays must be set because counts=True"),
    (Forgetful, r"repeated readings must be identical"),
    (OneFile, r"simultaneous readings must be independent"),
    (
        Brief,
        r"brief must yield the track names of read \('local:a' is \(None, None, None\), expected \('A', None, None\)",
    ),
    (Shorter, r"brief must yield the same playlists as read"),
    (OtherOrder, r"blocks contain PlaylistRecord\(id='e'"),
    (OtherLists, r"blocks contain PlaylistRecord\(id='m', tracks=\['local:a', 'local:b', 'local:c'"),
    (OtherNames, r"blocks must contain the track names of read \('local:a' is \('local:a', None, None\)"),
    (Greedy, r"recognises must return False for notes\.txt"),
    (Shy, r"recognises returned False for lists\.words"),
    (Raising, r"recognises must not raise IsADirectoryError.* for none"),
    (Trusting, r"a missing path must raise InputError: "),
    (Crashing, r"a missing path must raise InputError, not FileNotFoundError"),
    (Silent, r"a bad record must raise DataError"),
    (Uncounted, r"must count skipped records"),
    (Loose, r"Params must reject unknown keys"),
    (Hoarding, r"500 playlists need .* bytes but 2000 need .*: read in parts"),
]

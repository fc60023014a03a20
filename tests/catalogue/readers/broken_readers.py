"""Readers that each break one promise of the contract."""

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
    """One playlist a line: its id, then its tracks. A line of one word is a bad record."""

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
    """The same in columns too."""

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
    """It knows what it has read, and reads it once."""

    def _read(self) -> Iterator:
        self.seen: set[str] = getattr(self, "seen", set())
        for record in super()._read():
            if isinstance(record, PlaylistRecord) or record.id not in self.seen:
                self.seen.add(record.id)
                yield record


class OneFile(Words):
    """All readings share one place in the file."""

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
        """Say nothing."""


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
    (Refusing, r"check_source raises InputError\(\"column 'song' is missing\"\) of data without a fault"),
    (Promising, r"fields_offered lacks 'title', which a track has"),
    (Needy, r"Needy.requires=\('faiss',\) must be a tuple of toolkit.packages.Package"),
    (Listed, r"words: read gave a list; yield records"),
    (Bare, r"words: the id 'a' has no scheme"),
    (Mapped, r"words: read gave {'id': 'm', .*}, not a track or a playlist"),
    (NoTitle, r"a name must be text, or None where there is none; not an empty text"),
    (Infinite, r"field 'sound' must be a list of finite numbers"),
    (Twice, r"two playlists have the id 'm'"),
    (Counting, r"plays are missing, and `counts` says True"),
    (Forgetful, r"a second read differs from the first"),
    (OneFile, r"two readings at once disturb each other"),
    (Brief, r"brief gives other names of tracks than read: 'local:a' is \(None, None, None\), not \('A', None, None\)"),
    (Shorter, r"brief gives other playlists than read"),
    (OtherOrder, r"blocks give PlaylistRecord\(id='e'"),
    (OtherLists, r"blocks give PlaylistRecord\(id='m', tracks=\['local:a', 'local:b', 'local:c'"),
    (OtherNames, r"blocks give other names than read: 'local:a' is \('local:a', None, None\)"),
    (Greedy, r"recognises accepts notes\.txt"),
    (Shy, r"recognises returns False for lists\.words"),
    (Raising, r"recognises raises IsADirectoryError.* for none"),
    (Trusting, r"a missing path is not reported"),
    (Crashing, r"a missing path raises FileNotFoundError"),
    (Silent, r"a bad record is not reported"),
    (Uncounted, r"leaves a bad record out without counting it"),
    (Loose, r"Params takes an unknown key"),
    (Hoarding, r"500 playlists take .* bytes, 2000 take .*; read in parts"),
]

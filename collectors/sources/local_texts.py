"""Lyrics and biographies that you have, from folders of text files or from tables.

A text file matches by its name: an id of the track or artist (`spotify_track_….txt`, with `_` for `:`, or the id
alone), `Artist - Title.txt` for lyrics, `Artist.txt` for biographies. A row of a table matches by its id, or by artist
and title.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec
from pydantic import Field, model_validator

from collectors import matching
from collectors.file_index import IndexedSource
from collectors.local_files import text_files
from collectors.source import Absent, Ambiguous, Answer, Found, Http, Request, SourceParams, Terms
from collectors.sources.matched_answer import answer_by_score
from toolkit.catalogue.readers.tables.delimited import nearest
from toolkit.catalogue.readers.tables.row_files import open_rows
from toolkit.catalogue.readers.tables.track_columns import TableFile, cell_text
from toolkit.errors import DataError, InputError
from toolkit.files import read_regular

MAX_BYTES = 10 << 20
"""Largest size of a text file. The longest lyrics and biographies have a hundredth of it."""

Entry = tuple[str | None, str | None, str]
"""Artist, title and text."""


class LocalTexts(IndexedSource):
    """Lyrics of tracks and biographies of artists from text files or tables that you have.

    `train_allowed` and `licence` are your statement about them.
    """

    name = "local-texts"
    page = "docs/sources.md"
    fields = {"lyrics": "track", "biography": "artist"}
    uses = ("spotify", "isrc", "mbid")
    terms = Terms(None, "not stated", "docs/sources.md")

    class Params(SourceParams):
        """Parameters: at least one of `lyrics` and `biographies`, each a folder of .txt files or a table.

        - key, artist, title, text: columns of the tables. A table needs `key`, or `artist` (and `title` for lyrics).
        """

        lyrics: Path | None = Field(None, description="a folder of .txt files, or a table")
        biographies: Path | None = Field(None, description="a folder of .txt files, or a table")
        key: str = Field("id", description="column of ids: the catalogue's own, or Spotify, ISRC or MusicBrainz ids")
        artist: str = "artist"
        title: str = "title"
        text: str = "text"
        train_allowed: bool | None = Field(None, description="whether the terms of the texts allow training")
        licence: str = "not stated"

        @model_validator(mode="after")
        def _require_file(self) -> Self:
            if self.lyrics is None and self.biographies is None:
                raise ValueError("at least one folder or table is required: set `lyrics`, `biographies` or both")
            return self

    def __init__(self, params: SourceParams | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(params, keys=keys)
        # the terms of these texts instead of the class's
        terms = replace(type(self).terms, train_allowed=self.params.train_allowed, licence=self.params.licence)
        self.terms = terms  # type: ignore[misc]

    def files(self) -> list[Path]:
        return [path for path in (self.params.lyrics, self.params.biographies) if path is not None]

    def version(self) -> str:
        params = self.params
        return f"1 {params.lyrics} {params.biographies} {params.key} {params.artist} {params.title} {params.text}"

    def collect(self, request: Request, http: Http) -> Answer:
        field = "biography" if request.entity == "artist" else "lyrics"
        for key in _ids_of(request):
            if found := self.index.get(f"{field}/id/{key}"):
                text = _decoded(found[0])[2]
                return Found({field: text}, payload=text)
        if not request.artists or (field == "lyrics" and not request.title):
            return Absent("no name to look up")
        rows = [_decoded(row) for row in self.index.get(_name(field, request.artists[0], request.title))]
        if field == "biography":
            return self._biography([text for _, _, text in rows])
        match = matching.nearest(request, rows, lambda row: matching.Candidate(row[1], (row[0],) if row[0] else ()))
        if match is None:
            return Absent()
        (artist, title, text), score = match
        return answer_by_score(score, {field: text}, text, note=f"found {title!r} by {artist!r}")

    def _biography(self, texts: list[str]) -> Answer:
        """Return the text of an artist found by name, unless several artists have the name."""
        if len(set(texts)) > 1:
            return Ambiguous(matching.ENOUGH - 0.1, note=f"{len(texts)} artists of this name")
        return Found({"biography": texts[0]}, payload=texts[0]) if texts else Absent()

    def rows(self) -> Iterator[tuple[str, bytes]]:
        for field, path in (("lyrics", self.params.lyrics), ("biography", self.params.biographies)):
            if path is None:
                continue
            entries = _of_folder(path, field) if path.is_dir() else self._of_table(path, field)
            for ids, (artist, title, text) in entries:
                value = msgspec.json.encode((artist, title, text))
                for identifier in ids:
                    yield f"{field}/id/{_folded(identifier)}", value
                if artist and (title or field == "biography"):
                    yield _name(field, artist, title), value

    def _of_table(self, path: Path, field: str) -> Iterator[tuple[list[str], Entry]]:
        params = self.params
        file, names = open_rows(TableFile(file=path), Path(), _stop), [params.artist]
        names += [params.title] if field == "lyrics" else []
        if file.complete and params.text not in file.header:
            raise InputError(f"{path} has no column {params.text!r} (`text`): {nearest(params.text, file.header)}")
        if file.complete and params.key not in file.header and not {*names} <= {*file.header}:
            raise InputError(
                f"{path} must have the column {params.key!r} (`key`), or {' and '.join(map(repr, names))}:"
                f" {nearest(params.key, file.header)}"
            )
        for _, row in file.rows({params.key, params.text, *names}):
            identifier, text = cell_text(row.get(params.key)), cell_text(row.get(params.text))
            title = cell_text(row.get(params.title)) if field == "lyrics" else None
            if text is not None:
                yield [identifier] if identifier else [], (cell_text(row.get(params.artist)), title, text)


def _of_folder(folder: Path, field: str) -> Iterator[tuple[list[str], Entry]]:
    """Yield the possible ids of each text file, and artist, title and text."""
    for file in text_files(folder):
        try:
            data = read_regular(file.path, MAX_BYTES)
        except OSError as error:
            raise InputError(f"{file.path} cannot be read ({error.strerror or error}): correct permissions") from None
        if len(data) > MAX_BYTES:
            raise DataError(f"{file.path} has more than {MAX_BYTES >> 20} MB: remove the file")
        try:
            text = data.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise DataError(f"{file.path} is not UTF-8: save the file as UTF-8") from None
        if text:
            artist, title = (file.artist, file.title) if field == "lyrics" else (file.path.stem, None)
            yield [file.path.stem], (artist, title, text)


def _stop(where: str, why: str) -> None:
    raise DataError(f"{where}: {why}")


def _ids_of(request: Request) -> Iterator[str]:
    """Yield the keys of all ids of a request."""
    yield _folded(request.id)
    for scheme, value in request.ids.items():
        yield from map(_folded, (f"{scheme}:{request.entity}:{value}", f"{scheme}:{value}", value))
    if ":" in request.id:
        yield _folded(request.id.rsplit(":", 1)[1])


def _folded(identifier: str) -> str:
    """Return an id as a file name may have it: some file systems allow no colon, or ignore upper and lower case."""
    return identifier.replace(":", "_").casefold()


def _name(field: str, artist: str, title: str | None) -> str:
    return f"{field}/name/{matching.normalise(artist)}/{matching.normalise(title or '') if field == 'lyrics' else ''}"


def _decoded(value: bytes) -> Entry:
    return msgspec.json.decode(value, type=Entry)

"""Biographies and tags of Million Song Dataset artists from MSD-A files.

Published with Oramas, Nieto, Sordo and Serra, "A deep multimodal approach for cold-start music recommendation", 2017.
Biographies and tags are from Last.fm. Convert the files to one of these forms:

- biographies: a table `artist id<TAB>biography`, or a folder or tar archive of `<artist id>.txt`.
- tags: a table `artist id<TAB>tag`, with an optional third column with the tag weight.
- artists: `unique_artists.txt` of the Million Song Dataset, `artist id<SEP>MusicBrainz id<SEP>track id<SEP>name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from collectors import dump_archives, file_index, matching
from collectors.source import Absent, Ambiguous, Answer, Found, Http, Request, SourceParams, Terms
from toolkit.errors import DataError

ARTIST = re.compile(r"(?:^|:)(AR[A-Z0-9]{16})$")
SEP = "<SEP>"


class MsdA(file_index.IndexedSource):
    """Biographies and tags of Million Song Dataset artists from MSD-A files.

    Artists are found by the id `msd:AR…`, or by MusicBrainz id or name if `artists` is set. A name that several
    artists share is ambiguous.
    """

    name = "msd-a"
    page = "https://arxiv.org/abs/1706.09739"
    fields = {"biography": "artist", "artist_tags": "artist"}
    together = True
    uses = ("mbid",)
    terms = Terms(
        train_allowed=None,
        licence="texts and tags by Last.fm's users; Last.fm's terms are for non-commercial use",
        page="https://arxiv.org/abs/1706.09739",
        attribution="MSD-A, Oramas et al. 2017; texts and tags from Last.fm",
    )

    class Params(SourceParams):
        """Parameters: at least one of `biographies` and `tags`, and the maximum number of tags per artist."""

        biographies: Path | None = Field(
            None, description="a table `id<TAB>text`, or a folder or tar archive of <id>.txt"
        )
        tags: Path | None = Field(None, description="a table `id<TAB>tag` or `id<TAB>tag<TAB>weight`")
        artists: Path | None = Field(
            None, description="unique_artists.txt, for catalogues whose ids are not the Million Song Dataset's"
        )
        tags_kept: int = Field(50, ge=1)

        @model_validator(mode="after")
        def _require_file(self) -> Self:
            if self.biographies is None and self.tags is None:
                raise ValueError("at least one file is required: set `biographies`, `tags` or both")
            return self

    def files(self) -> list[Path]:
        return [path for path in (self.params.biographies, self.params.tags, self.params.artists) if path is not None]

    def collect(self, request: Request, http: Http) -> Answer:
        if match := ARTIST.search(request.id):
            return self._answer(match[1], request)
        mbid = request.ids.get("mbid")
        artists = self.index.get(f"mbid/{mbid}")[:1] if mbid else []
        if not artists and request.artists:
            artists = list(dict.fromkeys(self.index.get(f"name/{matching.normalise(request.artists[0])}")))
        if len(artists) > 1:
            return Ambiguous(matching.ENOUGH - 0.1, note=f"{len(artists)} artists of this name")
        return self._answer(artists[0].decode(), request) if artists else Absent()

    def _answer(self, artist: str, request: Request) -> Answer:
        values = {}
        if "biography" in request.fields and (texts := self.index.get(f"biography/{artist}")):
            values["biography"] = texts[0].decode()
        if "artist_tags" in request.fields and (tags := self.index.get(f"tag/{artist}")):
            weighted = sorted((tag.decode().rpartition("\t") for tag in tags), key=lambda parts: -float(parts[2]))
            values["artist_tags"] = ", ".join(dict.fromkeys(name for name, _, _ in weighted[: self.params.tags_kept]))
        return Found(values, payload="\n".join(values.values())) if values else Absent()

    def rows(self) -> Iterator[tuple[str, bytes]]:
        if self.params.biographies:
            yield from _biographies(self.params.biographies)
        for at, line in dump_archives.text_lines(self.params.tags):
            parts = line.split("\t")
            weight = parts[2] if len(parts) == 3 else "1"
            if len(parts) not in (2, 3) or not re.fullmatch(r"\d+(?:\.\d+)?", weight):
                raise DataError(
                    f"{self.params.tags}:{at} is {line[:60]!r} and must be `id<TAB>tag` or `id<TAB>tag<TAB>weight`"
                )
            yield f"tag/{parts[0]}", f"{parts[1].replace(',', ' ').strip()}\t{weight}".encode()
        for at, line in dump_archives.text_lines(self.params.artists):
            parts = line.split(SEP)
            if len(parts) != 4:
                raise DataError(
                    f"{self.params.artists}:{at} is {line[:60]!r} and must be `artist<SEP>mbid<SEP>track<SEP>name`"
                )
            yield f"name/{matching.normalise(parts[3])}", parts[0].encode()
            if parts[1]:
                yield f"mbid/{parts[1]}", parts[0].encode()


def _biographies(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir() or ".tar" in path.name:
        for name, content in dump_archives.documents(path, ".txt"):
            text = content.decode("utf-8", "replace").strip()
            if text:
                yield f"biography/{Path(name).stem}", text.encode()
        return
    for at, line in dump_archives.text_lines(path):
        artist, tab, text = line.partition("\t")
        if not tab:
            raise DataError(f"{path}:{at} is {line[:60]!r} and must be `id<TAB>biography`: correct the line")
        if text.strip():
            yield f"biography/{artist}", text.strip().encode()

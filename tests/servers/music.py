"""Fictional artists, releases and recordings with fixed ids."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass, field


def mbid(*name: str) -> str:
    """Return a MusicBrainz id derived from the name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(name)))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case without accents."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.findall(r"\w+", bare.casefold())


@dataclass(frozen=True)
class Artist:
    """Artist with genres and tags as (name, votes); a genre is also a tag."""

    name: str
    mbid: str = ""
    aliases: tuple[str, ...] = ()
    disambiguation: str = ""
    genres: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.mbid or mbid("artist", self.name)


@dataclass(frozen=True)
class Release:
    title: str
    artist: Artist
    mbid: str = ""
    status: str | None = "Official"
    date: str = "2001-02-03"

    @property
    def id(self) -> str:
        return self.mbid or mbid("release", self.artist.id, self.title, self.date)

    @property
    def group(self) -> str:
        return mbid("release-group", self.artist.id, self.title)


@dataclass(frozen=True)
class Recording:
    """Recording with a length in milliseconds, or None if unknown."""

    title: str
    artists: tuple[Artist, ...]
    releases: tuple[Release, ...] = ()
    length: int | None = 200_000
    isrcs: tuple[str, ...] = ()
    mbid: str = ""
    disambiguation: str = ""
    genres: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.mbid or mbid("recording", self.artists[0].id, self.title, str(self.length))

    @property
    def credit(self) -> str:
        return " & ".join(artist.name for artist in self.artists)

"""What MusicBrainz tells of recordings, in its service and its dumps alike, and which of several recordings is the one asked for.

Page: https://musicbrainz.org/doc/MusicBrainz_API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from rapidfuzz import fuzz

from collectors import matching
from collectors.matching import Candidate, normalise
from collectors.source import Absent, Ambiguous, Answer, Found, Other, Request

MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
Mbid = Annotated[str, msgspec.Meta(pattern=f"^{MBID.pattern}$")]


class Tag(msgspec.Struct):
    """count: votes for it less votes against."""

    name: str
    count: int | None = None


class Artist(msgspec.Struct):
    id: Mbid
    name: str = ""
    tags: list[Tag] = []
    genres: list[Tag] = []


class Credit(msgspec.Struct):
    """name: as the recording credits the artist."""

    artist: Artist
    name: str = ""


class Group(msgspec.Struct):
    id: Mbid


class Release(msgspec.Struct, rename="kebab"):
    id: Mbid
    title: str = ""
    status: str | None = None
    release_group: Group | None = None


class Recording(msgspec.Struct, rename="kebab"):
    """length: in milliseconds."""

    id: Mbid
    title: str = ""
    length: float | None = None
    disambiguation: str | None = None
    artist_credit: list[Credit] = []
    releases: list[Release] = []
    isrcs: list[str] = []
    tags: list[Tag] = []
    genres: list[Tag] = []

    @property
    def duration_s(self) -> float | None:
        return self.length / 1000 if self.length else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its artists: as credited, then their own."""
        return tuple(
            dict.fromkeys(
                [credit.name for credit in self.artist_credit] + [credit.artist.name for credit in self.artist_credit]
            )
        )


class Hits(msgspec.Struct):
    recordings: list[Recording]


def held_isrc(request: Request) -> str | None:
    """The request's ISRC as MusicBrainz writes it; None where none is held, or what is held is none."""
    isrc = request.ids.get("isrc", "").replace("-", "").upper()
    return isrc if ISRC.fullmatch(isrc) else None


def chosen(request: Request, recordings: Sequence[Recording], payload: bytes, *, by_id: bool = False) -> Answer:
    """The best of the recordings. by_id: they were asked for by an id that is held; the names have only to not speak against it."""
    if not recordings:
        return Absent(payload=payload)
    scores = [matching.score(request, _candidate(recording)) for recording in recordings]
    place = max(range(len(recordings)), key=lambda place: (scores[place], *_merits(request, recordings[place]), -place))
    score, best = scores[place], recordings[place]
    values, note = {"mbid": best.id}, f"{', '.join(best.names)} - {best.title}"
    if matching.verdict(score) == "found" or (by_id and (score >= matching.ANYTHING or request.title is None)):
        return Found(values, 1.0 if by_id else score, payload, tuple(_others(request, best)))
    if by_id or matching.verdict(score) == "ambiguous":
        return Ambiguous(score, values, f"the id is of {note}" if by_id else note, payload)
    return Absent(payload=payload)


def _candidate(recording: Recording) -> Candidate:
    return Candidate(recording.title, recording.names, recording.duration_s)


def _merits(request: Request, recording: Recording) -> tuple[float, ...]:
    """What decides between recordings that fit alike: the album's name, an official release, no note such as `live`, the length."""
    length = recording.duration_s
    return (
        max((_alike(request.album, release) for release in recording.releases), default=0.0),
        any(release.status == "Official" for release in recording.releases),
        not recording.disambiguation,
        -abs(length - request.duration_s) if length and request.duration_s else -60.0,
    )


def _alike(album: str | None, release: Release) -> float:
    return fuzz.token_sort_ratio(normalise(album), normalise(release.title)) / 100 if album else 0.0


def _others(request: Request, recording: Recording) -> Iterator[Other]:
    """Ids of the artists and of the album, where their names say that they are the same."""
    for entity_id, name in zip(request.artist_ids, request.artists, strict=False):
        alike = [
            (fuzz.token_sort_ratio(normalise(name), normalise(given)) / 100, credit.artist.id)
            for credit in recording.artist_credit
            for given in (credit.name, credit.artist.name)
        ]
        if alike and max(alike)[0] >= matching.ENOUGH:
            yield Other("artist", entity_id, "mbid", max(alike)[1])
    named = [release for release in recording.releases if _alike(request.album, release) >= matching.ENOUGH]
    if request.album_id and named:
        release = max(named, key=lambda release: (release.status == "Official", _alike(request.album, release)))
        yield Other("album", request.album_id, "release_mbid", release.id)
        if release.release_group is not None:
            yield Other("album", request.album_id, "mbid", release.release_group.id)

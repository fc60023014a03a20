"""MusicBrainz recordings from the web service or a dump, and selection of the best match.

Page: https://musicbrainz.org/doc/MusicBrainz_API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from rapidfuzz import fuzz

from collectors import matching
from collectors.source import Absent, Ambiguous, Answer, Found, Other, Request

MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
MAX_RELEASES = 500
"""Releases of a recording whose names are compared; a search returns at most 100."""
Mbid = Annotated[str, msgspec.Meta(pattern=f"^{MBID.pattern}$")]


class Tag(msgspec.Struct):
    """Tag with votes for minus votes against it as `count`."""

    name: str
    count: int | None = None


class Artist(msgspec.Struct):
    id: Mbid
    name: str = ""
    tags: list[Tag] = []
    genres: list[Tag] = []


class Credit(msgspec.Struct):
    """Artist credit with the name as credited on the recording."""

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
    """Recording with a length in milliseconds."""

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
        """Return the names of the artists as credited, and their main names."""
        credited = [credit.name for credit in self.artist_credit]
        return tuple(dict.fromkeys([*credited, *(credit.artist.name for credit in self.artist_credit)]))


class Hits(msgspec.Struct):
    recordings: list[Recording]


def valid_isrc(request: Request) -> str | None:
    """Return the requested ISRC in the form of MusicBrainz, or None if missing or invalid."""
    isrc = request.ids.get("isrc", "").replace("-", "").upper()
    return isrc if ISRC.fullmatch(isrc) else None


def best_answer(request: Request, recordings: Sequence[Recording], payload: bytes, *, by_id: bool = False) -> Answer:
    """Return the answer from the best recording.

    `by_id` means that the recordings have a requested id, so a partial match of the names is sufficient.
    """
    if not recordings:
        return Absent(payload=payload)
    scored = [
        (matching.score(request, matching.Candidate(recording.title, recording.names, recording.duration_s)), recording)
        for recording in recordings[: matching.MAX_CANDIDATES]
    ]
    score, best = max(scored, key=lambda pair: (pair[0], *_merits(request, pair[1])))
    values, note = {"mbid": best.id}, f"{', '.join(best.names)} - {best.title}"
    if matching.verdict(score) == "found" or (by_id and (score >= matching.ANYTHING or request.title is None)):
        return Found(values, 1.0 if by_id else score, payload, tuple(_others(request, best)))
    if by_id or matching.verdict(score) == "ambiguous":
        return Ambiguous(score, values, f"the id is of {note}" if by_id else note, payload)
    return Absent(payload=payload)


def _merits(request: Request, recording: Recording) -> tuple[float, ...]:
    """Return tie-breakers for equal scores: album name, official release, no note such as `live`, and duration."""
    length = recording.duration_s
    return (
        max((_alike(request.album, release) for release in recording.releases[:MAX_RELEASES]), default=0.0),
        any(release.status == "Official" for release in recording.releases),
        not recording.disambiguation,
        -abs(length - request.duration_s) if length and request.duration_s else -60.0,
    )


def _alike(album: str | None, release: Release) -> float:
    return fuzz.token_sort_ratio(matching.normalise(album), matching.normalise(release.title)) / 100 if album else 0.0


def _others(request: Request, recording: Recording) -> Iterator[Other]:
    """Return artist and album ids for names that agree."""
    for entity_id, name in zip(request.artist_ids, request.artists, strict=False):
        alike = [
            (fuzz.token_sort_ratio(matching.normalise(name), matching.normalise(credited)) / 100, credit.artist.id)
            for credit in recording.artist_credit[: matching.MAX_CREDITS]
            for credited in (credit.name, credit.artist.name)
        ]
        if alike and max(alike)[0] >= matching.ENOUGH:
            yield Other("artist", entity_id, "mbid", max(alike)[1])
    same_name = [
        release for release in recording.releases[:MAX_RELEASES] if _alike(request.album, release) >= matching.ENOUGH
    ]
    if request.album_id and same_name:
        release = max(same_name, key=lambda release: (release.status == "Official", _alike(request.album, release)))
        yield Other("album", request.album_id, "release_mbid", release.id)
        if release.release_group is not None:
            yield Other("album", request.album_id, "mbid", release.release_group.id)

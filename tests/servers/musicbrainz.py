"""MusicBrainz web service (https://musicbrainz.org/doc/MusicBrainz_API) for recordings in JSON.

Lookups by id and ISRC list additional data in `inc`, but lookups by ISRC never return releases. Searches return
releases without tags. A lookup returns at most 25 releases. Requests without `fmt=json` are answered in XML, and
requests without a user agent are rejected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Server
from tests.servers.music import Artist, Recording, Release, words

HELP = "For usage, please see: https://musicbrainz.org/development/mmd"
LIMIT = {"X-RateLimit-Limit": "1200", "X-RateLimit-Remaining": "700", "X-RateLimit-Reset": "1790000000"}
MOST_RELEASES = 25
UNNAMED = (
    "Your requests are being throttled by MusicBrainz because the application you are using has not identified itself."
)


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(value, status, "application/json; charset=utf-8", headers)


def busy() -> Reply:
    """Return the reply of an overloaded service."""
    body = {"error": "The MusicBrainz web server is currently busy. Please try again later."}
    return as_json(body, 503, **{"Retry-After": "0", "X-RateLimit-Zone": "global", "X-RateLimit-Limit": "15"})


def exceeded() -> Reply:
    """Return the reply to a client over the rate limit."""
    body = {
        "error": "Your requests are exceeding the allowable rate limit. "
        "Please see http://wiki.musicbrainz.org/XMLWebService."
    }
    return as_json(body, 503, **{"Retry-After": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "22"})


class MusicBrainzServer(Server):
    """Server of recordings."""

    def __init__(self, recordings: Sequence[Recording], **options: Any) -> None:
        super().__init__(**options)
        self.index = Index(recordings)
        self.recordings = {recording.id: recording for recording in recordings}
        self.artists = {artist.id: artist for recording in recordings for artist in recording.artists}
        self.isrcs: dict[str, list[Recording]] = {}
        for recording in recordings:
            for isrc in recording.isrcs:
                self.isrcs.setdefault(isrc, []).append(recording)

    def reply(self, request: ReceivedRequest) -> Reply:
        if not request.headers.get("user-agent"):
            return as_json({"error": UNNAMED}, 403, **{"X-RateLimit-Who": "ua-missing"})
        if request.query.get("fmt") != "json":
            return Reply('<?xml version="1.0" encoding="UTF-8"?><metadata/>', 200, "application/xml; charset=utf-8")
        added = set(request.query.get("inc", "").split())
        match request.path.strip("/").split("/"):
            case ["ws", "2", "isrc", isrc]:
                return self._isrc(isrc, added)
            case ["ws", "2", "recording" | "artist" as kind, mbid]:
                return self._entity(kind, mbid, added)
            case ["ws", "2", "recording"]:
                return self._search(request.query)
        return failed(404, "Not Found")

    def _isrc(self, isrc: str, added: set[str]) -> Reply:
        if not re.fullmatch(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", isrc):
            return failed(400, "Invalid isrc.")
        if isrc not in self.isrcs:
            return failed(404, "Not Found")
        return as_json(
            {
                "isrc": isrc,
                "recordings": [looked_up(recording, added - {"releases"}) for recording in self.isrcs[isrc]],
            },
            **LIMIT,
        )

    def _entity(self, kind: str, mbid: str, added: set[str]) -> Reply:
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", mbid):
            return failed(400, "Invalid mbid.")
        if kind == "recording" and mbid in self.recordings:
            return as_json(looked_up(self.recordings[mbid], added), **LIMIT)
        if kind == "artist" and mbid in self.artists:
            return as_json(artist(self.artists[mbid], added), **LIMIT)
        return failed(404, "Not Found")

    def _search(self, query: Mapping[str, str]) -> Reply:
        limit, offset = int(query.get("limit", "25")), int(query.get("offset", "0"))
        if not query.get("query"):
            return failed(400, "Must specify a least one parameter for 'query' collections query.")
        found = self.index.search(query["query"])
        page = [hit(recording, score) for recording, score in found[offset : offset + limit]]
        body = {"created": "2026-09-06T10:57:34.794Z", "count": len(found), "offset": offset, "recordings": page}
        return as_json(body, **LIMIT | {"X-RateLimit-Limit": "360"})


def failed(status: int, error: str) -> Reply:
    return as_json({"error": error, "help": HELP}, status, **LIMIT)


class Index:
    """Index of recordings by the words in each search field."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.entries = [(recording, _indexed(recording)) for recording in recordings]
        self.places: dict[tuple[str, str], set[int]] = {}
        for place, (_, indexed) in enumerate(self.entries):
            for name, entries in indexed.items():
                for word in entries:
                    self.places.setdefault((name, word), set()).add(place)

    def search(self, query: str) -> list[tuple[Recording, int]]:
        """Return recordings with scores from 1 to 100, the share of matching words, in descending order."""
        found = re.findall(r'(\w+):(?:\(((?:\\.|[^()\\])*)\)|"((?:\\.|[^"\\])*)"|(\S+))', query)
        clauses = [(name, set(words(re.sub(r"\\(.)", r"\1", next(filter(None, texts), ""))))) for name, *texts in found]
        each = [set[int]().union(*(self.places.get((name, word), ()) for word in wanted)) for name, wanted in clauses]
        scored = []
        for place in sorted(set.intersection(*each)) if each else ():
            recording, indexed = self.entries[place]
            score = 1.0
            for name, wanted in clauses:
                score *= 2 * len(wanted & indexed[name]) / (len(wanted) + len(indexed[name]))
            scored.append((recording, score))
        best = max((score for _, score in scored), default=1.0)
        return [
            (recording, max(1, round(100 * score / best)))
            for recording, score in sorted(scored, key=lambda pair: -pair[1])
        ]


def _indexed(recording: Recording) -> dict[str, set[str]]:
    texts = {
        "recording": [recording.title],
        "artist": [recording.credit, *(alias for artist in recording.artists for alias in artist.aliases)],
        "release": [release.title for release in recording.releases],
        "isrc": list(recording.isrcs),
        "rid": [recording.id],
    }
    return {name: {word for text in values for word in words(text)} for name, values in texts.items()}


def looked_up(recording: Recording, added: set[str]) -> dict[str, Any]:
    """Return a recording as in lookup replies."""
    body: dict[str, Any] = {
        "id": recording.id,
        "title": recording.title,
        "length": recording.length,
        "video": False,
        "disambiguation": recording.disambiguation,
        "first-release-date": min((release.date for release in recording.releases), default=""),
    }
    if added & {"artists", "artist-credits"}:
        body["artist-credit"] = credit(recording.artists, added)
    if "isrcs" in added:
        body["isrcs"] = list(recording.isrcs)
    if "releases" in added:
        body["releases"] = [_release(release) for release in recording.releases[:MOST_RELEASES]]
    return body | votes(recording, added)


def hit(recording: Recording, score: int) -> dict[str, Any]:
    """Return a recording as in search replies, where an unknown length is omitted."""
    body: dict[str, Any] = {"id": recording.id, "score": score, "title": recording.title, "video": None}
    if recording.length is not None:
        body["length"] = recording.length
    body["artist-credit"] = credit(recording.artists, set())
    body["releases"] = [_release(release) for release in recording.releases]
    return body


def credit(artists: Sequence[Artist], added: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "joinphrase": " & " if place + 1 < len(artists) else "",
            "artist": artist(each, added),
        }
        for place, each in enumerate(artists)
    ]


def artist(row: Artist, added: set[str]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "sort-name": row.name, "disambiguation": row.disambiguation} | votes(
        row, added
    )


def _release(release: Release) -> dict[str, Any]:
    return {
        "id": release.id,
        "title": release.title,
        "status": release.status,
        "date": release.date,
        "release-group": {"id": release.group, "title": release.title, "primary-type": "Album"},
    }


def votes(tagged: Artist | Recording, added: set[str]) -> dict[str, Any]:
    """Return genres or tags with votes; every genre is also a tag."""
    body: dict[str, Any] = {}
    if "genres" in added:
        body["genres"] = [
            {"id": "", "name": name, "count": count, "disambiguation": ""} for name, count in tagged.genres.items()
        ]
    if "tags" in added:
        body["tags"] = [{"name": name, "count": count} for name, count in (tagged.genres | tagged.tags).items()]
    return body

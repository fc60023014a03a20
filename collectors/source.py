"""Contract for sources, which get facts about tracks, albums or artists from services or files.

A source is blocking code. The engine calls `collect` in a worker thread with an `Http` that waits for the rate limits.
The engine selects, orders and repeats requests and stores the answers. A source must not sleep, retry, cache or store.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import Field

from toolkit.catalogue.records import FieldValue
from toolkit.parameters import Parameters

if TYPE_CHECKING:
    import requests

Entity = Literal["track", "album", "artist"]
Expect = Literal["json", "text", "xml", "image", "audio"]

ID_FIELDS = ("spotify", "isrc", "mbid", "release_mbid", "wikidata")
"""Names of ids at other services. They are fields like any other: some sources give them, and `Request.ids` holds those
that are known. `mbid` is MusicBrainz's id of the entity itself: recording, release group or artist."""

QueryValue = str | int | float | None
"""A parameter of a URL; None leaves it out."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Rate limit of at most `requests` in any window of `seconds`.

    Several rates can be combined to allow bursts, for example `Rate(10, 1), Rate(100, 60)`.
    """

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Host:
    """Server that a source sends requests to.

    - url: name of the parameter in `Params` with the base URL.
    - rates: rate limits; an empty sequence means no limit.
    - concurrency: maximum number of concurrent requests over all threads of an engine.
    - requests: maximum number of requests for an answer, without faults and redirects, or a number by field.
    """

    url: str
    rates: tuple[Rate, ...] = ()
    concurrency: int = 2
    requests: int | Mapping[str, int] = 1

    def most(self, fields: Sequence[str]) -> int:
        """Return the maximum number of requests for an answer about these fields of one entity."""
        return self.requests if isinstance(self.requests, int) else max(self.requests.get(name, 0) for name in fields)


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms for the content of a source, which are stored with every field.

    - train_allowed: whether models may be trained on the content, or None if the terms do not say.
    - licence, page: name of the licence, and URL of the terms.
    - attribution: text that must appear next to the content.
    - storage_bytes, storage_days: how much content may be stored and for how long, or None for no limit.
    """

    train_allowed: bool | None
    licence: str
    page: str
    attribution: str = ""
    storage_bytes: int | None = None
    storage_days: float | None = None


class SourceParams(Parameters):
    """Parameters of a source in a recipe, extended by each source with base URLs or paths."""

    per_second: float | None = Field(
        None,
        gt=0,
        description="requests a second instead of the source's own limits: slower, or for a server of your own",
    )


@dataclass(frozen=True, slots=True)
class Request:
    """Request for fields of one track, album or artist.

    - id: id in the catalogue.
    - fields: requested fields, which the source must have.
    - ids: known ids by name in `ID_FIELDS`, without scheme (`4iV5W9uYEdYUVa79Axb7Rh`, not `spotify:track:…`).
    - title: title of the track or album, or None for an artist.
    - artists: artist names, with the main artist first.
    - album, duration_s: album title and duration of a track.
    - titles: some track titles of an album or artist, to distinguish artists with the same name.
    - album_id, artist_ids: catalogue ids of the album and the artists, for `Found.others`.
    """

    entity: Entity
    id: str
    fields: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    artists: tuple[str, ...] = ()
    album: str | None = None
    duration_s: float | None = None
    titles: tuple[str, ...] = ()
    album_id: str | None = None
    artist_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Other:
    """Value of another entity in the answer, such as the MusicBrainz id of the artist of a recording."""

    entity: Entity
    id: str
    field: str
    value: FieldValue


@dataclass(frozen=True, slots=True)
class Found:
    """Answer with values, in which a requested field without a value is absent.

    - score: 1 for a lookup by id, otherwise the score of `collectors.matching` from 0 to 1.
    - payload: raw answer, of which the hash is stored.
    - others: values of other entities.
    """

    values: Mapping[str, FieldValue]
    score: float = 1.0
    payload: bytes | str = b""
    others: tuple[Other, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """Answer without values, which is final; `note` is the reason, such as `instrumental`."""

    note: str = ""
    payload: bytes | str = b""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Answer with values that may belong to another entity.

    The values are stored separately from fields, with the score.
    """

    score: float
    values: Mapping[str, FieldValue] = field(default_factory=dict)
    note: str = ""
    payload: bytes | str = b""


Answer = Found | Absent | Ambiguous


class Trouble(Exception):
    """Failed request, whose message is stored in the ledger without keys; `status` is the HTTP status, if any.

    Raise a subclass if a retry may help. After a plain `Trouble` the entity has failed.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Transient(Trouble):
    """Temporary failure, such as a timeout or status 5xx, after which the engine retries with back-off."""


class Blocked(Trouble):
    """Denied request, such as a captcha or status 403, of which twenty in a row stop the source.

    `for_good` means that all requests will be denied, for example without access to the endpoint. The source stops for
    these fields immediately, and the message must name an alternative.
    """

    def __init__(self, message: str, *, status: int | None = None, for_good: bool = False) -> None:
        super().__init__(message, status=status)
        self.for_good = for_good


class RateLimited(Trouble):
    """Failure after too many requests; `retry_after` is the wait in seconds, or None if unknown."""

    def __init__(self, message: str, *, status: int | None = 429, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Reply:
    """Complete reply with status 2xx, 404 or 410, after redirects."""

    status: int
    content: bytes
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the body decoded as UTF-8, with invalid bytes replaced."""
        return self.content.decode("utf-8-sig", "replace")

    def json(self) -> Any:
        """Return the decoded JSON body. Raises `Transient` for invalid JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            url = urlsplit(self.url)  # the query may hold keys
            raise Transient(f"{url.hostname}{url.path} returned invalid JSON", status=self.status) from None


class Http(Protocol):
    """HTTP client of a source, which applies rate and size limits and raises troubles.

    - `RateLimited`: 429, and 503 with `Retry-After`.
    - `Blocked`: 401, 403, 451, and a web page instead of data.
    - `Transient`: other 4xx and all 5xx, timeouts, resets, truncated bodies.

    Replies with status 404 and 410 are returned.
    """

    def get(
        self,
        url: str,
        params: Mapping[str, QueryValue] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> Reply: ...

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> Reply: ...

    def slot(self, url: str) -> AbstractContextManager[None]:
        """Return a context for a request by a client library, which waits for rate and concurrency limits."""

    def session(self) -> requests.Session:
        """Return a session for client libraries such as spotipy, which sends through this client."""


class Source(ABC):
    """Base class of sources, which are registered in the entry-point group `segue.collectors`.

    - name: name in recipes and in the catalogue.
    - page: URL of the API documentation.
    - fields: available fields with the kind of entity. An entity is requested once, so an artist biography
      is not requested for every track.
    - by_choice: fields that are collected only if the recipe lists them.
    - terms: terms of the owner.
    - together: whether one answer has all fields of an entity. Otherwise each field is requested separately.
    - hosts: servers that requests are sent to, or none for local files.
    - keys, optional_keys: names of environment variables.
    - needs: names in `ID_FIELDS`, of which at least one id is required.
    - uses: names of optional ids. The source waits for sources in the same run that provide these ids.
    """

    name: ClassVar[str]
    page: ClassVar[str]
    fields: ClassVar[Mapping[str, Entity]]
    terms: ClassVar[Terms]
    by_choice: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[bool] = False
    hosts: ClassVar[tuple[Host, ...]] = ()
    keys: ClassVar[tuple[str, ...]] = ()
    optional_keys: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    Params: ClassVar[type[SourceParams]] = SourceParams

    def __init__(self, params: SourceParams | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        """Store validated parameters and keys by name; keys must not be copied."""
        self.params: Any = params if params is not None else self.Params()
        self.secrets = dict(keys or {})

    @classmethod
    def lanes(cls, fields: Sequence[str]) -> list[tuple[Entity, tuple[str, ...]]]:
        """Return (kind of entity, fields) pairs, one for each group of fields in one answer."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in fields:
            entity = cls.fields[name]
            groups.setdefault((entity,) if cls.together else (entity, name), []).append(name)
        return [(cls.fields[names[0]], tuple(names)) for names in groups.values()]

    def state(self) -> str:
        """Return a text that changes with the files that the source reads; empty for services.

        After a change, entities without a value are looked up again.
        """
        return ""

    def remark(self, absent: Request) -> str:
        """Return a hint for the user if the source has values for few entities, or an empty text.

        - absent: request without a value.
        """
        return ""

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """Return a context around the requests of a run.

        `folder` is kept between runs, for example for an index of a large file.
        """
        yield

    @abstractmethod
    def collect(self, request: Request, http: Http) -> Answer:
        """Return an answer about `request.fields` of one entity. The method must be thread-safe.

        Raises `Blocked`, `RateLimited` or `Transient`, and `toolkit.errors.InputError` if the source cannot be used
        at all, for example with a wrong key. Any other exception is a bug in the source and stops it.
        """

"""The contract of sources: classes that get facts about tracks, albums or artists from a service or from files.

A source is blocking code. The engine calls `collect` in a worker thread with an `Http` that waits for the host's rate,
and does everything else: it decides what is requested, in which order, and when again, and stores the answers.
A source does not sleep, retry, cache or store.
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
    """At most `requests` in any window of `seconds`.

    Several rates hold at once: `Rate(10, 1), Rate(100, 60)` is a burst.
    """

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Host:
    """A server that the source sends requests to.

    - url: the parameter of `Params` that holds its base URL.
    - rates: none for no limit.
    - concurrency: requests under way at once, over all threads of one engine.
    - requests: at most for one answer, without faults and redirects; or a number for each field that needs any.
    """

    url: str
    rates: tuple[Rate, ...] = ()
    concurrency: int = 2
    requests: int | Mapping[str, int] = 1

    def most(self, fields: Sequence[str]) -> int:
        """The largest number of requests for an answer about these fields of one entity."""
        return self.requests if isinstance(self.requests, int) else max(self.requests.get(name, 0) for name in fields)


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of a source's owner for its content, which are stored with every field.

    - train_allowed: whether models may be trained on it; None where the terms do not say.
    - licence: name of the licence. page: URL of the terms.
    - attribution: text that must appear next to the content.
    - storage_bytes, storage_days: how much of it may be kept, and for how long; None for no limit.
    """

    train_allowed: bool | None
    licence: str
    page: str
    attribution: str = ""
    storage_bytes: int | None = None
    storage_days: float | None = None


class SourceParams(Parameters):
    """Parameters of a source in a recipe. Each source extends this class, for example with base URLs and paths."""

    per_second: float | None = Field(
        None,
        gt=0,
        description="requests a second instead of the source's own limits: slower, or for a server of your own",
    )


@dataclass(frozen=True, slots=True)
class Request:
    """A request for fields of one track, album or artist.

    - id: the catalogue's id.
    - fields: the fields to get, all of them the source's.
    - ids: known ids by the names in `ID_FIELDS`, without scheme (`4iV5W9uYEdYUVa79Axb7Rh`, not `spotify:track:…`).
    - title: of a track or album; None for an artist.
    - artists: names, the main artist first; for an artist its own name.
    - album, duration_s: of a track.
    - titles: some tracks of an album or artist, to distinguish namesakes.
    - album_id, artist_ids: the catalogue's ids of a track's or album's album and artists, for `Found.others`.
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
    """A value of another entity that came with the answer, such as the artist's MusicBrainz id with the recording's."""

    entity: Entity
    id: str
    field: str
    value: FieldValue


@dataclass(frozen=True, slots=True)
class Found:
    """The source has values. A requested field without a value is absent.

    - score: 1 for a lookup by id, otherwise the score of `collectors.matching`, 0…1.
    - payload: the answer as it came; its hash is kept.
    - others: values of other entities.
    """

    values: Mapping[str, FieldValue]
    score: float = 1.0
    payload: bytes | str = b""
    others: tuple[Other, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """The source answered and has no values. It is not requested again. note: the reason, such as `instrumental`."""

    note: str = ""
    payload: bytes | str = b""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The source has values that may belong to another entity.

    They are kept apart from the fields, with their score.
    """

    score: float
    values: Mapping[str, FieldValue] = field(default_factory=dict)
    note: str = ""
    payload: bytes | str = b""


Answer = Found | Absent | Ambiguous


class Trouble(Exception):
    """A request without an answer. The ledger keeps the message, without keys. status: the HTTP status, if any.

    Raise a subclass where a retry may help; after a plain `Trouble` the entity has failed.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Transient(Trouble):
    """A retry may succeed: a timeout, a 5xx, a truncated body. The engine retries with exponential back-off."""


class Blocked(Trouble):
    """The source refuses: a captcha, a 403, a web page instead of data. Twenty in a row stop the source.

    for_good: it will refuse all other requests too, for instance without a right to the endpoint. The source stops for
    these fields at once, and the message names an alternative.
    """

    def __init__(self, message: str, *, status: int | None = None, for_good: bool = False) -> None:
        super().__init__(message, status=status)
        self.for_good = for_good


class RateLimited(Trouble):
    """Too many requests. retry_after: seconds to wait, None where the host does not say."""

    def __init__(self, message: str, *, status: int | None = 429, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer of a host, of status 2xx, 404 or 410; redirects have been followed."""

    status: int
    content: bytes
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body as UTF-8; other bytes are replaced."""
        return self.content.decode("utf-8-sig", "replace")

    def json(self) -> Any:
        """The decoded body. Raises `Transient` for a body that is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            url = urlsplit(self.url)  # the query may hold keys
            raise Transient(f"{url.hostname}{url.path} answers with broken JSON", status=self.status) from None


class Http(Protocol):
    """The HTTP client of a source. Each call waits for the host's rate, limits the body's size and raises troubles.

    - `RateLimited`: 429, and 503 with `Retry-After`.
    - `Blocked`: 401, 403, 451, and a web page instead of data.
    - `Transient`: other 4xx and all 5xx, timeouts, resets, truncated bodies.

    404 and 410 are returned as replies of that status.
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
        """A context for a request that a client library sends by itself: waits for the host's rate and concurrency."""

    def session(self) -> requests.Session:
        """A session for client libraries that take one, such as spotipy. Its requests are sent through this client."""


class Source(ABC):
    """Base class of sources, which are found by the entry-point group `segue.collectors`.

    - name: in recipes and in the catalogue.
    - page: URL of the API's documentation.
    - fields: the fields that it gives, each with its kind of entity. An entity is requested once: an artist's biography
      is not fetched for every track.
    - by_choice: fields that are collected only where a recipe names them.
    - terms: the owner's terms.
    - together: whether one answer gives all fields of an entity; otherwise each field is requested by itself.
    - hosts: the servers that it sends requests to; none for local files.
    - keys, optional_keys: names of environment variables.
    - needs: ids, of `ID_FIELDS`, one of which it cannot do without.
    - uses: ids that it looks up where they are known. It waits for sources of the same run that give them.
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
        """Take checked parameters, and keys by the names in `keys` and `optional_keys`, which must not be copied."""
        self.params: Any = params if params is not None else self.Params()
        self.secrets = dict(keys or {})

    @classmethod
    def lanes(cls, fields: Sequence[str]) -> list[tuple[Entity, tuple[str, ...]]]:
        """Group fields by answer: pairs of a kind of entity and the fields that one answer about it gives."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in fields:
            entity = cls.fields[name]
            groups.setdefault((entity,) if cls.together else (entity, name), []).append(name)
        return [(cls.fields[names[0]], tuple(names)) for names in groups.values()]

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """A context around the requests of a run.

        folder: kept between runs for this source, for an index of a large file.
        """
        yield

    @abstractmethod
    def collect(self, request: Request, http: Http) -> Answer:
        """Get `request.fields` of one entity. Several threads call this at once.

        Raises `Blocked`, `RateLimited` or `Transient`, and `toolkit.errors.InputError` where the source cannot be used
        at all, for instance with a wrong key. Any other exception is a fault of the source and stops it.
        """

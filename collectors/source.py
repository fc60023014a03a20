"""The source contract: one class a place that facts about tracks, albums or artists come from.

A source is blocking code. The engine calls `collect` in a worker thread, hands
it an `Http` that waits for the host's rate, and does everything else: what is
asked, in which order, when again, and where the answer is kept. A source
sleeps, retries, caches and stores nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field

from toolkit.catalogue.records import FieldValue
from toolkit.parameters import Parameters

if TYPE_CHECKING:
    import requests

Entity = Literal["track", "album", "artist"]
Expect = Literal["json", "text", "xml", "image", "audio"]

ID_FIELDS = ("spotify", "isrc", "mbid", "release_mbid", "wikidata")
"""Names of ids at other places. They are fields as any other: a source that gives one is an identity source, and what is held of
them comes in `Request.ids`. `mbid` is MusicBrainz's id of the entity itself: recording, release group or artist."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `requests` in any `seconds`. Of several rates all hold: a burst is `Rate(10, 1), Rate(100, 60)`."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Host:
    """A server that the source asks.

    url: the parameter of `Params` that holds its base URL. rates: none for no limit.
    concurrency: requests under way at once, by all processes' threads of one engine.
    requests: most that one answer takes of it when nothing goes wrong, redirects aside; where that differs by field, those that take any.
    """

    url: str
    rates: tuple[Rate, ...] = ()
    concurrency: int = 2
    requests: int | Mapping[str, int] = 1

    def most(self, fields: Sequence[str]) -> int:
        """Requests at most for an answer about these fields of one entity."""
        return self.requests if isinstance(self.requests, int) else max(self.requests.get(name, 0) for name in fields)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the source's owner asks of those who keep its content; it travels with every field.

    train_allowed: None where the terms do not say. attribution: what must stand beside the content.
    storage_bytes: most that may be kept of it. storage_days: longest that it may be kept.
    """

    train_allowed: bool | None
    licence: str
    page: str
    attribution: str = ""
    storage_bytes: int | None = None
    storage_days: float | None = None


class SourceParams(Parameters):
    """Parameters of a source in a recipe; each source extends it with defaults, base URLs and paths among them."""

    per_second: float | None = Field(
        None,
        gt=0,
        description="requests a second instead of the source's own limits: slower, or for a server of your own",
    )


@dataclass(frozen=True, slots=True)
class Request:
    """One entity of which something is asked.

    id: the catalogue's. fields: those asked for, of the source's own. ids: what is held of `ID_FIELDS`, without scheme
    (`4iV5W9uYEdYUVa79Axb7Rh`, not `spotify:track:…`). artists: names, the first is the main one; of an artist its own name.
    title: of a track its own, of an album the album's, of an artist none. titles: some of its tracks', for an album or
    artist, to tell namesakes apart. album_id, artist_ids: the catalogue's, of a track or album, for `Found.others`.
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
    """A value of another entity that came with the answer: the artist's MusicBrainz id with the recording's."""

    entity: Entity
    id: str
    field: str
    value: FieldValue


@dataclass(frozen=True, slots=True)
class Found:
    """What there is, by field; a field asked for and not named here is absent.

    score: 1 where an id was asked for, else that of `collectors.matching`, 0…1. payload: what was answered, as it came; its
    hash is kept. others: values of other entities.
    """

    values: Mapping[str, FieldValue]
    score: float = 1.0
    payload: bytes | str = b""
    others: tuple[Other, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """The source was asked, answered, and has nothing: not asked again. note: why, where it says (`instrumental`)."""

    note: str = ""
    payload: bytes | str = b""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The source has something that may be another's: kept apart from the fields, with its score."""

    score: float
    values: Mapping[str, FieldValue] = field(default_factory=dict)
    note: str = ""
    payload: bytes | str = b""


Answer = Found | Absent | Ambiguous


class Trouble(Exception):
    """Why there is no answer this time. The text is kept in the ledger, scrubbed of keys. status: HTTP's, where there was one.

    Raised itself, not as one of its kinds, it means that trying again is of no use: the entity has failed.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Transient(Trouble):
    """It may go well later: a timeout, a 5xx, a truncated body. Tried again with exponential backoff."""


class Blocked(Trouble):
    """The source refuses: a captcha, a 403, a page where data should be. Twenty in a row stop the source.

    for_good: it will refuse the rest too (no right to this endpoint): the source stops for these fields at once, and
    the message says what to use instead.
    """

    def __init__(self, message: str, *, status: int | None = None, for_good: bool = False) -> None:
        super().__init__(message, status=status)
        self.for_good = for_good


class RateLimited(Trouble):
    """Too many requests. retry_after: seconds that the host asks for, None where it does not say."""

    def __init__(self, message: str, *, status: int | None = 429, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class Reply(Protocol):
    """A whole answer of a host: never longer than was asked for, never a redirect, 2xx or 404."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def content(self) -> bytes: ...
    @property
    def text(self) -> str: ...
    @property
    def url(self) -> str: ...
    def json(self) -> Any:
        """The decoded body. Raises `Transient` where it is not whole."""


class Http(Protocol):
    """How a source asks: each call waits for the host's rate, bounds the body and raises the troubles above.

    429 and 503 with `Retry-After`: `RateLimited`. 401, 403 and a page where data is expected: `Blocked`. Other 4xx and all
    5xx, timeouts, resets, truncated bodies: `Transient`. 404 and 410 come back as a reply of that status.
    """

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> Reply: ...

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        expect: Expect = "json",
        max_bytes: int | None = None,
    ) -> Reply: ...

    def slot(self, url: str) -> AbstractContextManager[None]:
        """Around one request that a client library makes by itself: waits for the host's rate and concurrency."""

    def session(self) -> requests.Session:
        """For client libraries that take one (spotipy): every request is one of ours (`collectors.engine.requests_session`)."""


class Source(ABC):
    """A place that fields come from; found by the entry-point group `segue.collectors`.

    name: in recipes and in the catalogue. page: the API's documentation. fields: what it gives, and of what: each entity is
    asked for once, so that a biography is not fetched for every track. by_choice: those of them that are collected only where they
    are named. together: one request answers all the fields of an
    entity; otherwise each is asked for by itself. hosts: none for local files. keys, optional_keys: names of environment
    variables. needs: ids, of `ID_FIELDS`, without one of which it cannot ask. uses: ids it asks by where they are held; it
    waits for the sources of the same run that find them.
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
        """keys: values by the names in `keys` and `optional_keys`; never kept anywhere else."""
        self.params: Any = params if params is not None else self.Params()
        self.secrets = dict(keys or {})

    @classmethod
    def lanes(cls, fields: Sequence[str]) -> list[tuple[Entity, tuple[str, ...]]]:
        """These fields as they are asked for: kind of entity, and what one answer about such a one gives."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in fields:
            entity = cls.fields[name]
            groups.setdefault((entity,) if cls.together else (entity, name), []).append(name)
        return [(cls.fields[names[0]], tuple(names)) for names in groups.values()]

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """Around a run, before any request. folder: the source's own, kept between runs, for an index of a large file."""
        yield

    @abstractmethod
    def collect(self, request: Request, http: Http) -> Answer:
        """Ask for `request.fields` of one entity; called from several threads at once.

        Raises `Blocked`, `RateLimited`, `Transient`; `toolkit.errors.InputError` where the source cannot be used at all
        (a wrong key, a file that is none). Any other exception is a fault of the source and stops it.
        """

"""What Wikidata and Wikipedia answer under their Action API, and its refusals, which come with status 200.

Page: https://www.mediawiki.org/wiki/API:Main_page.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from collectors.engine.response_shapes import Shape, shaped
from collectors.source import Http, RateLimited, Reply, Transient

MUSIC = re.compile(
    r"\b(?:bands?|singer|musicians?|rapper|songwriter|composer|duo|trio|quartet|quintet|orchestra|ensemble|choir|DJ|disc jockey|guitarist|"
    r"pianist|drummer|bassist|vocalist|violinist|saxophonist|trumpeter|cellist|(?:music(?:al)?|record|pop|rock|boy|girl|vocal) "
    r"(?:group|producer|project|artist|act|collective))\b",
    re.IGNORECASE,
)
WORK = re.compile(r"\b(?:song|single|album|EP|mixtape|soundtrack|film|series|episode|novel|game)\b", re.IGNORECASE)
"""What is by a musician and is none."""
ITEM = re.compile(r"Q[1-9]\d*")


class Hit(msgspec.Struct):
    title: str


class Page(msgspec.Struct):
    """extract: as plain text. pageprops: `disambiguation` is there, and empty, on a page that tells namesakes apart."""

    title: str
    missing: bool = False
    extract: str = ""
    description: str = ""
    pageprops: dict[str, str] = {}

    @property
    def text(self) -> str:
        return self.extract.strip()

    @property
    def disambiguates(self) -> bool:
        return "disambiguation" in self.pageprops

    @property
    def of_music(self) -> bool:
        """Whether the article is of a musician: the title's bracket, the short description, or else the first sentence says so."""
        bracket = re.search(r"\(([^)]*)\)$", self.title)
        return any(
            _says_music(text)
            for text in (bracket[1] if bracket else "", self.description or self.extract.split(". ")[0][:400])
        )


def _says_music(text: str) -> bool:
    """`a song by the singer …` is of no musician, `a singer known for the album …` is."""
    music, work = MUSIC.search(text), WORK.search(text)
    return music is not None and (work is None or music.start() < work.start())


class Hits(msgspec.Struct):
    search: list[Hit]


class Searched(msgspec.Struct):
    query: Hits


class Pages(msgspec.Struct):
    pages: list[Page]


class Paged(msgspec.Struct):
    query: Pages


class Item(msgspec.Struct):
    """sitelinks: articles by wiki (`enwiki`)."""

    sitelinks: dict[str, Hit] = {}


class Entities(msgspec.Struct):
    entities: dict[str, Item]


class Refusal(msgspec.Struct):
    code: str = ""
    info: str = ""


class Refused(msgspec.Struct):
    error: Refusal | None = None


def asked_of(host: str, params: dict[str, Any], http: Http, shape: type[Shape]) -> tuple[Shape, Reply]:
    """What the API tells, as `shape`. Raises `RateLimited` where its databases lag or it is asked too often, else `Transient`."""
    reply = http.get(f"{host}/w/api.php", params | {"format": "json", "maxlag": 5})
    error = shaped(reply, Refused, what=host).error
    if error is None:
        return shaped(reply, shape, what=host), reply
    said = f"{host} refuses: {error.code}: {error.info}"
    if error.code in ("maxlag", "ratelimited"):
        seconds = reply.headers.get("Retry-After", "")
        raise RateLimited(said, status=reply.status, retry_after=float(seconds) if seconds.isdigit() else None)
    raise Transient(said, status=reply.status)

"""The Action API of Wikidata and Wikipedia: its answers as structs, and its errors, which come with status 200.

Page: https://www.mediawiki.org/wiki/API:Main_page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from collectors.engine.json_conversion import Shape, decode
from collectors.source import Http, QueryValue, RateLimited, Reply, Transient

MUSIC = re.compile(
    r"\b(?:bands?|singer|musicians?|rapper|songwriter|composer|duo|trio|quartet|quintet|orchestra|ensemble|choir|DJ"
    r"|disc jockey|guitarist|pianist|drummer|bassist|vocalist|violinist|saxophonist|trumpeter|cellist"
    r"|(?:music(?:al)?|record|pop|rock|boy|girl|vocal) (?:group|producer|project|artist|act|collective))\b",
    re.IGNORECASE,
)
WORK = re.compile(r"\b(?:song|single|album|EP|mixtape|soundtrack|film|series|episode|novel|game)\b", re.IGNORECASE)
"""Words for works, which descriptions also connect with musicians."""
ITEM = re.compile(r"Q[1-9]\d*")


class Hit(msgspec.Struct):
    title: str


class Page(msgspec.Struct):
    """A page. extract: its plain text. pageprops: has an empty `disambiguation` on a disambiguation page."""

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
        """Whether the article is about a musician: by the title's bracket, the description or the first sentence."""
        bracket = re.search(r"\(([^)]*)\)$", self.title)
        texts = (bracket[1] if bracket else "", self.description or self.extract.split(". ")[0][:400])
        return any(map(_is_about_musician, texts))


def _is_about_musician(text: str) -> bool:
    """True for `a singer known for the album …`, false for `a song by the singer …`."""
    music, work = MUSIC.search(text), WORK.search(text)
    return music is not None and (work is None or music.start() < work.start())


class Hits(msgspec.Struct):
    search: list[Hit]


class SearchReply(msgspec.Struct):
    query: Hits


class Pages(msgspec.Struct):
    pages: list[Page]


class PagesReply(msgspec.Struct):
    query: Pages


class Item(msgspec.Struct):
    """sitelinks: articles by wiki (`enwiki`)."""

    sitelinks: dict[str, Hit] = {}


class ItemsReply(msgspec.Struct):
    entities: dict[str, Item]


class Error(msgspec.Struct):
    code: str = ""
    info: str = ""


class ErrorReply(msgspec.Struct):
    error: Error | None = None


def query_api(host: str, params: Mapping[str, QueryValue], http: Http, shape: type[Shape]) -> tuple[Shape, Reply]:
    """The API's answer as a `shape`, and the reply.

    Raises `RateLimited` for too many requests and while the API's databases lag, `Transient` for other errors.
    """
    reply = http.get(f"{host}/w/api.php", {**params, "format": "json", "maxlag": 5})
    error = decode(reply, ErrorReply, service=host).error
    if error is None:
        return decode(reply, shape, service=host), reply
    message = f"{host} refuses: {error.code}: {error.info}"
    if error.code in ("maxlag", "ratelimited"):
        seconds = reply.headers.get("Retry-After", "")
        raise RateLimited(message, status=reply.status, retry_after=float(seconds) if seconds.isdigit() else None)
    raise Transient(message, status=reply.status)

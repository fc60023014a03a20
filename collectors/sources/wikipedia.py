"""Artist biographies from Wikipedia articles, found through Wikidata by MusicBrainz id or by name.

Pages: https://www.mediawiki.org/wiki/API:Main_page, https://www.wikidata.org/wiki/Property:P434. Rate: one request at a
time (https://www.mediawiki.org/wiki/API:Etiquette) and at most five per second. Licence: CC BY-SA 4.0 with the article
title as attribution. API errors have status 200.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import msgspec
from pydantic import Field, model_validator

from collectors.engine.hosts import retry_after
from collectors.engine.json_conversion import Shape, convert, decode
from collectors.matching import normalise
from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
    Found,
    Host,
    Http,
    Other,
    QueryValue,
    Rate,
    RateLimited,
    Reply,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from collectors.sources.clients.musicbrainz_recordings import MBID
from toolkit.catalogue.normalised_names import normalised

QUALIFIERS = [
    *("band", "musician", "singer", "rapper", "group", "duo", "DJ"),
    *("musical group", "music producer", "composer"),
]
"""Words in brackets after names in English titles, which distinguish namesakes (by Wikipedia's naming conventions)."""
BY_NAME = 0.9
"""Score of the only musician of that name."""
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
    """Page with plain text as `extract`; `pageprops` has the key `disambiguation` on disambiguation pages."""

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
        """Return whether title, description or first sentence describe a musician."""
        bracket = re.search(r"\(([^()]*)\)$", self.title)
        texts = (bracket[1] if bracket else "", self.description or self.extract.split(". ")[0][:400])
        return any(map(_is_about_musician, texts))


def _is_about_musician(text: str) -> bool:
    """Return True for `a singer known for the album …` and False for `a song by the singer …`."""
    music, work = MUSIC.search(text), WORK.search(text)
    return music is not None and (work is None or music.start() < work.start())


class Item(msgspec.Struct):
    """Wikidata item with articles by wiki (`enwiki`) as `sitelinks`."""

    sitelinks: dict[str, Hit] = {}


class Error(msgspec.Struct):
    code: str = ""
    info: str = ""


class ErrorReply(msgspec.Struct):
    error: Error | None = None


class Wikipedia(Source):
    """Artist biographies from Wikipedia articles.

    `biography` is plain text. If the Wikidata item of an artist has no article in this language, the artist is absent,
    because an article with the same name is about another artist.
    """

    name = "wikipedia"
    page = "https://www.mediawiki.org/wiki/API:Main_page"
    fields = {"biography": "artist"}
    terms = Terms(
        True,
        "CC-BY-SA-4.0",
        "https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use",
        attribution="Wikipedia contributors",
    )
    hosts = (
        Host("wikidata", (Rate(5, 1.0),), concurrency=1, requests=2),
        Host("wikipedia", (Rate(5, 1.0),), concurrency=1, requests=2),
    )
    uses = ("mbid", "wikidata")

    class Params(SourceParams):
        """Parameters, with the `part` of the article and the `qualifiers` in brackets after titles of musicians."""

        language: str = Field("en", pattern="^[a-z][a-z-]{1,15}$")
        wikipedia: str = Field("https://en.wikipedia.org", description="default: that of the language")
        wikidata: str = "https://www.wikidata.org"
        part: Literal["intro", "whole"] = "intro"
        qualifiers: list[str] = QUALIFIERS

        @model_validator(mode="after")
        def _of_language(self) -> Self:
            if "wikipedia" not in self.model_fields_set:
                self.wikipedia = f"https://{self.language}.wikipedia.org"
            return self

    def collect(self, request: Request, http: Http) -> Answer:
        known = request.ids.get("wikidata", "")
        items = [known] if ITEM.fullmatch(known) else self._items(request.ids.get("mbid", ""), http)
        if items:
            return self._of_items(request, items, http)
        return self._of_name(request, http) if request.artists else Absent("no name to look up")

    def _items(self, mbid: str, http: Http) -> list[str]:
        """Return Wikidata items with this MusicBrainz id."""
        if not MBID.fullmatch(mbid):
            return []
        query: dict[str, QueryValue] = {
            "action": "query",
            "list": "search",
            "srsearch": f"haswbstatement:P434={mbid}",
            "srnamespace": 0,
            "srlimit": 3,
        }
        hits, _ = query_api(self.params.wikidata, query, http, list[Hit], "query", "search")
        return [hit.title for hit in hits if ITEM.fullmatch(hit.title)]

    def _of_items(self, request: Request, items: list[str], http: Http) -> Answer:
        site = f"{self.params.language.replace('-', '_')}wiki"
        query = {"action": "wbgetentities", "ids": "|".join(items), "props": "sitelinks", "sitefilter": site}
        entities, reply = query_api(self.params.wikidata, query, http, dict[str, Item], "entities")
        links = {item: entity.sitelinks for item, entity in entities.items()}
        titles = {item: sites[site].title for item, sites in links.items() if site in sites}
        item = next((item for item in items if item in titles), None)
        if item is None:
            return Absent(f"{items[0]} has no article in {site}", reply.content)
        pages, reply = self._pages([titles[item]], http)
        if not pages or not pages[0].text or pages[0].disambiguates:
            return Absent(f"{titles[item]!r} has no text", reply.content)
        return Found({"biography": pages[0].text}, 1.0, reply.content, (Other("artist", request.id, "wikidata", item),))

    def _of_name(self, request: Request, http: Http) -> Answer:
        """Return the article of the only musician with this name, or of the musician with a matching track or album."""
        name = request.artists[0].replace("|", " ").strip()
        pages, reply = self._pages([name, *(f"{name} ({kind})" for kind in self.params.qualifiers)], http)
        articles = [page for page in pages if page.text and not page.disambiguates]
        musicians = [page for page in articles if page.of_music]
        if len(musicians) > 1:
            titles = [title for title in map(normalise, request.titles) if len(title) > 3]
            known = [page for page in musicians if any(title in normalised(page.text) for title in titles)]
            musicians = known or musicians
        if len(musicians) > 1:
            note = f"{len(musicians)} musicians of that name"
            return Ambiguous(BY_NAME / len(musicians), {"biography": musicians[0].text}, note, reply.content)
        if not musicians and any(page.disambiguates for page in pages):
            return Ambiguous(0.0, {}, "a disambiguation page, and no musician under the usual titles", reply.content)
        if not musicians:
            return Absent("the article of that name is about something else" if articles else "", reply.content)
        page = musicians[0]
        if self.params.part == "whole":
            pages, reply = self._pages([page.title], http)
            page = pages[0] if pages and pages[0].text else page
        item = page.pageprops.get("wikibase_item", "")
        others = (Other("artist", request.id, "wikidata", item),) if ITEM.fullmatch(item) else ()
        return Found({"biography": page.text}, BY_NAME, reply.content, others)

    def _pages(self, titles: Sequence[str], http: Http) -> tuple[list[Page], Reply]:
        """Return articles by title, after redirects."""
        query: dict[str, QueryValue] = {
            "action": "query",
            "titles": "|".join(titles),
            "prop": "extracts|pageprops|description",
            "ppprop": "disambiguation|wikibase_item",
            "explaintext": 1,
            "redirects": 1,
            "formatversion": 2,
        }
        # the API gives up to twenty introductions at once, but only one whole article
        if self.params.part == "intro" or len(titles) > 1:
            query |= {"exintro": 1, "exlimit": "max"}
        pages, reply = query_api(self.params.wikipedia, query, http, list[Page], "query", "pages")
        return [page for page in pages if not page.missing], reply


def query_api(
    host: str, params: Mapping[str, QueryValue], http: Http, shape: type[Shape], *path: str
) -> tuple[Shape, Reply]:
    """Return the part of the API answer at `path` as `shape`, and the reply.

    Raises `RateLimited` for too many requests or lagging databases, `Transient` for other errors.
    """
    reply = http.get(f"{host}/w/api.php", {**params, "format": "json", "maxlag": 5})
    error = decode(reply, ErrorReply, service=host).error
    if error is None:
        part = reply.json()
        for name in path:
            part = part.get(name) if isinstance(part, dict) else None
        return convert(part, shape, host, status=reply.status), reply
    message = f"{host} refuses: {error.code}: {error.info}"
    if error.code in ("maxlag", "ratelimited"):
        raise RateLimited(message, status=reply.status, retry_after=retry_after(reply.headers.get("Retry-After")))
    raise Transient(message, status=reply.status)

"""Action API of Wikidata and Wikipedia (https://www.mediawiki.org/wiki/API:Main_page) on one server.

`/wikidata/w/api.php` searches items by statement and returns article titles. `/wikipedia/w/api.php` returns article
extracts. API errors have status 200 and an error code in the body and in a header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Server
from tests.servers.musicbrainz import as_json

MOST_TITLES, MOST_EXTRACTS = 50, 20


@dataclass(frozen=True)
class Article:
    """Wikipedia article.

    - `extract`: paragraphs, starting with the introduction.
    - `description`: short description.
    - `redirects`: other titles that redirect to the article.
    """

    title: str
    extract: str
    description: str | None = None
    disambiguation: bool = False
    item: str | None = None
    redirects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """Wikidata item with the MusicBrainz id of an artist (P434) and the article title in `site`."""

    id: str
    mbid: str | None = None
    article: str | None = None
    site: str = "enwiki"


class WikimediaServer(Server):
    """Server of Wikidata items and Wikipedia articles."""

    def __init__(self, articles: Sequence[Article], items: Sequence[Item] = (), **options: Any) -> None:
        super().__init__(**options)
        self.articles = {article.title: article for article in articles}
        self.redirects = {title: article.title for article in articles for title in article.redirects}
        self.items = {item.id: item for item in items}

    @property
    def wikidata(self) -> str:
        return f"{self.url}/wikidata"

    @property
    def wikipedia(self) -> str:
        return f"{self.url}/wikipedia"

    def reply(self, request: ReceivedRequest) -> Reply:
        if not request.headers.get("user-agent"):
            return Reply("Please set a user-agent and respect our robot policy", 403, "text/plain")
        if request.query.get("format") != "json":
            return Reply("<html><body>MediaWiki API result</body></html>", 200, "text/html; charset=utf-8")
        match request.path, request.query.get("action"), request.query:
            case "/wikidata/w/api.php", "query", {"list": "search", "srsearch": sought}:
                return self._search(sought)
            case "/wikidata/w/api.php", "wbgetentities", {"ids": ids}:
                return self._entities(ids.split("|"), request.query.get("sitefilter", ""))
            case "/wikipedia/w/api.php", "query", {"titles": titles}:
                return self._articles(titles.split("|"), request.query)
        return failed("badvalue", 'Unrecognized value for parameter "action".')

    def _search(self, sought: str) -> Reply:
        wanted = re.fullmatch(r"haswbstatement:P434=(\S+)", sought)
        hits = [item for item in self.items.values() if wanted and item.mbid == wanted[1]]
        found = [{"ns": 0, "title": item.id, "pageid": int(item.id[1:]), "snippet": ""} for item in hits]
        return as_json({"batchcomplete": "", "query": {"searchinfo": {"totalhits": len(found)}, "search": found}})

    def _entities(self, ids: list[str], site: str) -> Reply:
        entities: dict[str, Any] = {}
        for id in ids:
            if not re.fullmatch(r"Q[1-9]\d*", id):
                return failed("no-such-entity", f'Could not find an entity with the ID "{id}".')
            item = self.items.get(id)
            links = (
                {item.site: {"site": item.site, "title": item.article, "badges": []}} if item and item.article else {}
            )
            kept = {name: link for name, link in links.items() if site in ("", name)}
            entities[id] = {"type": "item", "id": id, "sitelinks": kept} if item else {"id": id, "missing": ""}
        return as_json({"entities": entities, "success": 1})

    def _articles(self, titles: list[str], query: Mapping[str, str]) -> Reply:
        if len(titles) > MOST_TITLES:
            return failed(
                "toomanyvalues", f'Too many values supplied for parameter "titles". The limit is {MOST_TITLES}.'
            )
        normal = {title: title[:1].upper() + title[1:].replace("_", " ") for title in titles}
        led = {
            title: self.redirects[title]
            for title in normal.values()
            if title in self.redirects and "redirects" in query
        }
        last = dict.fromkeys(led.get(title, title) for title in normal.values())
        most = MOST_EXTRACTS if "exintro" in query else 1
        pages = [self._page(title, query, extract=place < most) for place, title in enumerate(last)]
        body: dict[str, Any] = {"pages": pages}
        if changed := [{"fromencoded": False, "from": old, "to": new} for old, new in normal.items() if old != new]:
            body["normalized"] = changed
        if led:
            body["redirects"] = [{"from": old, "to": new} for old, new in led.items()]
        return as_json({"batchcomplete": True, "query": body})

    def _page(self, title: str, query: Mapping[str, str], *, extract: bool) -> dict[str, Any]:
        article = self.articles.get(title)
        if article is None:
            return {"ns": 0, "title": title, "missing": True}
        page: dict[str, Any] = {"pageid": 1 + list(self.articles).index(title), "ns": 0, "title": title}
        requested = query.get("prop", "").split("|")
        if "extracts" in requested and extract:
            page["extract"] = article.extract.split("\n\n")[0] if "exintro" in query else article.extract
        if "pageprops" in requested:
            props = {"wikibase_item": article.item} if article.item else {}
            page["pageprops"] = props | ({"disambiguation": ""} if article.disambiguation else {})
        if "description" in requested and article.description:
            page |= {"description": article.description, "descriptionsource": "local"}
        return page


def failed(code: str, info: str) -> Reply:
    body = {"error": {"code": code, "info": info, "docref": "See api.php for API usage."}, "servedby": "mw1"}
    return as_json(body, **{"MediaWiki-API-Error": code})


def lagged(seconds: int = 5) -> Reply:
    """Return the reply to a request with `maxlag` while the database lags, which has status 200."""
    reply = failed("maxlag", f"Waiting for 10.64.0.1: {seconds + 1} seconds lagged.")
    reply.headers |= {"Retry-After": str(seconds), "X-Database-Lag": str(seconds + 1)}
    return reply

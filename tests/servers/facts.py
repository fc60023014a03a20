"""Fictional API with sources and a catalogue for the engine tests."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
    Entity,
    Found,
    Host,
    Http,
    Request,
    Source,
    SourceParams,
    Terms,
    Transient,
)
from tests.servers.base import NOT_FOUND, ReceivedRequest, Reply, Server
from toolkit.catalogue.records import TrackRecord
from toolkit.catalogue.store import Catalogue


class FactsServer(Server):
    """Server of facts under `/words/<track>`, `/face/<album>`, `/life/<artist>`, `/id/<track>` and `/tags/<id>`.

    Every tenth track and every eighth artist are unknown (404). The words of every seventh track are ambiguous.
    """

    def reply(self, request: ReceivedRequest) -> Reply:
        kind, _, key = request.path.lstrip("/").partition("/")
        number = int(key.rpartition(":")[2].rpartition("-")[2])
        if kind == "face":
            return Reply(picture(number), type="image/png")
        if (kind == "words" and number % 10 == 9) or (kind == "life" and number % 8 == 7):
            return NOT_FOUND
        if kind == "life":
            return Reply({"life": f"Artist {number} was born in year {1900 + number % 100}."})
        if kind == "id":
            return Reply({"id": f"m-{number}"})
        if kind == "tags":
            return Reply({"tags": ["loud", f"n{number % 5}"], "mood": [number / 7, 0.5, -1.0]})
        return Reply({"words": f"les mots de {key}, ça va — كلمات {number}", "score": 0.6 if number % 7 == 6 else 1.0})


def serve() -> None:
    """Run a server in this process, print the URL, and print the request times when standard input ends."""
    with FactsServer() as server:
        server.keep_headers = False
        print(server.url, flush=True)
        sys.stdin.read()
        print(json.dumps([entry.time for entry in server.log]))


@lru_cache(4096)
def picture(number: int) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(data, "PNG")
    return data.getvalue()


class FactsParams(SourceParams):
    base_url: str = "https://facts.invalid"


class Facts(Source):
    """Source of words by track."""

    name: ClassVar[str] = "facts"
    page = "https://facts.invalid/docs"
    fields: ClassVar[Mapping[str, Entity]] = {"words": "track"}
    terms = Terms(train_allowed=True, licence="CC0-1.0", page="https://facts.invalid/terms")
    hosts = (Host("base_url", (), concurrency=4),)
    Params = FactsParams

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/words/{request.id}", headers={k: v for k, v in self.secrets.items()})
        if reply.status == 404:
            return Absent("no such track")
        body = reply.json()
        if not isinstance(body, dict) or not isinstance(body.get("words"), str):
            raise Transient("another form than documented")
        if body["score"] < 0.85:
            return Ambiguous(body["score"], {"words": body["words"]}, payload=reply.content)
        return Found({"words": body["words"]}, body["score"], reply.content)


class Faces(Facts):
    """Source of covers by album."""

    name = "faces"
    fields: ClassVar[Mapping[str, Entity]] = {"cover": "album"}

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/face/{request.id}", expect="image")
        return Found({"cover": reply.content}, 1.0, reply.content)


class Lives(Facts):
    """Source of biographies by artist."""

    name = "lives"
    fields: ClassVar[Mapping[str, Entity]] = {"biography": "artist"}

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/life/{request.id}")
        if reply.status == 404:
            return Absent("no such artist")
        return Found({"biography": text_of(reply.json(), "life")}, 1.0, reply.content)


class Ids(Facts):
    """Source of ids by track."""

    name = "ids"
    fields: ClassVar[Mapping[str, Entity]] = {"mbid": "track"}

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/id/{request.id}")
        return Found({"mbid": text_of(reply.json(), "id")}, 1.0, reply.content)


class Tags(Facts):
    """Source of tags and moods by track id."""

    name = "tags"
    fields: ClassVar[Mapping[str, Entity]] = {"tags": "track", "mood": "track"}
    together = True
    needs = ("mbid",)

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/tags/{request.ids['mbid']}")
        body = reply.json()
        if (
            not isinstance(body, dict)
            or not isinstance(body.get("tags"), list)
            or not isinstance(body.get("mood"), list)
        ):
            raise Transient("another form than documented")
        return Found({"tags": ", ".join(body["tags"]), "mood": body["mood"]}, 1.0, reply.content)


SOURCES: tuple[type[Facts], ...] = (Facts, Faces, Lives, Ids, Tags)


def text_of(body: Any, name: str) -> str:
    if not isinstance(body, dict) or not isinstance(body.get(name), str):
        raise Transient("another form than documented")
    return str(body[name])


def fill(catalogue: Catalogue, tracks: int) -> None:
    """Add tracks `local:0`, `local:1`, …, with ten tracks per album and two albums per artist."""
    catalogue.add(
        TrackRecord(
            f"local:{n}",
            title=f"Title {n}",
            artists=(f"Artist {n // 20}",),
            artist_ids=(f"a:{n // 20}",),
            album=f"Album {n // 10}",
            album_id=f"b:{n // 10}",
            duration_s=100.0 + n,
        )
        for n in range(tracks)
    )


def collect_all(section: dict[str, Any]) -> None:
    """Run one collecting process with the settings of a recipe section `collect`."""
    from collectors.collect import collect, parse
    from collectors.library import open_library
    from toolkit.progress import Reporter

    params = parse(section)
    with open_library(params.library, blobs=params.blobs) as library:
        collect(params, library, reporter=Reporter())


def state(path: Path | str, blobs: Path | None = None) -> str:
    """Return outcomes and values of a library as text for comparisons."""
    from sqlalchemy import select

    from collectors.engine.ledger import APART, LEDGER
    from toolkit.catalogue.database_schema import FIELDS

    ledger = [
        LEDGER.c[name]
        for name in ("source", "field", "entity", "entity_id", "status", "match_score", "payload", "next_try", "owner")
    ]
    fields = [
        FIELDS.c[name]
        for name in ("field", "entity", "entity_id", "source", "kind", "value", "match_score", "train_allowed")
    ]
    apart = [APART.c[name] for name in ("source", "field", "entity_id", "value", "match_score")]
    with Catalogue.open(path, blobs=blobs) as catalogue, catalogue.engine.begin() as connection:
        return json.dumps(
            [sorted(map(list, connection.execute(select(*part))), key=repr) for part in (ledger, fields, apart)]
        )

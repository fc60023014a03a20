"""A made-up API, the source that asks it, and a catalogue to ask about: what the engine is tested with."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from collectors.base import Absent, Ambiguous, Answer, Entity, Found, Host, Http, Request, Source, SourceParams, Terms, Transient
from servers.base import NOT_FOUND, Asked, Reply, Server
from toolkit.catalogue.records import TrackRecord
from toolkit.catalogue.store import Catalogue


class FactsServer(Server):
    """`/words/<id>`: words of every track but each tenth (404); of each seventh another song's. `/face/<id>`: a picture."""

    keep_headers = True

    def reply(self, asked: Asked) -> Reply:
        kind, _, one = asked.path.lstrip("/").partition("/")
        number = int(one.rpartition(":")[2])
        if kind == "face":
            return Reply(picture(number), type="image/png")
        if number % 10 == 9:
            return NOT_FOUND
        return Reply({"words": f"les mots de {one}, ça va — كلمات {number}", "score": 0.6 if number % 7 == 6 else 1.0})


@lru_cache(4096)
def picture(number: int) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(data, "PNG")
    return data.getvalue()


class FactsParams(SourceParams):
    base_url: str = "https://facts.invalid"


class Facts(Source):
    """Words of tracks."""

    name: ClassVar[str] = "facts"
    page = "https://facts.invalid/docs"
    fields: ClassVar[Mapping[str, Entity]] = {"words": "track"}
    terms = Terms(train_allowed=True, licence="CC0-1.0", page="https://facts.invalid/terms")
    hosts = (Host("base_url", (), concurrency=4),)
    Params = FactsParams

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/words/{request.id}", headers={k: v for k, v in self.secrets.items()})
        if reply.status == 404:
            return Absent("no such track", reply.content)
        said = reply.json()
        if not isinstance(said, dict) or not isinstance(said.get("words"), str):
            raise Transient("not what the documentation says")
        if said["score"] < 0.85:
            return Ambiguous(said["score"], {"words": said["words"]}, payload=reply.content)
        return Found({"words": said["words"]}, said["score"], reply.content)


class Faces(Facts):
    """Pictures of albums."""

    name = "faces"
    fields: ClassVar[Mapping[str, Entity]] = {"cover": "album"}

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/face/{request.id}", expect="image")
        return Found({"cover": reply.content}, 1.0, reply.content)


def fill(catalogue: Catalogue, tracks: int) -> None:
    """Tracks `local:0`…, ten an album, two albums an artist."""
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


def state(path: Path | str, blobs: Path | None = None) -> str:
    """What collecting has to arrive at, whatever happened on the way: outcomes and values, as text to compare."""
    from sqlalchemy import select

    from collectors.tables import APART, LEDGER
    from toolkit.catalogue.schema import FIELDS

    ledger = [LEDGER.c[name] for name in ("source", "field", "entity", "entity_id", "status", "match_score", "payload", "next_try")]
    fields = [FIELDS.c[name] for name in ("field", "entity", "entity_id", "source", "kind", "value", "match_score", "train_allowed")]
    apart = [APART.c[name] for name in ("source", "field", "entity_id", "value", "match_score")]
    with Catalogue.open(path, blobs=blobs) as catalogue, catalogue.engine.begin() as connection:
        return json.dumps([sorted(map(list, connection.execute(select(*part))), key=repr) for part in (ledger, fields, apart)])

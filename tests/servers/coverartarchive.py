"""Cover Art Archive (https://musicbrainz.org/doc/Cover_Art_Archive/API) with redirects to the Internet Archive.

`/release/{mbid}/front-500` redirects (307) to `archive.org`, which redirects (302) to a machine with the image.
"""

from __future__ import annotations

import re
from typing import Any

from tests.servers.base import ReceivedRequest, Reply, Server

MBID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PAGE = "<!doctype html>\n<html lang=en><title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"


def page(status: int, title: str, text: str) -> Reply:
    return Reply(PAGE.format(title=title, text=text), status, "text/html; charset=utf-8")


class CoverArtServer(Server):
    """Server of covers by MBID of a release or release group.

    - `releases`, `groups`: images by MBID.
    - `machine`: URL of the final redirect target, by default this server.
    """

    def __init__(
        self,
        releases: dict[str, bytes],
        groups: dict[str, bytes] | None = None,
        *,
        machine: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pictures = {"release": releases, "release-group": groups or {}}
        self.machine = machine

    def reply(self, request: ReceivedRequest) -> Reply:
        match request.path.strip("/").split("/"):
            case ["release" | "release-group" as kind, mbid, name] if name in (
                "front",
                "front-250",
                "front-500",
                "front-1200",
            ):
                return self._front(kind, mbid, name)
            case ["download", *rest]:
                return Reply("", 302, "text/plain", {"Location": f"{self.machine or self.url}/items/{'/'.join(rest)}"})
            case ["items", kind, mbid, _]:
                return Reply(self.pictures[kind][mbid], 200, "image/jpeg")
        return page(404, "404 Not Found", "The requested URL was not found on the server.")

    def _front(self, kind: str, mbid: str, name: str) -> Reply:
        if not MBID.fullmatch(mbid):
            return page(400, "400 Bad Request", "invalid MBID specified")
        if mbid not in self.pictures[kind]:
            return page(404, "404 Not Found", f"No cover art found for {kind.replace('-', ' ')} {mbid}")
        size = name.removeprefix("front").removeprefix("-")
        place = f"{self.url}/download/{kind}/{mbid}/mbid-{mbid}-829521842{'_thumb' + size if size else ''}.jpg"
        return Reply(f"See: {place}\n", 307, "text/plain; charset=utf-8", {"Location": place})

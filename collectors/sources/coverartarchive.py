"""Album covers from the Cover Art Archive of MusicBrainz and the Internet Archive.

Page: https://musicbrainz.org/doc/Cover_Art_Archive/API. Rate: five requests per second, because
the documentation sets no limit. Licence: the archive does not state a licence, and covers belong to their creators, so
a recipe must allow training. The archive redirects to archive.org, which redirects to another machine.
"""

from __future__ import annotations

from typing import Literal

from collectors.source import Absent, Answer, Found, Host, Http, Rate, Request, Source, SourceParams, Terms
from collectors.sources.clients.musicbrainz_recordings import MBID
from collectors.sources.matched_answer import fetch_cover


class CoverArtArchive(Source):
    """Album covers from the Cover Art Archive.

    `cover` is the front cover of the release or, if missing, of the release group. It is requested once per album.
    """

    name = "coverartarchive"
    page = "https://musicbrainz.org/doc/Cover_Art_Archive/API"
    fields = {"cover": "album"}
    terms = Terms(
        None,
        "not stated",
        "https://musicbrainz.org/doc/Cover_Art_Archive",
        attribution="Cover Art Archive, Internet Archive",
    )
    hosts = (Host("url", (Rate(5, 1.0),), concurrency=4, requests=2),)
    needs = ("release_mbid", "mbid")

    class Params(SourceParams):
        """Parameters, with the longer side of the image in pixels as `size`."""

        url: str = "https://coverartarchive.org"
        size: Literal[250, 500, 1200] = 250

    def collect(self, request: Request, http: Http) -> Answer:
        for kind, field in (("release", "release_mbid"), ("release-group", "mbid")):
            mbid = request.ids.get(field, "")
            if not MBID.fullmatch(mbid):
                continue
            url = f"{self.params.url}/{kind}/{mbid}/front-{self.params.size}"
            if values := fetch_cover(http, url):
                return Found(values, payload=values["cover"])
        return Absent()

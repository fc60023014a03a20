"""A continuation as text: JSON, CSV, M3U or JSPF.

M3U has no standard: #EXTINF, #EXTALB and #PLAYLIST are what players share. JSPF: https://www.xspf.org/jspf.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Sequence

from toolkit.continuation.continuation import Next

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def to_json(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """A list of objects: id, title, artist, album, score; best first."""
    return json.dumps([dataclasses.asdict(track) for track in tracks], ensure_ascii=False, indent=1) + "\n"


def to_csv(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """RFC 4180: rank, id, title, artist, album, score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["rank", "id", "title", "artist", "album", "score"])
    for rank, track in enumerate(tracks, start=1):
        writer.writerow([rank, track.id, track.title, track.artist, track.album, repr(track.score)])
    return out.getvalue()


def to_m3u(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """Extended M3U in UTF-8; the entry of a track is its id."""
    lines = ["#EXTM3U", *([f"#PLAYLIST:{_line(title)}"] if title else [])]
    for track in tracks:
        name = " - ".join(filter(None, (_line(track.artist), _line(track.title)))) or _line(track.id)
        lines += [f"#EXTINF:-1,{name}", *([f"#EXTALB:{_line(track.album)}"] if track.album else []), _entry(track.id)]
    return "\n".join(lines) + "\n"


def to_jspf(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """JSPF; the `identifier` of a track is its id."""
    entries = []
    for track in tracks:
        named = {"title": track.title, "creator": track.artist, "album": track.album}
        entries.append({"identifier": [track.id], **{key: value for key, value in named.items() if value}})
    return (
        json.dumps({"playlist": {"title": title or "Continuation", "track": entries}}, ensure_ascii=False, indent=1)
        + "\n"
    )


def _line(text: str | None) -> str:
    """A text on one line, without control characters, which would begin a new entry or command a terminal."""
    return " ".join(_CONTROL.sub(" ", text or "").split())


def _entry(id: str) -> str:
    """An id as an entry. Spaces of file names are kept; a leading # is escaped, because it would start a comment."""
    entry = _CONTROL.sub(" ", id)
    return entry.replace("#", "%23", 1) if entry.startswith("#") else entry


WRITERS: dict[str, Callable[..., str]] = {"json": to_json, "csv": to_csv, "m3u": to_m3u, "jspf": to_jspf}

"""Continuations as JSON, CSV, M3U or JSPF text.

M3U has no standard. #EXTINF, #EXTALB and #PLAYLIST are supported by most players. JSPF: https://www.xspf.org/jspf.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Sequence

from toolkit.continuation.continuation import Next
from toolkit.terminal import cell

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def to_json(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """Return a list of objects with id, title, artist, album and score, best first."""
    return json.dumps([dataclasses.asdict(track) for track in tracks], ensure_ascii=False, indent=1) + "\n"


def to_csv(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """Return CSV (RFC 4180) with rank, id, title, artist, album and score. Texts are quoted by `terminal.cell`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["rank", "id", "title", "artist", "album", "score"])
    for rank, track in enumerate(tracks, start=1):
        named = map(cell, (track.id, track.title, track.artist, track.album))
        writer.writerow([rank, *named, repr(track.score)])
    return out.getvalue()


def to_m3u(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """Return extended M3U in UTF-8, with track ids as entries."""
    lines = ["#EXTM3U", *([f"#PLAYLIST:{_line(title)}"] if title else [])]
    for track in tracks:
        name = " - ".join(filter(None, (_line(track.artist), _line(track.title)))) or _line(track.id)
        lines += [f"#EXTINF:-1,{name}", *([f"#EXTALB:{_line(track.album)}"] if track.album else []), _entry(track.id)]
    return "\n".join(lines) + "\n"


def to_jspf(tracks: Sequence[Next], *, title: str | None = None) -> str:
    """Return JSPF, with track ids as `identifier`."""
    entries = []
    for track in tracks:
        named = {"title": track.title, "creator": track.artist, "album": track.album}
        entries.append({"identifier": [track.id], **{key: value for key, value in named.items() if value}})
    return (
        json.dumps({"playlist": {"title": title or "Continuation", "track": entries}}, ensure_ascii=False, indent=1)
        + "\n"
    )


def _line(text: str | None) -> str:
    """Return a text on one line, without control characters, which could begin a new entry or control a terminal."""
    return " ".join(_CONTROL.sub(" ", text or "").split())


def _entry(id: str) -> str:
    """Return an id as an entry. Spaces are kept, and a leading # is escaped, because it would start a comment."""
    entry = _CONTROL.sub(" ", id)
    return entry.replace("#", "%23", 1) if entry.startswith("#") else entry


WRITERS: dict[str, Callable[..., str]] = {"json": to_json, "csv": to_csv, "m3u": to_m3u, "jspf": to_jspf}

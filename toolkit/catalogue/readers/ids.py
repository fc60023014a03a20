"""External track ids, which have a scheme such as `spotify:track:…` or `local:…`."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.catalogue.normalised_names import normalised
from toolkit.catalogue.readers.open_files import storable

_KNOWN = (
    (re.compile(r"https?://open\.spotify\.com/(?:[a-z-]+/)?track/(\w++).*"), r"spotify:track:\1"),
    (re.compile(r"https?://(?:beta\.)?musicbrainz\.org/recording/([0-9a-f-]{36})/?"), r"mbid:\1"),
    (re.compile(r"(?:urn:)?isrc:([A-Za-z0-9]{12})", re.IGNORECASE), r"isrc:\1"),
)
_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:")


def qualified(raw: str, scheme: str, kind: str = "") -> str:
    """Return an id with its own scheme or prefixed by `scheme:` (`scheme:kind:` for artists and albums).

    A single letter is a drive and not a scheme.
    """
    return raw if _SCHEME.match(raw) else f"{scheme}:{kind}:{raw}" if kind else f"{scheme}:{raw}"


def recognised(identifier: str) -> str | None:
    """Return a Spotify, MusicBrainz or ISRC identifier in canonical form, or None."""
    if re.fullmatch(r"spotify:track:\w+|mbid:[0-9a-f-]{36}", identifier):
        return identifier
    for pattern, form in _KNOWN:
        if match := pattern.fullmatch(identifier):
            return match.expand(form)
    return None


def by_location(location: str, file: Path, root: Path) -> str:
    """Return the id of a track with a known location.

    A URL is used as id. The id of a file is `local:` and the path relative to `root`, the folder that was read,
    so that ids do not change when a library is moved. Outside `root` the path is used as written.
    """
    written = local_path(location)
    if written is None:
        return location
    target, base = _normal(file.parent / written), _normal(root)
    return storable(f"local:{(target.relative_to(base) if target.is_relative_to(base) else written).as_posix()}")


def local_path(location: str) -> Path | None:
    """Return a path, also from a `file:` URL or with backslashes, or None for other URLs."""
    plain = Path(location.replace("\\", "/"))
    try:
        parts = urlsplit(location)
    except ValueError:  # http://[x
        return None if _SCHEME.match(location) else plain
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    # one letter is a Windows drive
    return None if len(parts.scheme) > 1 else plain


def by_name(title: str, artist: str | None) -> str:
    """Return the id of a track from its normalised artist and title."""
    return "local:" + " - ".join(normalised(name) for name in (artist, title) if name)


def _normal(path: Path) -> Path:
    """Return an absolute path without `..`. Links are not followed, and the file may not exist."""
    parts: list[str] = []
    for part in path.absolute().parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return Path(*parts)

"""Match scores of candidates without an id, from normalised names and durations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from rapidfuzz import fuzz

from collectors.source import Request
from toolkit.catalogue.normalised_names import folded, normalised, without_guests

Item = TypeVar("Item")
ENOUGH = 0.85
"""From this score on, a candidate is found."""
ANYTHING = 0.5
"""Below this score, a candidate is absent; between the two, it is ambiguous."""
MAX_NAME = 500
"""Characters of a name that are compared. The time of a comparison grows with their square."""
MAX_CREDITS = 50
"""Artists of a track that are compared."""
MAX_CANDIDATES = 200
"""Items of an answer that are compared; sources request at most 25."""
DURATION_S = 2.0
"""Largest difference in seconds between two masters of one recording."""

_EDITION = (
    r"(?:\d{4}\s*)?(?:digital\s*|digitally\s*)?remaster(?:ed|ing)?(?:\s*version)?(?:\s*\d{4})?"
    r"|(?:single|album|original|lp|mono|stereo)(?:\s*(?:version|mix|edit))?|deluxe(?:\s*(?:edition|version))?"
    r"|(?:expanded|anniversary|special)\s*edition|bonus\s*track|explicit|clean"
)
_BRACKETED = re.compile(rf"[(\[]\s*(?:{_EDITION})\s*[)\]]")
_DASHED = re.compile(rf"\s-\s(?:{_EDITION})\s*$")
_VERSION = re.compile(
    "live|remix|mix|acoustic|karaoke|instrumental|cover|tribute|demo|unplugged|reprise|edit|sped|slowed|nightcore"
    "|orchestral|[0-9]+"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Item of a source to compare with a request. For an artist, set only `artists`."""

    title: str | None = None
    artists: tuple[str, ...] = ()
    duration_s: float | None = None


def normalise(text: str) -> str:
    """Return a normalised title or name without guests and edition notes.

    Words for versions are kept: `Señorita (feat. X) - 2011 Remaster` gives `senorita`, `Creep (Live)` gives `creep
    live`.
    """
    text = text[:MAX_NAME]
    bare, _ = without_guests(folded(text))
    return normalised(_DASHED.sub("", _BRACKETED.sub(" ", bare))) or normalised(text)


def score(request: Request, candidate: Candidate) -> float:
    """Return the match score of a candidate, from 0 to 1.

    If the title has another number or version, or the duration differs by more than `DURATION_S`, the score is below
    `ENOUGH`.
    """
    parts = []
    if request.title is not None:
        parts.append(_title(request.title, candidate.title or ""))
    if request.artists or request.title is None:
        parts.append(_artists(request.artists, candidate.artists))
    names = (min(parts) + sum(parts) / len(parts)) / 2
    return round(names * _duration(request.duration_s, candidate.duration_s), 4)


def nearest(
    request: Request, items: Sequence[Item], candidate: Callable[[Item], Candidate]
) -> tuple[Item, float] | None:
    """Return the best item and its score, or None if no item can match. Ties are broken by order.

    `candidate` is a function from an item to a `Candidate`.
    """
    scored = [(item, score(request, candidate(item))) for item in items[:MAX_CANDIDATES]]
    best = max(scored, key=lambda pair: pair[1], default=None)
    return None if best is None or verdict(best[1]) == "absent" else best


def verdict(score: float) -> Literal["found", "ambiguous", "absent"]:
    """Return the verdict for a score, by which a source returns `Found`, `Ambiguous` or `Absent`."""
    return "found" if score >= ENOUGH else "ambiguous" if score >= ANYTHING else "absent"


def _title(requested: str, offered: str) -> float:
    left, right = normalise(requested), normalise(offered)
    alike = fuzz.token_sort_ratio(left, right) / 100
    differ = set(left.split()) ^ set(right.split())
    # "Part 1" is not "Part 2" and a live recording is not the studio's, however alike their names are
    return min(alike, 0.75) if any(map(_VERSION.fullmatch, differ)) else alike


def _artists(requested: Sequence[str], offered: Sequence[str]) -> float:
    """Return the score of the best pair of names, because only some services credit guests."""
    lefts, rights = ([normalise(name) for name in names[:MAX_CREDITS]] for names in (requested, offered))
    pairs = [(left, right) for left in (*lefts[:1], " ".join(lefts)) for right in (*rights, " ".join(rights))]
    return max((fuzz.token_sort_ratio(left, right) / 100 for left, right in pairs if left and right), default=0.0)


def _duration(requested: float | None, offered: float | None) -> float:
    """Return the duration factor of the score, from 0.4 to 1."""
    off = abs(requested - offered) if requested and offered else 0.0
    return 1.0 if off <= DURATION_S else max(0.4, 0.84 - (off - DURATION_S) / 60)

"""How well what a source has fits what was asked for, where no id says so: normalised names and duration."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from rapidfuzz import fuzz

from collectors.source import Request

Thing = TypeVar("Thing")
ENOUGH = 0.85
"""From this score on it is taken for the same thing."""
ANYTHING = 0.5
"""Below this it is another thing; between the two nobody knows."""
DURATION_S = 2.0
"""Two masters of one recording differ by no more."""

_CREDIT = re.compile(r"[(\[]\s*(?:feat|ft|featuring|with)\b\.?[^)\]]*[)\]]|\s(?:feat|ft|featuring)\b\.?\s.*$")
_EDITION = (
    r"(?:\d{4}\s*)?(?:digital\s*|digitally\s*)?remaster(?:ed|ing)?(?:\s*version)?(?:\s*\d{4})?"
    r"|(?:single|album|original|lp|mono|stereo)\s*(?:version|mix|edit)?|deluxe(?:\s*(?:edition|version))?"
    r"|(?:expanded|anniversary|special)\s*edition|bonus\s*track|explicit|clean"
)
_BRACKETED = re.compile(rf"[(\[]\s*(?:{_EDITION})\s*[)\]]")
_DASHED = re.compile(rf"\s[-–—]\s(?:{_EDITION})\s*$")
_VERSION = re.compile(
    "live|remix|mix|acoustic|karaoke|instrumental|cover|tribute|demo|unplugged|reprise|edit|sped|slowed|nightcore|orchestral|[0-9]+"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that a source has; of an artist only `artists`."""

    title: str | None = None
    artists: tuple[str, ...] = ()
    duration_s: float | None = None


def normalise(text: str) -> str:
    """Comparable form of a title or name: case, accents, punctuation, guests and edition notes taken away, versions kept.

    `Señorita (feat. X) - 2011 Remaster` gives `senorita`; `Creep (Live)` gives `creep live`. Never empty for a text that holds
    anything: `!!!` stays.
    """
    folded = _fold(text)
    bare = _DASHED.sub("", _BRACKETED.sub(" ", _CREDIT.sub(" ", folded)))
    return _words(bare) or _words(folded) or " ".join(folded.split())


def score(request: Request, candidate: Candidate) -> float:
    """0…1. Another number or version in the title, or a duration further off than `DURATION_S`, keeps it below `ENOUGH`."""
    parts = []
    if request.title is not None:
        parts.append(_title(request.title, candidate.title or ""))
    if request.artists or request.title is None:
        parts.append(_artists(request.artists, candidate.artists))
    agreed = (min(parts) + sum(parts) / len(parts)) / 2
    return round(agreed * _duration(request.duration_s, candidate.duration_s), 4)


def nearest(
    request: Request, things: Sequence[Thing], about: Callable[[Thing], Candidate]
) -> tuple[Thing, float] | None:
    """What fits best, the first of equals, and its score; None where nothing may be what was asked for."""
    scored = [(thing, score(request, about(thing))) for thing in things]
    best = max(scored, key=lambda pair: pair[1], default=None)
    return None if best is None or verdict(best[1]) == "absent" else best


def verdict(score: float) -> Literal["found", "ambiguous", "absent"]:
    """What a score means: a source answers with `Found`, `Ambiguous` or `Absent` accordingly."""
    return "found" if score >= ENOUGH else "ambiguous" if score >= ANYTHING else "absent"


def _title(wanted: str, given: str) -> float:
    left, right = normalise(wanted), normalise(given)
    words, others = set(left.split()), set(right.split())
    alike = fuzz.token_sort_ratio(left, right) / 100
    differ = words ^ others
    # "Part 1" is not "Part 2" and a live recording is not the studio's, however alike their names are
    return min(alike, 0.75) if any(map(_VERSION.fullmatch, differ)) else alike


def _artists(wanted: Sequence[str], given: Sequence[str]) -> float:
    """The best pair of names: guests are credited here and left out there."""
    lefts, rights = [normalise(name) for name in wanted], [normalise(name) for name in given]
    pairs = [(left, right) for left in (*lefts[:1], " ".join(lefts)) for right in (*rights, " ".join(rights))]
    return max((fuzz.token_sort_ratio(left, right) / 100 for left, right in pairs if left and right), default=0.0)


def _duration(wanted: float | None, given: float | None) -> float:
    if not wanted or not given:
        return 1.0
    off = abs(wanted - given)
    return 1.0 if off <= DURATION_S else max(0.4, 0.84 - (off - DURATION_S) / 60)


def _fold(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", "".join(mark for mark in apart if not "\u0300" <= mark <= "\u036f"))


def _words(text: str) -> str:
    """Letters, numbers and marks of any script, `&` as `and`, apostrophes closed up."""
    closed = re.sub(r"['’`´]", "", text.replace("&", " and "))
    return " ".join("".join(mark if unicodedata.category(mark)[0] in "LNM" else " " for mark in closed).split())

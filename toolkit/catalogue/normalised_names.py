"""Normalisation of names: titles, artists and albums are compared in the same form everywhere.

Matching, ids derived from names, artist identity, recordings and leak checks all compare names in this form.
"""

from __future__ import annotations

import re
import unicodedata

VERSION = 1
"""Version of the normalisation. Files with normalised names are rebuilt if it changes."""

_TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("’‘‛ʼʻʹ′`´＇", "'") | dict.fromkeys("“”„‟«»″", '"') | dict.fromkeys("‐‑‒–—―−", "-")
)
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t"}
)
"""Latin letters that Unicode does not decompose."""

_ACCENTS = re.compile(
    # of Latin and Greek letters, and of the Cyrillic ё; marks of other letters, such as й, belong to the letter
    r"(?<=[a-z\u00df-\u024f\u0370-\u03ff\u0435])[\u0300-\u036f]+|(?<![^\W_])[\u0300-\u036f]+"
    # variation selectors and characters that are not visible
    r"|[\ufe00-\ufe0f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
_WORD = re.compile(r"[^\W_]")
_INVERTED = re.compile(r"(.*[^\s,])\s*,\s*the\s*")
_ACRONYM = re.compile(r"\b([^\W\d_])\.(?=[^\W\d_]\b)")
_DOLLAR = re.compile(r"\$(?=[^\W\d_])|(?<=[^\W\d_])\$")
_EXCLAMATION = re.compile(r"(?<=[^\W\d_])!(?=[^\W\d_])")

_ASCII = str.maketrans(
    {chr(code): " " for code in range(128) if not chr(code).isalnum()}
    | {"'": None, "`": None, "&": " and ", "+": " and "}
)

LONGEST_GUESTS = 1_000
"""Largest number of characters of the guests in brackets: a longer text is not a credit and is kept."""
# every pattern takes linear time on any text: a match of spaces starts only at the first space and never backtracks
_FEATURED = r"(?:(?:feat|ft)\.\s*+|(?:feat|ft|featuring)\s++)"
_CREDITED = re.compile(rf"\s(?<!\s\s)\s*+[(\[]?{_FEATURED}(?!{_FEATURED})(?=[^\W_])", re.IGNORECASE)
_COMMA = re.compile(r",\s+(?!the\s*(?:,|$))", re.IGNORECASE)
_GUESTS = re.compile(
    rf"(?<!\s)\s*+[(\[]\s*+(?:{_FEATURED}|with\s++)([^)\]]{{0,{LONGEST_GUESTS}}}+)[)\]]"
    # up to ` - `, a bracket or the end of the line
    rf"|\s{_FEATURED}(.(?:[^\s(\[]++|[^\S\n]++(?!-\s|[(\[]))*+)",
    re.IGNORECASE,
)


def normalised(text: str) -> str:
    """Return the form in which names are compared: words in lower case, separated by single spaces.

    Two spellings are the same name if they differ only in:

    - case, full-width letters, ligatures and invisible characters;
    - accents of Latin and Greek letters, which are removed (`Beyoncé`, `Røyksopp`, `Μάνος`), and `ё`;
    - quotes, dashes and apostrophes (`DMA’s`, `DMA's`, `DMAs`), other punctuation and spaces (`AC/DC`, `AC-DC`);
    - `&`, `+` and `and`; the dots of an acronym (`R.E.M.`); `$` for s and `!` for i within a word (`Ke$ha`, `P!nk`);
    - a final article after a comma (`Beatles, The`).

    Other scripts are kept. A name without a letter or digit, such as `!!!`, keeps its punctuation. A leading article is
    kept, because `The Band` and `Band` are different artists.

    Example:
        >>> normalised("Simon & Garfunkel") == normalised("SIMON  and Garfunkel")
        True
    """
    plain = folded(text)
    if not _WORD.search(plain):
        return " ".join(plain.split())
    if "," in plain and (inverted := _INVERTED.fullmatch(plain)):
        plain = f"the {inverted[1]}"
    if "." in plain:
        plain = _ACRONYM.sub(r"\1", plain)
    if "$" in plain:
        plain = _DOLLAR.sub("s", plain)
    if "!" in plain:
        plain = _EXCLAMATION.sub("i", plain)
    plain = plain.translate(_ASCII)
    return " ".join((plain if plain.isascii() else "".join(map(_letter, plain))).split())


def folded(text: str) -> str:
    """Return a text in lower case without accents, with plain quotes and dashes. Other punctuation is kept."""
    if text.isascii():
        return text.lower().replace("`", "'")
    # before the decomposition, which would turn ´ into the accent of a space
    decomposed = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHIC)).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", decomposed)).translate(_LETTERS)
    return unicodedata.normalize("NFKC", bare)


def credited(text: str) -> list[str]:
    """Return the artists in a credit as written: `A, B` and `A feat. B` are `A` and `B`.

    `&` and `and` do not separate artists, because they are part of many names.
    """
    return [name for part in featured(text) for each in _COMMA.split(part) if (name := each.strip())]


def featured(name: str) -> list[str]:
    """Return the artists of a single name as written: `A feat. B` is `A` and `B`. Commas do not separate artists."""
    return [bare for part in _CREDITED.split(name) if (bare := _closed(part.strip()))]


def artist_key(text: str) -> str:
    """Return the normalised artists in a credit, one per line, in order. Equal keys mean the same artists."""
    return "\n".join(map(normalised, credited(text)))


def without_guests(title: str) -> tuple[str, list[str]]:
    """Return a title without its guests, and the guests: `Song (feat. B) - Live` is `Song - Live` and `B`."""
    if not _GUESTS.search(title):
        return title, []
    guests = [name for match in _GUESTS.finditer(title) for name in credited(match[1] or match[2] or "")]
    bare = _GUESTS.sub("", title)
    return (bare, guests) if bare.strip() else (title, [])


def _letter(mark: str) -> str:
    category = unicodedata.category(mark)
    return mark if category[0] in "LNM" else "" if category == "Cf" else " "


def _closed(name: str) -> str:
    """Return a name without the closing bracket of `A (feat. B)`."""
    return name[:-1].rstrip() if name[-1:] in (")", "]") and not set(name) & set("([") else name

"""Reader for RDF files as a stream of triples, with N-Triples read line by line and Turtle read by rdflib.

Files may be compressed (`.gz` or `.bz2`). N-Triples files (https://www.w3.org/TR/n-triples/) are never in memory as a
whole. Turtle files are loaded into an rdflib graph, unless their first lines are N-Triples, as in the `.ttl` dumps of
DBpedia.
"""

from __future__ import annotations

import bz2
import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from toolkit.errors import DataError, InputError, require
from toolkit.packages import RDFLIB

ENDINGS = {".nt": "nt", ".ntriples": "nt", ".ttl": "turtle", ".turtle": "turtle"}
PACKED: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open}
SNIFFED = 1000
"""Number of lines that decide whether a `.ttl` file is N-Triples."""

MOST_BAD = 0.01
"""Maximum share of invalid lines. Files with more are rejected, and fewer are skipped with a warning."""


class Triple(NamedTuple):
    """RDF triple with a subject, a property and a value.

    - iri: whether `value` is an IRI or a blank node. Otherwise `value` is the text of a literal.
    - language: language of a literal, or an empty string.
    """

    subject: str
    property: str
    value: str
    iri: bool
    language: str


_IRI = r"<([^<>\"{}|^`\s]*)>"
_LINE = re.compile(
    rf"[ \t]*(?:{_IRI}|(_:[^\s<>\"]+))[ \t]*{_IRI}[ \t]*"
    rf"(?:{_IRI}|(_:[^\s<>\"]+)|\"((?:[^\"\\\n\r]|\\.)*)\"(?:@([A-Za-z]+(?:-[A-Za-z0-9]+)*)|\^\^{_IRI})?)"
    r"[ \t]*\.[ \t]*(?:#.*)?$"
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_SHORT = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


def read(path: Path) -> Iterator[Triple]:
    """Yield the triples of a file, whose ending determines the format.

    Raises `InputError` for a file that is missing or has an unknown format, and `DataError` for a damaged file.
    """
    checked(path)
    try:
        with _opened(path) as file:
            yield from _lines(path, file) if _is_lines(path) else _turtle(path, file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}): download the file again") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(
            f"{path} is damaged ({error}): download the file again"
        ) from None  # an error of bz2 has no number


def parse(line: str) -> Triple | None:
    """Parse a line of N-Triples. Returns None for an empty line or a comment, and raises `ValueError` if invalid."""
    match = _LINE.match(line)
    if match is None:
        if not line.strip() or line.lstrip().startswith("#"):
            return None
        raise ValueError(f"{line!r} is not a triple in N-Triples syntax")
    subject, blank, name, value, other, literal, language, _ = match.groups()
    if literal is not None:
        return Triple(_plain(subject or blank), _plain(name), _plain(literal), False, (language or "").lower())
    return Triple(_plain(subject or blank), _plain(name), _plain(value if value is not None else other), True, "")


def checked(path: Path) -> str:
    """Return the format of a file according to its ending, `nt` or `turtle`.

    Raises `InputError` if the file is missing or has an unknown format.
    """
    name = path.with_suffix("") if path.suffix in PACKED else path
    if name.suffix not in ENDINGS:
        raise InputError(f"{path} must end in .nt or .ttl, optionally with .gz or .bz2: rename or convert the file")
    if not path.is_file():
        raise InputError(f"{path} must be a file: pass a knowledge base dump, .nt or .ttl, optionally with .gz or .bz2")
    return ENDINGS[name.suffix]


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], PACKED[path.suffix](path)) if path.suffix in PACKED else path.open("rb")


def _is_lines(path: Path) -> bool:
    if checked(path) == "nt":
        return True
    with _opened(path) as file:
        try:
            return any([parse(line.decode("utf-8").rstrip("\r\n")) for line in islice(file, SNIFFED)])
        except ValueError:
            return False


def _lines(path: Path, file: IO[bytes]) -> Iterator[Triple]:
    bad, number, first = 0, 0, ""
    for number, raw in enumerate(file, 1):
        try:
            triple = parse(raw.decode("utf-8").rstrip("\r\n"))
        except ValueError:
            bad += 1
            first = first or f"line {number} is {raw[:80].decode('utf-8', 'replace').strip()}"
            continue
        if triple is not None:
            yield triple
    fault = f"{path}: {bad:,} of {number:,} lines are not N-Triples"
    if bad > MOST_BAD * number:
        raise DataError(f"{fault} ({first}), but at most {MOST_BAD:.0%} may be invalid: rename a Turtle file to .ttl")
    if bad:
        warnings.warn(f"{fault} and are skipped ({first})", RuntimeWarning, stacklevel=2)


def _turtle(path: Path, file: IO[bytes]) -> Iterator[Triple]:
    rdflib = require("rdflib", install=RDFLIB.install)
    content = file.read()
    graph = rdflib.Graph()
    try:
        graph.parse(data=content, format="turtle")
    except Exception as error:  # of rdflib, its grammar or the codecs
        raise DataError(
            f"{path} is not Turtle ({' '.join(str(error).split())[:200]}): download or convert the file again"
        ) from None
    for subject, name, value in graph:
        iri, language = not isinstance(value, rdflib.Literal), getattr(value, "language", None) or ""
        yield Triple(_name(subject), str(name), _name(value) if iri else str(value), iri, language.lower())


def _name(node: object) -> str:
    return f"_:{node}" if type(node).__name__ == "BNode" else str(node)


def _plain(text: str) -> str:
    """Return a text with the escapes of N-Triples replaced by characters."""
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code is None:
        if match[3] not in _SHORT:
            raise ValueError(f"{match[0]!r} is not an escape sequence of N-Triples")
        return _SHORT[match[3]]
    number = int(code, 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ValueError(f"{match[0]!r} is not a Unicode character")
    return chr(number)

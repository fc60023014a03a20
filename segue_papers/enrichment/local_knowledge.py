"""Local knowledge base from dumps, stored in SQLite in the cache folder and built once in bounded memory.

The database contains all triples except literals in other languages and literals longer than `LONGEST` characters
(abstracts, which are not appended). The database also contains the names by which a text may mention an entity, which
are labels, names, aliases, redirects, and the last part of the IRI.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from segue_papers.enrichment import rdf_triples
from segue_papers.enrichment.knowledge import TYPE, Facts, Knowledge, local_name, sorted_facts
from segue_papers.enrichment.rdf_triples import Triple
from toolkit.catalogue.normalised_names import folded
from toolkit.encoders.contract.content_hash import files_digest
from toolkit.encoders.contract.encoder import Progress
from toolkit.errors import DataError, InputError
from toolkit.files import changed_while_read, derived_path, file_state, read_json, replacing, write_json

VERSION = 2
"""Version of the tables. Tables of other versions are rebuilt."""

LONGEST = 300
BATCH = 20_000
BATCH_SUBJECTS = 400
"""Subjects of one query; SQLite allows at least 999 values."""

CACHE_MB = 128

NAMES = (
    "http://www.w3.org/2000/01/rdf-schema#label",
    "http://www.w3.org/2004/02/skos/core#prefLabel",
    "http://www.w3.org/2004/02/skos/core#altLabel",
    "http://xmlns.com/foaf/0.1/name",
    "http://schema.org/name",
    "http://schema.org/alternateName",
    "http://dbpedia.org/ontology/alias",
    "http://dbpedia.org/ontology/birthName",
)
"""Properties whose values are names of the subject."""

REDIRECT = "http://dbpedia.org/ontology/wikiPageRedirects"

_TABLES = """
CREATE TABLE property (id INTEGER PRIMARY KEY, iri TEXT NOT NULL);
CREATE TABLE fact (subject TEXT NOT NULL, property INTEGER NOT NULL, value TEXT NOT NULL);
CREATE TABLE named (alias TEXT NOT NULL, subject TEXT NOT NULL);
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_INDICES = """
CREATE INDEX fact_by_subject ON fact (subject, property);
CREATE TABLE alias AS SELECT DISTINCT alias, subject FROM named ORDER BY alias, subject;
CREATE INDEX alias_by_name ON alias (alias);
CREATE TABLE first (word TEXT PRIMARY KEY, longest INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO first
SELECT substr(alias, 1, instr(alias || ' ', ' ') - 1) AS word, MAX(length(alias) - length(replace(alias, ' ', '')) + 1)
FROM alias GROUP BY word;
DROP TABLE named;
"""


class LocalKnowledge(Knowledge):
    """Knowledge base from dumps, with tables built by `prepare` or before the first query.

    - files: `.nt` or `.ttl`, optionally with `.gz` or `.bz2`.
    - language: language of the literals that are kept. Literals without a language are kept too.

    Raises `InputError` for files that are missing or have an unknown format, and later `DataError` for damaged files.
    """

    def __init__(self, files: Sequence[Path], *, language: str = "en") -> None:
        if not files:
            raise InputError(
                "knowledge=[] must have at least 1 file: pass dumps, .nt or .ttl, optionally with .gz or .bz2"
            )
        for file in files:
            rdf_triples.checked(file)
        self.files, self.language = files, language
        self.path = derived_path("knowledge", f"-{language}.sqlite", *files, version=VERSION)

    def prepare(self, progress: Progress | None = None) -> None:
        if not self._whole():
            build(self.path, self.files, language=self.language, progress=progress)

    def fingerprint(self) -> str:
        """Return a digest of the files, read from the tables if they are built."""
        return self.about()["digest"] if self._whole() else files_digest(self.files)

    def _whole(self) -> bool:
        """Return whether the tables are built and readable."""
        if not self.path.is_file():
            return False
        try:
            if read_json(_state(self.path)) != list(file_state(self.path) or ()):
                raise sqlite3.DatabaseError("it changed after it was built")
            with contextlib.closing(self._opened()) as store:
                return store.execute("SELECT value FROM about WHERE name = 'digest'").fetchone() is not None
        except (sqlite3.Error, InputError) as error:
            warnings.warn(f"{self.path} is damaged and rebuilt: {error}", RuntimeWarning, stacklevel=3)
            self.path.unlink()
            return False

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    @cached_property
    def _store(self) -> sqlite3.Connection:
        self.prepare()
        store = self._opened()
        store.execute(f"PRAGMA cache_size = -{CACHE_MB * 1000}")
        return store

    @cached_property
    def _properties(self) -> dict[str, int]:
        return {iri: number for number, iri in self._store.execute("SELECT id, iri FROM property")}

    def about(self) -> dict[str, str]:
        """Return the numbers of triples read and kept, and the digest of the files."""
        return dict(self._store.execute("SELECT name, value FROM about"))

    def facts(self, subjects: Collection[str], properties: Collection[str]) -> Facts:
        numbers = {self._properties[iri]: iri for iri in properties if iri in self._properties}
        listed = sorted(set(subjects))
        facts: dict[str, dict[str, set[str]]] = {}
        for start in range(0, len(listed), BATCH_SUBJECTS):
            batch = listed[start : start + BATCH_SUBJECTS]
            where = f"subject IN ({_marks(batch)}) AND property IN ({_marks(numbers)})"
            rows = self._store.execute(f"SELECT subject, property, value FROM fact WHERE {where}", [*batch, *numbers])  # nosec B608 # two fixed conditions with ?
            for subject, number, value in rows:
                facts.setdefault(subject, {}).setdefault(numbers[number], set()).add(value)
        return sorted_facts(facts)

    def longest(self, word: str) -> int:
        """Return the number of words in the longest name that starts with `word` in `plain` form, or 0."""
        row = self._store.execute("SELECT longest FROM first WHERE word = ?", [word]).fetchone()
        return int(row[0]) if row else 0

    def named(self, alias: str) -> list[tuple[str, int]]:
        """Return the entities named `alias` in `plain` form and their numbers of facts, in descending order."""
        rows = self._store.execute(
            "SELECT subject, (SELECT COUNT(*) FROM fact WHERE fact.subject = alias.subject) AS known"
            " FROM alias WHERE alias = ? ORDER BY known DESC, subject",
            [alias],
        )
        return [(str(subject), int(known)) for subject, known in rows]


def _state(path: Path) -> Path:
    """Return the path of the file with the state of the tables when they were built."""
    return path.with_name(f"{path.name}.state")


def plain(name: str) -> str:
    """Return a name in lookup form, folded words separated by single spaces. Apostrophes separate words."""
    return " ".join(re.findall(r"[^\W_]+", folded(name)))


def build(path: Path, files: Sequence[Path], *, language: str, progress: Progress | None = None) -> None:
    """Read dumps into a new SQLite file atomically."""
    digest = files_digest(files)
    settings = f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_MB * 1000};"
    with replacing(path) as temporary, contextlib.closing(sqlite3.connect(temporary)) as store:
        store.executescript(settings + _TABLES)
        counts = _filled(store, files, language, progress)
        if not counts["kept"]:
            raise DataError(
                f"{', '.join(map(str, files))}: at least 1 of {counts['read']:,} triples must be usable: pass dumps "
                f"with facts or names in language {language!r}"
            )
        if files_digest(files) != digest:
            raise changed_while_read(", ".join(map(str, files)))
        about = [("digest", digest), *((name, str(count)) for name, count in counts.items())]
        store.executemany("INSERT INTO about VALUES (?, ?)", about)
        store.executescript(_INDICES)
        store.commit()
    write_json(_state(path), file_state(path))


def _filled(
    store: sqlite3.Connection, files: Sequence[Path], language: str, progress: Progress | None
) -> dict[str, int]:
    """Write triples and names from the files into the tables. Returns the numbers of triples read and kept."""
    counts, numbers = {"read": 0, "kept": 0}, dict[str, int]()
    for index, file in enumerate(files):
        stream = rdf_triples.read(file)
        while batch := list(islice(stream, BATCH)):
            kept = [triple for triple in batch if _useful(triple, language)]
            for triple in kept:
                numbers.setdefault(triple.property, len(numbers))
            store.executemany(
                "INSERT INTO fact VALUES (?, ?, ?)", ((t.subject, numbers[t.property], t.value) for t in kept)
            )
            store.executemany("INSERT INTO named VALUES (?, ?)", (pair for triple in kept for pair in _aliases(triple)))
            counts["read"] += len(batch)
            counts["kept"] += len(kept)
            if progress is not None:
                progress(index, len(files), f"knowledge base, {counts['read']:,} triples")
    store.executemany("INSERT INTO property VALUES (?, ?)", ((number, iri) for iri, number in numbers.items()))
    return counts


def _useful(triple: Triple, language: str) -> bool:
    return triple.iri or (len(triple.value) <= LONGEST and triple.language.split("-")[0] in ("", language))


def _aliases(triple: Triple) -> Iterator[tuple[str, str]]:
    """Yield the name given to an entity by a triple, and the entity."""
    if triple.property in NAMES and not triple.iri:
        alias, subject = plain(triple.value), triple.subject
    elif triple.property == REDIRECT and triple.iri:
        alias, subject = _own_name(triple.subject), triple.value
    elif triple.property == TYPE:
        alias, subject = _own_name(triple.subject), triple.subject
    else:
        return
    if alias:
        yield alias, subject


def _own_name(iri: str) -> str:
    """Return the name in an IRI: `http://dbpedia.org/resource/Love_(band)` -> `love`."""
    return plain(re.sub(r"_?\([^()]*\)$", "", local_name(iri)))


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))

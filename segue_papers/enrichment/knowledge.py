"""Base class for knowledge bases."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import unquote

from toolkit.encoders.contract.encoder import Progress

TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
CATEGORY = "http://purl.org/dc/terms/subject"
"""Property by which DBpedia gives an entity's Wikipedia categories."""

ONTOLOGY = "http://dbpedia.org/ontology/"

Facts = dict[str, dict[str, list[str]]]
"""subject -> property -> values, sorted: IRIs, or the texts of literals."""


def sorted_facts(facts: Mapping[str, Mapping[str, Iterable[str]]]) -> Facts:
    """Return facts with sorted values."""
    return {subject: {name: sorted(values) for name, values in of.items()} for subject, of in facts.items()}


class Knowledge(ABC):
    """Base class for knowledge bases, which store triples by subject and property."""

    @abstractmethod
    def facts(self, subjects: Collection[str], properties: Collection[str]) -> Facts:
        """Return facts about `subjects`, by full IRI. A subject or property without facts has no entry."""

    def prepare(self, progress: Progress | None = None) -> None:  # noqa: B027 (most need nothing)
        """Run slow preparations before the first query."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a string that changes with the facts, such as a content digest or an endpoint address."""


def local_name(iri: str) -> str:
    """Return the part after the last `/` or `#`: `http://dbpedia.org/resource/AC%2FDC` -> `AC/DC`."""
    return unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1])


def resolved(name: str, namespace: str) -> str:
    """Return a class or property of a recipe as a full IRI. Short names are resolved in `namespace`."""
    return name if "://" in name else namespace + name

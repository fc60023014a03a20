"""Base class of knowledge bases."""

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
    """Facts with the values in order."""
    return {subject: {name: sorted(values) for name, values in of.items()} for subject, of in facts.items()}


class Knowledge(ABC):
    """Triples by subject and property."""

    @abstractmethod
    def facts(self, subjects: Collection[str], properties: Collection[str]) -> Facts:
        """Facts about `subjects`, by full IRI. A subject or property without a fact has no entry."""

    def prepare(self, progress: Progress | None = None) -> None:  # noqa: B027 (most need nothing)
        """Prepare what takes long, before the first query."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A string that changes with the facts: a digest of the content, or the address of an endpoint."""


def local_name(iri: str) -> str:
    """The part after the last `/` or `#`: `http://dbpedia.org/resource/AC%2FDC` -> `AC/DC`."""
    return unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1])


def resolved(name: str, namespace: str) -> str:
    """A class or property of a recipe as a full IRI; short names are in `namespace`."""
    return name if "://" in name else namespace + name

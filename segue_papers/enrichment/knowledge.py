"""What enrichment asks of a knowledge base, wherever it is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from urllib.parse import unquote

from toolkit.encoders.contract.encoder import Progress

TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
CATEGORY = "http://purl.org/dc/terms/subject"
"""Property by which DBpedia gives an entity's Wikipedia categories."""

ONTOLOGY = "http://dbpedia.org/ontology/"

Facts = dict[str, dict[str, list[str]]]
"""subject -> property -> values, sorted: IRIs, or the texts of literals."""


class Knowledge(ABC):
    """Triples by subject and property."""

    @abstractmethod
    def facts(self, subjects: Collection[str], properties: Collection[str]) -> Facts:
        """What is known of `subjects`, by full IRI; a subject or property of which nothing is known has no entry."""

    def prepare(self, progress: Progress | None = None) -> None:  # noqa: B027 (most need nothing)
        """Whatever takes long before the first question."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the answers may: a digest of the content, or an endpoint's address where that is all there is."""


def local_name(iri: str) -> str:
    """The part behind the last `/` or `#`: `http://dbpedia.org/resource/AC%2FDC` -> `AC/DC`."""
    return unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1])


def resolved(name: str, namespace: str) -> str:
    """A class or property of a recipe as a full IRI: short names are of `namespace`."""
    return name if "://" in name else namespace + name

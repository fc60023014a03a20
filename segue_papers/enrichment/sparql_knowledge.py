"""A knowledge base behind a SPARQL endpoint, such as https://dbpedia.org/sparql.

Protocol: https://www.w3.org/TR/sparql11-protocol/; answers as SPARQL JSON. An endpoint's content has no digest:
embeddings are encoded anew when its address changes, not when its content does.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from segue_papers.enrichment import web_service
from segue_papers.enrichment.knowledge import Facts, Knowledge
from toolkit.errors import DataError

ASKED = 50
"""Subjects of one query."""

_SAFE = re.compile(r"[^\x00-\x20<>\"{}|^`\\]+")


class SparqlKnowledge(Knowledge):
    """Facts from an endpoint. language: of the literals that are taken, beside those without one. timeout: seconds of one query."""

    def __init__(
        self, url: str, *, language: str = "en", timeout: float = 30, retries: int = 4, wait: float = 0.5
    ) -> None:
        self.url, self.language, self.timeout, self.retries, self.wait = url, language, timeout, retries, wait

    def fingerprint(self) -> str:
        return self.url

    def facts(self, subjects: Collection[str], properties: Collection[str]) -> Facts:
        asked = sorted(subject for subject in set(subjects) if _SAFE.fullmatch(subject))  # nothing else is an IRI
        found: dict[str, dict[str, set[str]]] = {}
        if not properties:
            return {}
        for start in range(0, len(asked), ASKED):
            for subject, name, value in self._rows(asked[start : start + ASKED], sorted(set(properties))):
                found.setdefault(subject, {}).setdefault(name, set()).add(value)
        return {subject: {name: sorted(values) for name, values in of.items()} for subject, of in found.items()}

    def _rows(self, subjects: list[str], properties: list[str]) -> list[tuple[str, str, str]]:
        query = (
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {_iris(subjects)} }} VALUES ?p {{ {_iris(properties)} }} ?s ?p ?o . "
            f'FILTER (!isLiteral(?o) || lang(?o) = "" || langMatches(lang(?o), "{self.language}")) }}'
        )
        answer = web_service.ask(
            self.url,
            {"query": query},
            what="SPARQL endpoint",
            accept="application/sparql-results+json",
            timeout=self.timeout,
            retries=self.retries,
            wait=self.wait,
        )
        try:
            return [(row["s"]["value"], row["p"]["value"], row["o"]["value"]) for row in answer["results"]["bindings"]]
        except (KeyError, TypeError):
            raise DataError(f"SPARQL endpoint at {self.url} answers no SPARQL JSON: is it another service?") from None


def _iris(values: list[str]) -> str:
    return " ".join(f"<{value}>" for value in values)

"""Knowledge base at a SPARQL endpoint, such as https://dbpedia.org/sparql.

The protocol is https://www.w3.org/TR/sparql11-protocol/ with answers in SPARQL JSON. The content of an endpoint has no
digest. Texts are therefore encoded again if the address changes, but not if the content changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from segue_papers.enrichment import web_service
from segue_papers.enrichment.knowledge import Facts, Knowledge, sorted_facts
from toolkit.errors import DataError

BATCH = 50
"""Subjects of one query."""

_SAFE = re.compile(r"[^\x00-\x20<>\"{}|^`\\]+")


class SparqlKnowledge(Knowledge):
    """Knowledge base with facts from an endpoint.

    - language: language of the literals that are used. Literals without a language are used too.
    - timeout, retries, wait: see `segue_papers.enrichment.web_service.post_form`.
    """

    def __init__(
        self, url: str, *, language: str = "en", timeout: float = 30, retries: int = 4, wait: float = 0.5
    ) -> None:
        self.url, self.language, self.timeout, self.retries, self.wait = url, language, timeout, retries, wait

    def fingerprint(self) -> str:
        return self.url

    def facts(self, subjects: Collection[str], properties: Collection[str]) -> Facts:
        iris = sorted(subject for subject in set(subjects) if _SAFE.fullmatch(subject))  # nothing else is an IRI
        facts: dict[str, dict[str, set[str]]] = {}
        if not properties:
            return {}
        for start in range(0, len(iris), BATCH):
            for subject, name, value in self._rows(iris[start : start + BATCH], sorted(set(properties))):
                facts.setdefault(subject, {}).setdefault(name, set()).add(value)
        return sorted_facts(facts)

    def _rows(self, subjects: list[str], properties: list[str]) -> list[tuple[str, str, str]]:
        query = (
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {_iris(subjects)} }} VALUES ?p {{ {_iris(properties)} }} "
            "?s ?p ?o . "
            f'FILTER (!isLiteral(?o) || lang(?o) = "" || langMatches(lang(?o), "{self.language}")) }}'
        )
        answer = web_service.post_form(
            self.url,
            {"query": query},
            what="SPARQL endpoint",
            accept="application/sparql-results+json",
            timeout=self.timeout,
            retries=self.retries,
            wait=self.wait,
        )
        try:
            rows = [(row["s"]["value"], row["p"]["value"], row["o"]["value"]) for row in answer["results"]["bindings"]]
            if not all(isinstance(value, str) for row in rows for value in row):
                raise TypeError
            return rows
        except (KeyError, TypeError):
            raise DataError(
                f"SPARQL endpoint at {self.url} must return SPARQL JSON: set endpoint to a SPARQL service"
            ) from None


def _iris(values: list[str]) -> str:
    return " ".join(f"<{value}>" for value in values)

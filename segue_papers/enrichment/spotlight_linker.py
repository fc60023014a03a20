"""Entities by DBpedia Spotlight over HTTP, in place of the paper's Babelfy.

Source: Daiber et al., "Improving Efficiency and Accuracy in Multilingual Entity Extraction", I-SEMANTICS 2013. The service
is Apache-2.0 and runs on a machine of yours (`http://localhost:2222/rest/annotate`); the public one is for a few texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from segue_papers.enrichment import web_service
from segue_papers.enrichment.entity_linking import EntityLinker, Mention
from toolkit.errors import DataError

PARALLEL = 4
"""Questions that wait for their answer at once."""


class SpotlightLinker(EntityLinker):
    """Mentions that the service at `url` finds with at least `confidence`, 0 … 1. timeout: seconds of one question."""

    def __init__(
        self, url: str, *, confidence: float = 0.5, timeout: float = 30, retries: int = 4, wait: float = 0.5
    ) -> None:
        self.url, self.confidence, self.timeout, self.retries, self.wait = url, confidence, timeout, retries, wait

    def fingerprint(self) -> str:
        return self.url

    def link(self, text: str) -> list[Mention]:
        if not text.strip():
            return []  # which the service refuses
        form = {"text": text, "confidence": str(self.confidence)}
        answer = web_service.ask(
            self.url, form, what="DBpedia Spotlight", timeout=self.timeout, retries=self.retries, wait=self.wait
        )
        try:
            return _in_order([_mention(found) for found in answer.get("Resources", [])])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError(f"DBpedia Spotlight at {self.url} answers no annotations: is it another service?") from None

    def link_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(self.link, texts))


def _mention(found: dict[str, Any]) -> Mention:
    start = int(found["@offset"])
    return Mention(start, start + len(found["@surfaceForm"]), str(found["@URI"]))


def _in_order(mentions: list[Mention]) -> list[Mention]:
    """By place; of two that overlap the first, which is the longer of those that begin together."""
    kept: list[Mention] = []
    for mention in sorted(mentions, key=lambda each: (each.start, -each.stop)):
        if not kept or mention.start >= kept[-1].stop:
            kept.append(mention)
    return kept

"""Entity linker with DBpedia Spotlight over HTTP, instead of the paper's Babelfy.

Source: Daiber et al., "Improving Efficiency and Accuracy in Multilingual Entity Extraction", I-SEMANTICS 2013. The
service is Apache-2.0 and can run locally (`http://localhost:2222/rest/annotate`). The public service is suitable only
for a few texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from segue_papers.enrichment import web_service
from segue_papers.enrichment.entity_linking import EntityLinker, Mention
from toolkit.errors import DataError

PARALLEL = 4
"""Number of requests at the same time."""


class SpotlightLinker(EntityLinker):
    """Entity linker with the Spotlight service at `url`.

    - confidence: minimum confidence of a mention, from 0 to 1.
    - timeout, retries, wait: see `segue_papers.enrichment.web_service.post_form`.
    """

    def __init__(
        self, url: str, *, confidence: float = 0.5, timeout: float = 30, retries: int = 4, wait: float = 0.5
    ) -> None:
        self.url, self.confidence, self.timeout, self.retries, self.wait = url, confidence, timeout, retries, wait

    def fingerprint(self) -> str:
        return self.url

    def link(self, text: str) -> list[Mention]:
        if not text.strip():
            return []  # the service refuses an empty text
        form = {"text": text, "confidence": str(self.confidence)}
        answer = web_service.post_form(
            self.url, form, what="DBpedia Spotlight", timeout=self.timeout, retries=self.retries, wait=self.wait
        )
        try:
            return _in_order([_mention(resource) for resource in answer.get("Resources", [])])
        except (KeyError, TypeError, ValueError, AttributeError):  # also an offset of thousands of digits
            raise DataError(
                f"DBpedia Spotlight at {self.url} must return annotations: set spotlight to a Spotlight service"
            ) from None

    def link_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(self.link, texts))


def _mention(resource: Mapping[str, str]) -> Mention:
    start = int(resource["@offset"])
    return Mention(start, start + len(resource["@surfaceForm"]), str(resource["@URI"]))


def _in_order(mentions: list[Mention]) -> list[Mention]:
    """Return mentions in the order of the text, without overlaps.

    The earlier mention is kept if two mentions overlap. With the same start, the longer mention is kept.
    """
    kept: list[Mention] = []
    for mention in sorted(mentions, key=lambda mention: (mention.start, -mention.stop)):
        if not kept or mention.start >= kept[-1].stop:
            kept.append(mention)
    return kept

"""Which entities a text mentions.

The paper links with Babelfy, a service behind a key with a daily quota and terms of its own. In its place stand two
linkers: the aliases of a local knowledge base, here, and DBpedia Spotlight (`spotlight.py`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from segue_papers.enrichment.local_knowledge import LocalKnowledge, plain
from toolkit.encoders.text.cleaning_words import STOP_WORDS

MOST_WORDS = 6
"""Words of the longest name that is looked for."""

KEPT = 100_000
"""Names, and first words, whose answer is remembered."""

_WORD = re.compile(r"[^\W_]+")
_BREAK = re.compile(r"[\n!?;:]")
"""What no name goes across."""


class Mention(NamedTuple):
    """text[start:stop] means `entity`, an IRI."""

    start: int
    stop: int
    entity: str


class _Word(NamedTuple):
    """text[start:stop], and the form in which it is looked up."""

    start: int
    stop: int
    plain: str


class EntityLinker(ABC):
    """Finds the mentions in texts."""

    @abstractmethod
    def link(self, text: str) -> list[Mention]:
        """Mentions in order of their place; none overlap."""

    def link_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        """`link` of each text; a linker that waits for a service may ask for several at once."""
        return [self.link(text) for text in texts]

    @abstractmethod
    def fingerprint(self) -> str:
        """What beside parameters decides the mentions."""


class AliasLinker(EntityLinker):
    """The longest names of a local knowledge base, left to right; of the entities of one name, the one most is known of.

    kind: the class of an entity that is wanted, None for any other. common: classes whose names may be in lower case
    (`jazz`, `guitar`); elsewhere only what begins with a capital is a name. Names made of stop words alone are none.
    """

    def __init__(
        self, knowledge: LocalKnowledge, kind: Callable[[Sequence[str]], Sequence[str | None]], common: Sequence[str]
    ) -> None:
        self.knowledge, self.kind, self.common = knowledge, kind, frozenset(common)
        self._meanings = lru_cache(KEPT)(self._looked_up)
        self._reach = lru_cache(KEPT)(knowledge.longest)

    def fingerprint(self) -> str:
        return self.knowledge.fingerprint()

    def link(self, text: str) -> list[Mention]:
        words = [_Word(found.start(), found.end(), plain(found[0])) for found in _WORD.finditer(text)]
        mentions, place = [], 0
        while place < len(words):
            mention, length = self._longest(text, words, place)
            if mention is not None:
                mentions.append(mention)
            place += length
        return mentions

    def _longest(self, text: str, words: list[_Word], place: int) -> tuple[Mention | None, int]:
        """The mention that begins at a word, and how many words to go on by."""
        start = words[place].start
        reach = self._reach(words[place].plain.partition(" ")[0])
        for length in range(min(reach, MOST_WORDS, len(words) - place), 0, -1):
            span = words[place : place + length]
            stop = span[-1].stop
            if _BREAK.search(text, start, stop):
                continue
            for entity, kind in self._meanings(" ".join(word.plain for word in span)):
                if text[start].isupper() or kind in self.common:
                    return Mention(start, stop, entity), length
        return None, 1

    def _looked_up(self, alias: str) -> list[tuple[str, str]]:
        """Entities of wanted classes that a name may mean, the best first, each with its class."""
        if len(alias) < 2 or all(word in STOP_WORDS for word in alias.split()):
            return []
        entities = [entity for entity, _ in self.knowledge.called(alias)]
        return (
            [(entity, kind) for entity, kind in zip(entities, self.kind(entities), strict=True) if kind is not None]
            if entities
            else []
        )

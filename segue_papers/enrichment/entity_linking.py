"""Entity linking, which detects the entities mentioned in a text.

The paper links with Babelfy, a service with a key, a daily quota and its own terms of use. Babelfy is replaced by two
linkers, the aliases of a local knowledge base (in this module) and DBpedia Spotlight (in `spotlight_linker.py`).
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
"""Number of words of the longest name that is looked up."""

KEPT = 100_000
"""Names, and first words, whose result is cached."""

_WORD = re.compile(r"[^\W_]+")
_BREAK = re.compile(r"[\n!?;:]")
"""Characters that end a name."""


class Mention(NamedTuple):
    """Mention of `entity`, an IRI, by text[start:stop]."""

    start: int
    stop: int
    entity: str


class _Word(NamedTuple):
    """Word text[start:stop] with its normalised form for lookups."""

    start: int
    stop: int
    plain: str


class EntityLinker(ABC):
    """Base class for linkers that detect mentions of entities in texts."""

    @abstractmethod
    def link(self, text: str) -> list[Mention]:
        """Return mentions in the order of the text, without overlaps."""

    def link_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        """Return the mentions of each text. A linker that calls a service may send several requests at once."""
        return [self.link(text) for text in texts]

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what determines the mentions besides parameters."""


class AliasLinker(EntityLinker):
    """Entity linker that matches the longest names of a local knowledge base, from left to right.

    If several entities have the same name, the entity with the most facts is chosen. Names that contain only stop words
    are ignored.

    - kind: function that returns the class of each entity, or None for an entity outside the kept classes.
    - common: classes whose names may be in lower case (`jazz`, `guitar`). Other names must start with a capital.
    """

    def __init__(
        self, knowledge: LocalKnowledge, kind: Callable[[Sequence[str]], Sequence[str | None]], common: Sequence[str]
    ) -> None:
        self.knowledge, self.kind, self.common = knowledge, kind, frozenset(common)
        self._cached_entities = lru_cache(KEPT)(self._entities)
        self._reach = lru_cache(KEPT)(knowledge.longest)

    def fingerprint(self) -> str:
        return self.knowledge.fingerprint()

    def link(self, text: str) -> list[Mention]:
        words = [_Word(match.start(), match.end(), plain(match[0])) for match in _WORD.finditer(text)]
        mentions, index = [], 0
        while index < len(words):
            mention, length = self._longest(text, words, index)
            if mention is not None:
                mentions.append(mention)
            index += length
        return mentions

    def _longest(self, text: str, words: list[_Word], index: int) -> tuple[Mention | None, int]:
        """Return the mention that starts at a word, or None, and the number of words to skip."""
        start = words[index].start
        reach = self._reach(words[index].plain.partition(" ")[0])
        for length in range(min(reach, MOST_WORDS, len(words) - index), 0, -1):
            span = words[index : index + length]
            stop = span[-1].stop
            if _BREAK.search(text, start, stop):
                continue
            for entity, kind in self._cached_entities(" ".join(word.plain for word in span)):
                if text[start].isupper() or kind in self.common:
                    return Mention(start, stop, entity), length
        return None, 1

    def _entities(self, alias: str) -> list[tuple[str, str]]:
        """Return entities of the kept classes for a name, the best match first, each with its class."""
        if len(alias) < 2 or all(word in STOP_WORDS for word in alias.split()):
            return []
        entities = [entity for entity, _ in self.knowledge.named(alias)]
        kinds = self.kind(entities) if entities else []
        return [(entity, kind) for entity, kind in zip(entities, kinds, strict=True) if kind is not None]

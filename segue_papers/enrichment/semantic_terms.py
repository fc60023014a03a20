"""Terms that are appended to a text for its entities.

Oramas et al. 2017 keep entities of a few classes, and append to the biography their Wikipedia categories and properties
that depend on the class. The properties here are our own choice from the ontology of DBpedia, which a recipe can
override.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from segue_papers.enrichment.entity_linking import EntityLinker, Mention
from segue_papers.enrichment.knowledge import CATEGORY, SUBCLASS, TYPE, Knowledge, local_name, resolved

PROPERTIES: dict[str, list[str]] = {
    "MusicalArtist": [
        "genre",
        "instrument",
        "occupation",
        "hometown",
        "birthPlace",
        "recordLabel",
        "associatedBand",
        "associatedMusicalArtist",
    ],
    "Band": [
        "genre",
        "hometown",
        "recordLabel",
        "bandMember",
        "formerBandMember",
        "associatedBand",
        "associatedMusicalArtist",
    ],
    "MusicGenre": ["stylisticOrigin", "musicSubgenre", "musicFusionGenre", "derivative", "instrument"],
    "MusicalWork": [
        "writer",
        "producer",
        "recordedIn",
        "genre",
        "artist",
        "musicalArtist",
        "musicalBand",
        "recordLabel",
    ],
    "RecordLabel": ["genre", "country", "location", "parentCompany", "distributingLabel"],
    "Instrument": ["genre", "relatedInstrument"],
    "Engineer": ["occupation", "nationality", "birthPlace"],
    "Place": ["country"],
}
"""Class -> properties whose values are appended. An entity of several classes counts as the first."""

COMMON = ("MusicGenre", "Instrument")
"""Classes whose names are written in lower case."""

DEEPEST = 12
"""Maximum number of steps up the class hierarchy, which may contain cycles."""

KEPT = 100_000
"""Entities whose class is cached."""


class Classes:
    """Classifier of entities into the classes `names`, by their types and superclasses."""

    def __init__(self, knowledge: Knowledge, names: Sequence[str], namespace: str) -> None:
        self.knowledge = knowledge
        self.names = {resolved(name, namespace): name for name in names}
        self._known: dict[str, str | None] = {}
        self._above: dict[str, frozenset[str]] = {}

    def of(self, entities: Sequence[str]) -> list[str | None]:
        """Return the first matching class of each entity, or None."""
        if len(self._known) > KEPT:
            self._known.clear()
        fresh = [entity for entity in dict.fromkeys(entities) if entity not in self._known]
        if fresh:
            facts = self.knowledge.facts(fresh, [TYPE])
            types = {entity: facts.get(entity, {}).get(TYPE, []) for entity in fresh}
            self._climb({iri for of in types.values() for iri in of})
            for entity, of in types.items():
                classes = {above for iri in of for above in self._above[iri]}
                self._known[entity] = next((name for iri, name in self.names.items() if iri in classes), None)
        return [self._known[entity] for entity in entities]

    def _climb(self, types: set[str]) -> None:
        """Return every superclass of `types`, including `types`."""
        parents: dict[str, list[str]] = {}
        level = {iri for iri in types if iri not in self._above}
        for _ in range(DEEPEST):
            if not level:
                break
            facts = self.knowledge.facts(sorted(level), [SUBCLASS])
            parents |= {iri: facts.get(iri, {}).get(SUBCLASS, []) for iri in level}
            level = {parent for iri in level for parent in parents[iri]} - set(parents)
        for iri in types:
            if iri not in self._above:
                self._above[iri] = frozenset(_reached(iri, parents))


def _reached(iri: str, parents: Mapping[str, Sequence[str]]) -> set[str]:
    seen, todo = {iri}, [iri]
    while todo:
        fresh = set(parents.get(todo.pop(), ())) - seen
        seen |= fresh
        todo += sorted(fresh)
    return seen


class Enricher:
    """Selector of the terms to append to texts.

    - properties: properties whose values are appended, by class.
    - categories: whether Wikipedia categories are appended.
    """

    def __init__(
        self,
        linker: EntityLinker,
        knowledge: Knowledge,
        classes: Classes,
        properties: Mapping[str, Sequence[str]],
        *,
        categories: bool,
        namespace: str,
    ) -> None:
        self.linker, self.knowledge, self.classes, self.categories = linker, knowledge, classes, categories
        self.properties = {
            name: [resolved(part, namespace) for part in properties.get(name, ())] for name in classes.names.values()
        }

    def mentions(self, texts: Sequence[str]) -> list[list[tuple[Mention, str]]]:
        """Return the mentions of entities of the kept classes in each text, each with its class."""
        linked = self.linker.link_all(texts)
        kinds = iter(self.classes.of([mention.entity for mentions in linked for mention in mentions]))
        return [[(mention, kind) for mention in mentions if (kind := next(kinds)) is not None] for mentions in linked]

    def terms(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the terms to append to each text, in order and without duplicates.

        The terms are the names, properties and categories of the entities.
        """
        entities = [
            list(dict.fromkeys((mention.entity, kind) for mention, kind in mentions))
            for mentions in self.mentions(texts)
        ]
        distinct = {pair for pairs in entities for pair in pairs}
        properties = {iri for _, kind in distinct for iri in self.properties[kind]}
        properties |= {CATEGORY} if self.categories else set()
        facts = self.knowledge.facts(sorted({entity for entity, _ in distinct}), sorted(properties))
        return [
            [word for entity, kind in pairs for word in self._terms(entity, kind, facts.get(entity, {}))]
            for pairs in entities
        ]

    def _terms(self, entity: str, kind: str, facts: Mapping[str, Sequence[str]]) -> list[str]:
        values = [value for iri in self.properties[kind] for value in facts.get(iri, ())]
        categories = facts.get(CATEGORY, ()) if self.categories else ()
        return [word for value in (entity, *values, *categories) if (word := term(value))]


def term(value: str) -> str:
    """Return one word for an entity, a category or a literal.

    `http://dbpedia.org/resource/Indie_rock` and `Indie rock` become `Indie_rock`.
    """
    name = local_name(value) if "://" in value else value
    return re.sub(r"[\W_]+", "_", name).strip("_")

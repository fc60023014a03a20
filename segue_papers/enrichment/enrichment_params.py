"""Parameters under the recipe key `enrich`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from segue_papers.enrichment.entity_linking import AliasLinker, EntityLinker
from segue_papers.enrichment.knowledge import ONTOLOGY, Knowledge
from segue_papers.enrichment.local_knowledge import LocalKnowledge
from segue_papers.enrichment.semantic_terms import COMMON, PROPERTIES, Classes, Enricher
from segue_papers.enrichment.sparql_knowledge import SparqlKnowledge
from segue_papers.enrichment.spotlight_linker import SpotlightLinker
from segue_papers.enrichment.web_service import checked_url
from toolkit.parameters import Parameters

ONE_OR_SEVERAL = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


class Enrichment(Parameters):
    """Sources of entities and facts.

    - knowledge: dumps of a knowledge base (`.nt`, `.ttl`, optionally compressed).
    - endpoint: address of a SPARQL service, instead of dumps.
    - linker: `aliases` for names in the dumps, or `spotlight` for DBpedia Spotlight.
    - spotlight, confidence: address of the Spotlight service, and minimum confidence of a mention.
    - classes: classes of the entities that are kept.
    - properties: properties whose values are appended, by class. Classes without an entry use the defaults.
    - categories: whether Wikipedia categories are appended.
    - namespace: namespace for short names of classes and properties.
    - language: language of literals.
    - timeout: time limit for a request to a service, in seconds.
    - retries: number of retries after a failed request.
    """

    knowledge: Annotated[list[Path], ONE_OR_SEVERAL] = []
    endpoint: str | None = None
    linker: Literal["aliases", "spotlight"] = "aliases"
    spotlight: str | None = None
    confidence: float = Field(0.5, ge=0, le=1)
    classes: list[str] = Field(list(PROPERTIES), min_length=1)
    properties: dict[str, list[str]] = PROPERTIES
    categories: bool = True
    namespace: str = ONTOLOGY
    language: str = Field("en", pattern="^[a-z]{2,3}$")
    timeout: float = Field(30, gt=0)
    retries: int = Field(4, ge=0)

    @field_validator("knowledge", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str | Path) else value

    @field_validator("properties")
    @classmethod
    def _with_defaults(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return PROPERTIES | value

    @field_validator("endpoint", "spotlight")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return None if value is None else checked_url(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.knowledge) == bool(self.endpoint):
            raise ValueError(
                f"enrich has {len(self.knowledge)} knowledge files and endpoint={self.endpoint!r} but must have "
                "exactly one source: set knowledge or endpoint and remove the other"
            )
        if self.linker == "aliases" and not self.knowledge:
            raise ValueError(
                "`linker: aliases` requires knowledge: set knowledge to files, or set `linker: spotlight` and spotlight"
            )
        if self.linker == "spotlight" and not self.spotlight:
            raise ValueError(
                "`linker: spotlight` requires spotlight: set spotlight to an address, such as "
                "http://localhost:2222/rest/annotate"
            )
        return self

    def enricher(self) -> Enricher:
        """Return the linker and the knowledge base. Raises `InputError` or `DataError` for invalid files."""
        knowledge: Knowledge
        if self.endpoint:
            knowledge = SparqlKnowledge(
                self.endpoint, language=self.language, timeout=self.timeout, retries=self.retries
            )
        else:
            knowledge = LocalKnowledge([path.expanduser() for path in self.knowledge], language=self.language)
        classes = Classes(knowledge, self.classes, self.namespace)
        linker: EntityLinker
        if self.spotlight and self.linker == "spotlight":
            linker = SpotlightLinker(
                self.spotlight, confidence=self.confidence, timeout=self.timeout, retries=self.retries
            )
        else:
            assert isinstance(knowledge, LocalKnowledge)
            linker = AliasLinker(knowledge, classes.of, COMMON)
        properties, categories = self.properties, self.categories
        return Enricher(linker, knowledge, classes, properties, categories=categories, namespace=self.namespace)

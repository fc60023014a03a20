"""`enrich:` of a recipe, and the enricher that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

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
    """knowledge: dumps (`.nt`, `.ttl`, packed or not), or endpoint: the address of a SPARQL service.

    linker: `aliases` of the dumps, or `spotlight`, whose address is `spotlight`, with `confidence`. classes: of entities
    that count; properties: class -> what is appended, beside the defaults for classes not named; categories: Wikipedia's
    too. namespace: of short names of classes and properties. language: of literals. timeout: seconds of one question to a
    service; retries: how often it is asked again.
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
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value

    @field_validator("properties")
    @classmethod
    def _beside_the_defaults(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return PROPERTIES | value

    @field_validator("endpoint", "spotlight")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else checked_url(value)

    @model_validator(mode="after")
    def _consistent(self) -> Enrichment:
        if bool(self.knowledge) == bool(self.endpoint):
            raise ValueError("enrich takes knowledge (files) or endpoint (an address), one of the two")
        if self.linker == "aliases" and not self.knowledge:
            raise ValueError(
                "linker: aliases looks names up in knowledge (files): give them, or linker: spotlight and its address"
            )
        if self.linker == "spotlight" and not self.spotlight:
            raise ValueError(
                "linker: spotlight needs spotlight: its address, such as http://localhost:2222/rest/annotate"
            )
        return self


def made(wanted: Enrichment) -> Enricher:
    """The linker and the knowledge base that `wanted` names. Raises `InputError` or `DataError` for files that are not of use."""
    knowledge: Knowledge
    if wanted.endpoint:
        knowledge = SparqlKnowledge(
            wanted.endpoint, language=wanted.language, timeout=wanted.timeout, retries=wanted.retries
        )
    else:
        knowledge = LocalKnowledge([path.expanduser() for path in wanted.knowledge], language=wanted.language)
    classes = Classes(knowledge, wanted.classes, wanted.namespace)
    linker: EntityLinker
    if wanted.linker == "spotlight":
        assert wanted.spotlight is not None  # the model sees to it
        linker = SpotlightLinker(
            wanted.spotlight, confidence=wanted.confidence, timeout=wanted.timeout, retries=wanted.retries
        )
    else:
        assert isinstance(knowledge, LocalKnowledge)
        linker = AliasLinker(knowledge, classes.of, COMMON)
    return Enricher(
        linker, knowledge, classes, wanted.properties, categories=wanted.categories, namespace=wanted.namespace
    )

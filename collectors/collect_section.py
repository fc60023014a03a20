"""The section `collect` of a recipe. The options of the command without a recipe are checked by it too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from toolkit.parameters import Parameters
from toolkit.validation import validated

CONTACT = "SEGUE_CONTACT"
Again = Literal["found", "absent", "ambiguous", "blocked", "failed"]


class SourceSpec(Parameters):
    """One source, its fields and its parameters."""

    source: str
    fields: list[str] | None = Field(None, min_length=1, description="default: all that it gives")
    params: dict[str, object] = {}


class Collect(Parameters):
    """The section `collect` of a recipe."""

    library: str = Field("library", description="folder, relative to the current one, or the URL of a database")
    blobs: Path | None = Field(None, description="folder of covers and audio, where `library` is a URL")
    contact: str | None = Field(None, description=f"e-mail address or page for hosts to write to; default: {CONTACT}")
    patience_s: float = Field(
        300.0, gt=0, description="longest wait inside a run; what takes longer is left for the next one"
    )
    again: list[Again] = Field([], description="request again what ended with these statuses")
    sources: list[SourceSpec] = Field(min_length=1)

    @field_validator("sources", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """Accept the name of a source instead of its mapping."""
        return (
            [{"source": spec} if isinstance(spec, str) else spec for spec in value]
            if isinstance(value, list)
            else value
        )


def parse(section: Mapping[str, object]) -> Collect:
    """The checked section. Raises `InputError` with the key and the rule."""
    return validated(Collect, section, "collect.")

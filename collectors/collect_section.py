"""The section `collect` of a recipe, and what the command line gives instead of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from toolkit.parameters import Parameters
from toolkit.validation import validated

CONTACT = "SEGUE_CONTACT"
Again = Literal["found", "absent", "ambiguous", "blocked", "failed"]


class SourceSpec(Parameters):
    """One source and what it is asked for."""

    source: str
    fields: list[str] | None = Field(None, min_length=1, description="default: all that it gives")
    params: dict[str, Any] = {}


class Collect(Parameters):
    """The section `collect` of a recipe."""

    library: str = Field("library", description="folder, as seen from the current one, or the URL of a database")
    blobs: Path | None = Field(None, description="folder of covers and audio, where `library` is a URL")
    contact: str | None = Field(None, description=f"e-mail address or page for hosts to write to; default: {CONTACT}")
    patience_s: float = Field(
        300.0, gt=0, description="longest wait inside a run; what takes longer is for the next one"
    )
    again: list[Again] = Field([], description="ask again for what ended so")
    sources: list[SourceSpec] = Field(min_length=1)

    @field_validator("sources", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return [{"source": one} if isinstance(one, str) else one for one in given] if isinstance(given, list) else given


def parse(given: dict[str, Any]) -> Collect:
    """Checked settings. Raises `InputError` naming the key and the rule."""
    return validated(Collect, given, "collect.")

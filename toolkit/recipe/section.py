"""What every part of a recipe is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys are errors, and infinity is no number."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

"""Base class of the sections of a recipe."""

from __future__ import annotations

from toolkit.parameters import Parameters


class Section(Parameters):
    """Base class of every section of a recipe."""

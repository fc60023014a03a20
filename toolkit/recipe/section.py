"""What every part of a recipe is."""

from __future__ import annotations

from toolkit.parameters import Parameters


class Section(Parameters):
    """Base of every part of a recipe."""

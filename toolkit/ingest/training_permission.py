"""Permission to train on content, by the terms of its sources."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.catalogue.field_lookup import Provenance
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.recipe import Permission


def permitted(
    catalogue: Catalogue, name: str, source: str | None, ids: Sequence[str], permission: Permission | None
) -> list[Provenance]:
    """Return the sources of a field's values. Raises `InputError` if training requires a missing permission."""
    sources = catalogue.provenance(name, ids, source=source)
    barred = [row for row in sources if row["train_allowed"] is not True]
    if barred and not (permission and permission.allowed):
        row = barred[0]
        origin = row["source"] or "an unnamed source"
        why = "forbids it" if row["train_allowed"] is False else "does not say whether it may be trained on"
        raise InputError(
            f"training on {row['field']!r} from {origin}, which {why}, requires permission:"
            " set `permission: {allowed: true, reason: …}` in the section `data` of the recipe"
        )
    return sources

"""Whether content may be trained on: every value carries its source, and what that source allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.recipe import Permission


def permitted(
    catalogue: Catalogue, name: str, source: str | None, ids: Sequence[str], permission: Permission | None
) -> list[dict[str, Any]]:
    """Where the field's values come from. Raises `InputError` where training on one of them needs a permission there is not."""
    found = catalogue.provenance(name, ids, source=source)
    barred = [row for row in found if row["train_allowed"] is not True]
    if barred and not (permission and permission.allowed):
        row = barred[0]
        origin = row["source"] or "an unnamed source"
        why = "forbids it" if row["train_allowed"] is False else "does not say whether it may be trained on"
        raise InputError(
            f"training on {row.get('field', name)!r} from {origin}, which {why}, needs"
            " permission: {allowed: true, reason: …} in the recipe's data"
        )
    return found

"""Check of what each system requires of the split and the catalogue, before anything is encoded or fitted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from toolkit.contracts.protocol import Protocol
from toolkit.corpus.splits import Split
from toolkit.errors import InputError, RecipeError
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import System
from toolkit.ranker import FitInputs, Unmet, unmet
from toolkit.recipe.cross_checks import system_names


def unmet_requirements(
    context: Context, systems: Sequence[System], split: Split, labels: Collection[str]
) -> Iterator[tuple[System, Unmet]]:
    """Yield each system that cannot be fitted to the split, with its first requirement that is not met.

    - labels: kinds of labels in the catalogue.
    """
    for system in systems:
        others = [other.name for other in system.over]
        inputs = FitInputs(split.train, split.valid, system.modalities, labels, others, context.device)
        if (found := unmet(system.unfitted(), inputs)) is not None:
            yield system, found


def check(
    context: Context,
    systems: Sequence[System],
    split: Split,
    labels: Collection[str],
    *,
    divide: Callable[[Protocol], Split],
    protocol: Protocol,
    fold: str = "",
) -> None:
    """Raise `RecipeError` for the first system that cannot be fitted to the split, with the recipe key and a cure.

    - divide: function that splits the data of the recipe.
    - protocol: the protocol that the cure may change. A protocol over all folds is tried in each fold.
    - fold: name of the fold in the message.
    """
    found = list(unmet_requirements(context, systems, split, labels))
    if not found:
        return
    system, first = found[0]
    rule, cure = f"={system.name!r}{f' ({fold})' if fold else ''}{first.rule}", first.cure
    if first.by_valid:
        change = _larger_validation(
            protocol, lambda parts: not list(unmet_requirements(context, [system], divide(parts), labels))
        )
        cure = f"set {change}, or remove {system.name}" if change else f"remove {system.name}"
    if others := ", ".join(other.name for other, _ in found[1:]):
        rule += f" (and {others} cannot be fitted either)"
    where = next((where for where, name in system_names(context.recipe) if name == system.name), ())
    raise RecipeError(f"{rule}: {cure}" if cure else rule, where)


def _larger_validation(protocol: Protocol, works: Callable[[Protocol], bool]) -> str:
    """Return the first change of the protocol that works in all of its folds, as recipe keys, or ""."""
    for change in protocol.larger_validation():
        try:
            changed = type(protocol).model_validate({**protocol.model_dump(), **change})
            if all(works(part) for part in changed.each_fold() or [changed]):
                return " and ".join(f"evaluation.split.{key}={value}" for key, value in change.items())
        except (InputError, ValueError):  # the change is impossible on this data, or next to other keys
            continue
    return ""

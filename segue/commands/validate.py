"""Command `segue validate`, which checks a recipe and its requirements on this machine without running it."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from segue.commands.application import Debug
from segue.commands.run import Overrides, Recipe
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.contracts.protocol import Protocol
    from toolkit.recipe import Recipe as Settings

LISTED = 6
"""Number of names in a line of the summary. Further names are only counted."""


def validate(recipe: Recipe, overrides: Overrides = [], debug: Debug = False) -> None:  # noqa: B006
    """Check a recipe without running it: keys, values, columns and fields of the data, packages and weights."""
    from toolkit.pipeline.run import preflight
    from toolkit.recipe.yaml_file import read
    from toolkit.terminal import printable

    written = read(recipe, overrides)
    settings = written.recipe(parameters=True)
    findings = list(preflight.findings(settings))
    for finding in findings:
        line = f"{written.place(finding.where)}: {finding.line}"
        if finding.certain:
            print(f"segue: {printable(line)}", file=sys.stderr)
        else:
            warnings.warn(line, stacklevel=2)
    if any(finding.certain for finding in findings):
        raise typer.Exit(InputError.exit_code)
    print(f"{recipe} is valid")
    for title, text in summary(settings):
        print(f"{title:<10}{printable(text)}")


def summary(recipe: Settings) -> Iterator[tuple[str, str]]:
    """Yield a title and a line for each part of a run of the recipe."""
    from toolkit.recipe.cross_checks import system_names

    data = recipe.data
    yield "data", f"{data.path} (reader {data.reader})" if data.path is not None else f"reader {data.reader}"
    if recipe.encoders:
        yield "encoders", _listed([f"{name} ({spec.encoder})" for name, spec in recipe.encoders.items()])
    yield "systems", _listed([name for _, name in system_names(recipe)])
    yield "split", _described(recipe.evaluation.split)
    yield "metrics", f"{', '.join(recipe.evaluation.metrics)} at {', '.join(map(str, recipe.evaluation.k))}"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest


def _described(split: Protocol) -> str:
    """Return a protocol's name, its settings that are not defaults, and the first sentence of its docstring."""
    given = ", ".join(
        f"{key} {value}" for key, value in split.model_dump(mode="json", exclude_defaults=True).items() if key != "type"
    )
    sentence = " ".join((inspect.getdoc(type(split)) or "").split()).partition(". ")[0].removesuffix(".")
    name = f"{split.type} ({given})" if given else split.type
    return f"{name}: {sentence[:1].lower()}{sentence[1:]}" if sentence else name

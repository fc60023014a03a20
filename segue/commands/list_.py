"""Command `segue list`, which lists the parts of a kind with parameters and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segue.commands.application import Debug

if TYPE_CHECKING:
    from toolkit.list_parts import ListedPart, Parameter

Kind = Annotated[
    str | None,
    typer.Argument(
        help="readers, encoders, rankers, models, losses, joins, missing, metrics, protocols or sources;"
        " default: print these kinds.",
        show_default=False,
    ),
]
Name = Annotated[
    str | None, typer.Argument(help="Show only this part, with the meaning of each parameter.", show_default=False)
]


def list_(
    kind: Kind = None,
    name: Name = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Debug = False,
) -> None:
    """List the parts of a kind, including plug-ins, with parameters, defaults and a sentence each."""
    from toolkit import plugins
    from toolkit.errors import InputError
    from toolkit.list_parts import KINDS, list_parts

    if kind is None:
        print("\n".join(KINDS))
        return
    parts = list_parts(kind)
    if name is not None:
        known = [part.name for part in parts]
        if name not in known:
            noun = plugins.article(plugins.kind_of(KINDS[kind]))
            raise InputError(f"{name!r} is not {noun}: {plugins.suggest(name, known)}")
        parts = [part for part in parts if part.name == name]
    if json:
        from json import dumps

        from toolkit.terminal import show

        show(dumps([part.as_json() for part in parts], ensure_ascii=False, indent=1, default=str))
        return
    for part in parts:
        _print(part, whole=name is not None)


def _print(part: ListedPart, *, whole: bool) -> None:
    """Print a part in two or three lines, or with one line for each parameter."""
    from toolkit.plugins import OWN
    from toolkit.terminal import escaped

    package = "" if part.package == OWN else f" ({part.package})"
    print(escaped(f"{part.name}{package}: {part.error or part.sentence}"))
    if not whole:
        if part.parameters:
            _wrapped(", ".join(f"{each.name}={_value(each)}" for each in part.parameters))
        return
    for each in part.parameters:
        print(escaped(f"    {each.name}: {each.type}, {'required' if each.required else f'default {_value(each)}'}"))
        if each.description:
            _wrapped(each.description, indent=8)


def _wrapped(text: str, indent: int = 4) -> None:
    import textwrap

    from toolkit.terminal import escaped

    for line in textwrap.wrap(text, 110 - indent, break_long_words=False, break_on_hyphens=False):
        print(" " * indent + escaped(line))


def _value(parameter: Parameter) -> str:
    """Return a default as written in a recipe."""
    if parameter.required:
        return "…"
    value = parameter.default
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return str(value["type"]) if isinstance(value, dict) and "type" in value else str(value)

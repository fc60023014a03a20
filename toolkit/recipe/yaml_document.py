"""Bounded parsing of one YAML document. No code is executed, and keys keep their lines for error messages."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from toolkit.errors import RecipeError, Where
from toolkit.files import read_regular

MAX_BYTES = 1_000_000
"""Largest size of a recipe with all files that it extends. The parser takes about 10 s for that many."""

MAX_NODES = 100_000
"""Largest number of values of a recipe with its aliases expanded: a few lines of YAML can describe billions."""

MAX_DEPTH = 50
"""Largest number of mappings and lists around a value. Recipes need fewer than 10, and every later step recurses."""

MAX_DIGITS = 100
"""Largest number of characters of a number. Python refuses to print integers of more than 4,300 digits."""

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
TEXT = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
TAGS = {*NUMBERS, *TEXT, *(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "null", "timestamp", "seq", "map"))}
"""Tags of the values of a recipe, which YAML finds without a written tag."""
NO_TAGS = "tags (!…) are not allowed in a recipe: remove the tag"

LONGEST = 60
"""Number of characters of a value that a message repeats."""

Yaml: TypeAlias = "bool | int | float | str | date | list[Yaml] | dict[str, Yaml] | None"
"""A value of a YAML file."""

Mapped: TypeAlias = "dict[str, Yaml]"


def is_unicode(text: str) -> bool:
    """Return whether a text can be written: it has no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """Return the text of a recipe file of at most `limit` bytes. Raises `RecipeError`."""
    try:
        data = read_regular(path, limit)
    except FileNotFoundError:
        raise RecipeError(
            f"{path} does not exist: pass the path of a recipe, such as recipes/quickstart.yaml"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{path} cannot be read ({reason}): pass a readable file") from None
    if len(data) > limit:
        raise RecipeError(
            f"{path} has {max(path.stat().st_size, len(data)):,} bytes, but a recipe must have at most {MAX_BYTES:,}"
            " with all files that it extends: move data to other files, and set `data.path`"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecipeError(
            f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8: save the recipe as UTF-8"
        ) from None


def parse(text: str, name: str, places: dict[Where, str]) -> Yaml:
    """Return the values of a YAML document. The file and line of each key path are added to `places`."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(io.StringIO(text))
        if node is None:
            return None
        _walk(node, name, (), places, [0])
        value: Yaml = yaml.constructor.construct_document(node)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = NO_TAGS if isinstance(error, ConstructorError) else error.problem or error.context
        raise RecipeError(f"{name}{line}: {' '.join(str(problem).split())}") from None
    except RecursionError:
        raise RecipeError(
            f"{name} is nested too deeply: at most {MAX_DEPTH} mappings and lists may be around a value"
        ) from None
    except (YAMLError, ValueError) as error:
        raise RecipeError(f"{name} must be valid YAML ({' '.join(str(error).split())}): correct the syntax") from None
    return value


def _walk(node: Node, name: str, where: Where, places: dict[Where, str], seen: list[int]) -> None:
    seen[0] += 1
    if seen[0] > MAX_NODES:
        raise RecipeError(f"{name} has more than {MAX_NODES:,} values with aliases expanded: remove aliases (*name)")
    if len(where) > MAX_DEPTH:
        raise RecipeError(
            f"{name}:{node.start_mark.line + 1} is nested too deeply: at most {MAX_DEPTH} mappings and lists may be"
            " around a value, and an alias (*name) must not be inside the anchor (&name) of that name"
        )
    if str(node.tag) not in TAGS:
        raise RecipeError(f"{name}:{node.start_mark.line + 1}: {NO_TAGS}")
    if isinstance(node, ScalarNode):
        _check_scalar(node, name)
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            places[(*where, index)] = f"{name}:{child.start_mark.line + 1}"
            _walk(child, name, (*where, index), places, seen)
    elif isinstance(node, MappingNode):
        keys: set[str] = set()
        for key, child in node.value:
            _enter(key, name, where, places, keys)
            _walk(child, name, (*where, key.value), places, seen)


def _check_scalar(node: ScalarNode, name: str) -> None:
    line = f"{name}:{node.start_mark.line + 1}"
    if str(node.tag) in NUMBERS and len(node.value) > MAX_DIGITS:
        raise RecipeError(f"{line}: {node.value[:LONGEST]}… must have at most {MAX_DIGITS} digits: shorten the number")
    if not is_unicode(node.value):
        raise RecipeError(f"{line}: {ascii(node.value)[:LONGEST]} must be Unicode text: remove \\ud800 to \\udfff")


def _enter(key: Node, name: str, where: Where, places: dict[Where, str], keys: set[str]) -> None:
    line = key.start_mark.line + 1
    if not isinstance(key, ScalarNode):
        raise RecipeError(f"{name}:{line}: a key must be plain text, not a list or mapping: replace the key")
    if str(key.tag) not in TEXT:
        raise RecipeError(f"{name}:{line}: the key {key.value[:LONGEST]} must be text: write the key in quotes")
    if key.value in keys:
        raise RecipeError(
            f"{name}:{line}: {'.'.join(map(str, (*where, key.value)))} must be set only once: remove one entry"
        )
    _check_scalar(key, name)
    keys.add(key.value)
    places[(*where, key.value)] = f"{name}:{line}"

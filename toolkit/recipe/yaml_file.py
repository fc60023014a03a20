"""A recipe's YAML: read without executing anything, with the line of every key kept for error messages."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from toolkit.errors import InputError, OldForm, RecipeError, Where
from toolkit.parameters import alternatives
from toolkit.parts import Chosen
from toolkit.recipe import cross_checks, unused_settings
from toolkit.recipe.recipe import Recipe

EXAMPLES = {"--set": "models.0.epochs=5", "--option": "playlist=list_id", "sweep.over": "models.0.lr"}

MAX_BYTES = 1_000_000
"""Of a recipe's file: the parser would take minutes for a table of playlists that was given for one."""

LONGEST = 60
"""Characters of a value that a message repeats."""

NUMBERED = re.compile(r"models\.(\d+): ")
"""How a sentence about an old form begins where it is about an entry of `models`."""

MAX_NODES = 100_000
"""Values a recipe may have once its aliases are followed: a few lines of YAML can stand for billions."""


@dataclass
class RecipeFile:
    """A recipe as written, not checked yet.

    places: `recipes/x.yaml:12`, or `--set models.0.epochs=5`, by path of keys and indexes.
    """

    path: Path
    data: dict[Any, Any]
    places: dict[Where, str] = field(default_factory=dict)

    def place(self, where: Sequence[str | int]) -> str:
        """Where `where`, or the nearest part above it, was written."""
        for length in range(len(where), 0, -1):
            if found := self.places.get(tuple(where[:length])):
                return found
        return str(self.path)

    def error(self, where: Sequence[str | int], message: str) -> RecipeError:
        """An error at `where`; `message` goes on after the dotted path."""
        said = f"{'.'.join(map(str, where))}{message}" if where else message.lstrip(": ")
        return RecipeError(f"{self.place(where)}: {said}")

    def placed(self, error: RecipeError) -> RecipeError:
        """The same error with the place in the file before it."""
        return self.error(error.where, error.rule)

    def recipe(self, *, parameters: bool = False, tried: tuple[str, ...] = ()) -> Recipe:
        """The checked recipe, its `data.path` made absolute.

        A relative path starts at the folder of the recipe that gives it, one given by `--set` at the current one.

        - parameters: also check options and parameters against the plug-ins that read them, which imports those.
        - tried: dotted keys that a sweep sets here.

        Raises `RecipeError` that names the line of the first fault.
        """
        try:
            with unused_settings.trying(tried), self._placed_warnings():
                recipe = Recipe.model_validate(self.data)
            if parameters:
                cross_checks.check_parameters(recipe)
        except RecipeError as error:
            raise self.placed(error) from None
        if recipe.data.path is None:
            return recipe
        place = self.place(("data", "path"))
        base = Path.cwd() if place.startswith("--set") else Path(place.rpartition(":")[0]).resolve().parent
        try:
            path = Path(base, recipe.data.path.expanduser()).resolve()
        except (RuntimeError, ValueError) as error:  # ~nobody, a NUL
            raise self.error(("data", "path"), f"={str(recipe.data.path)!r} is not a path: {error}") from None
        return recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": path})})

    @contextmanager
    def _placed_warnings(self) -> Iterator[None]:
        """Issue each warning about an old form once, with the place that it is about; none of a run's own recipe, which nobody edits."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OldForm)
            yield
        notes = [
            (self._place_of(str(one.message)), NUMBERED.sub("", str(one.message)))
            for one in caught
            if one.category is OldForm
        ]
        for one in caught:
            if one.category is not OldForm:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        for place, sentence in dict.fromkeys(notes) if not self._of_a_run() else ():
            warnings.warn(f"{place}: {sentence}", OldForm, stacklevel=4)

    def _place_of(self, sentence: str) -> str:
        """Where the key was written that a sentence begins with: `models.0: `negatives: 7` is the old form…`."""
        entry = NUMBERED.match(sentence)
        above: Where = ("models", int(entry[1])) if entry else ()
        key = NUMBERED.sub("", sentence).removeprefix("`").partition(":")[0]
        found = (place for where, place in self.places.items() if where[: len(above)] == above and where[-1] == key)
        return next(found, str(self.path))

    def _of_a_run(self) -> bool:
        """Whether it is the resolved recipe in the folder of a run."""
        return self.path.name == "recipe.yaml" and (self.path.parent / "manifest.json").exists()


def read(path: Path, overrides: Sequence[str] = ()) -> RecipeFile:
    """Read a recipe's YAML, over that of the recipe which it `extends`, and apply `a.b.c=value` overrides.

    A recipe without a name has its file's.

    Raises `RecipeError` for a missing file, bytes that are no UTF-8, broken
    YAML, duplicate keys, tags, and overrides that lead nowhere.
    """
    file = _file(path, (path.resolve(),))
    for override in overrides:
        _override(file, override)
    file.data.setdefault("name", path.stem)
    _place_defaults(file)
    return file


def _file(path: Path, inside: tuple[Path, ...]) -> RecipeFile:
    """A recipe's file over the one that it extends; inside: all that are being read."""
    file = RecipeFile(path, {})
    value = _parse(_text(path), str(path), file.places)
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, this file holds {_kind(value)}")
    file.data = value
    if "extends" not in value:
        return file
    given = value.pop("extends")
    if not isinstance(given, str):
        raise file.error(("extends",), f"={given!r} must be the path of a recipe, as seen from this one")
    base = path.parent / given
    if base.resolve() in inside:
        raise file.error(("extends",), f"={given!r} comes back to itself: a recipe cannot extend itself")
    under = _file(base, (*inside, base.resolve()))
    _lay(value, under.data, under.places, ())
    file.places = under.places | file.places
    return file


def _lay(over: dict[Any, Any], under: dict[Any, Any], places: dict[Where, str], where: Where) -> None:
    """Complete `over` by what it lacks of `under`, inside mappings too; `places` forgets what is not taken.

    A part of another `type` is another part: it replaces the one below, whose keys are not its own.
    """
    for key, value in under.items():
        place = (*where, key)
        if key not in over:
            over[key] = value
            continue
        part = _part_at(place)
        value = {"type": value} if part is not None and isinstance(value, str) else value
        if isinstance(value, dict) and isinstance(over[key], dict) and _same_type(over[key], value, part):
            _lay(over[key], value, places, place)
        else:
            _forget(places, place)


def _same_type(over: dict[Any, Any], under: dict[Any, Any], part: Chosen | None) -> bool:
    """Whether two mappings may be of one part, or are no parts. One without a `type` completes the other, whatever its type."""
    default = part.default if part is not None else ""
    return not over.get("type") or over["type"] == (under.get("type") or default or over["type"])


def _forget(places: dict[Where, str], where: Where) -> None:
    for known in [known for known in places if known[: len(where)] == where]:
        del places[known]


def _place_defaults(file: RecipeFile) -> None:
    """Where the keys were written that entries of `models` take from `defaults`, and their own `fusion` from the recipe's."""
    models = file.data.get("models")
    for index, entry in enumerate(models if isinstance(models, list) else []):
        if isinstance(entry, dict):
            _place_from(file, entry, ("models", index), "defaults")
            if isinstance(entry.get("fusion"), dict):
                _place_from(file, entry["fusion"], ("models", index, "fusion"), "fusion")


def _place_from(file: RecipeFile, entry: dict[Any, Any], where: Where, base: str) -> None:
    under = file.data.get(base)
    missing = [key for key in under if key not in entry] if isinstance(under, dict) else []
    file.places |= {(*where, key): file.place((base, key)) for key in missing}


def laid(recipe: Recipe, settings: Mapping[str, Any]) -> RecipeFile:
    """A checked recipe without its sweep, and over it `settings` by dotted key: as written, not checked again yet."""
    file = RecipeFile(Path(recipe.name), {**recipe.model_dump(mode="json"), "sweep": None})
    for key, value in settings.items():
        _override(file, f"{key}={json.dumps(value)}", "sweep.over")
    return file


def pairs(given: Sequence[str], flag: str) -> dict[str, Any]:
    """`key=value` arguments of `flag` as a mapping, dots leading inside, values read as YAML."""
    file = RecipeFile(Path(flag), {})
    for one in given:
        _override(file, one, flag)
    return file.data


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(
                f"{path} has {path.stat().st_size:,} bytes and a recipe at most {MAX_BYTES:,}: name data in its data.path"
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RecipeError(
            f"{path}:{line}: byte {error.object[error.start]:#04x} is not UTF-8: save the recipe as UTF-8"
        ) from None
    except FileNotFoundError:
        raise RecipeError(
            f"{path} does not exist: give the path of a recipe, such as recipes/quickstart.yaml"
        ) from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from None


def _parse(text: str, name: str, places: dict[Where, str]) -> Any:
    """Plain values of a YAML document; `places` receives each path's file and line."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(io.StringIO(text))
        if node is None:
            return None
        _walk(node, name, (), places, [0])
        return yaml.constructor.construct_document(node)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = (
            "tags (!…) are not allowed in a recipe"
            if isinstance(error, ConstructorError)
            else error.problem or error.context
        )
        raise RecipeError(f"{name}{line}: {' '.join(str(problem).split())}") from None
    except RecursionError:
        raise RecipeError(
            f"{name}: values are nested too deep: an alias (*name) must not be inside its own anchor (&name)"
        ) from None
    except (YAMLError, ValueError) as error:
        raise RecipeError(f"{name} is not YAML: {' '.join(str(error).split())}") from None


def _walk(node: Node, name: str, where: Where, places: dict[Where, str], seen: list[int]) -> None:
    seen[0] += 1
    if seen[0] > MAX_NODES:
        raise RecipeError(
            f"{name}: more than {MAX_NODES:,} values once aliases are followed: a recipe is smaller than that"
        )
    if isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            places[(*where, index)] = f"{name}:{child.start_mark.line + 1}"
            _walk(child, name, (*where, index), places, seen)
    elif isinstance(node, MappingNode):
        keys: set[str] = set()
        for key, child in node.value:
            _enter(key, name, where, places, keys)
            _walk(child, name, (*where, key.value), places, seen)


def _enter(key: Node, name: str, where: Where, places: dict[Where, str], keys: set[str]) -> None:
    line = key.start_mark.line + 1
    if not isinstance(key, ScalarNode):
        raise RecipeError(f"{name}:{line}: a key must be one plain word")
    if key.value in keys:
        raise RecipeError(f"{name}:{line}: {'.'.join(map(str, (*where, key.value)))} is given twice: keep one of them")
    keys.add(key.value)
    places[(*where, key.value)] = f"{name}:{line}"


def _override(file: RecipeFile, override: str, flag: str = "--set") -> None:
    dotted, equals, text = override.partition("=")
    said = f"{flag} {override}"
    if not equals or not all(dotted.split(".")):
        raise RecipeError(f"{said}: must be key=value, such as {flag} {EXAMPLES[flag]}")
    value = _parse(text, said, {})
    *steps, last = dotted.split(".")
    target: Any = file.data
    where: Where = ()
    for step in steps:
        slot = _slot(target, step, said)
        if isinstance(target, list) and slot == len(target):
            target.append({})
        elif isinstance(target, dict) and target.get(slot) is None:
            target[slot] = {}
        elif isinstance(target[slot], str) and _part_at((*where, slot)) is not None:
            target[slot] = {"type": target[slot]}
        target, where = target[slot], (*where, slot)
    slot = _slot(target, last, said)
    if isinstance(target, list) and slot == len(target):
        target.append(None)
    if slot == "type" and isinstance(value, str):
        _retype(file, where, target, value, flag)
    target[slot] = value
    _written(file, (*where, slot), said)


def _retype(file: RecipeFile, where: Where, entry: dict[Any, Any], name: str, flag: str) -> None:
    """Drop from a part, whose type becomes `name`, the keys that only its type of before has; not those that `flag` gave."""
    part = _part_at(where)
    if part is None or name == (entry.get("type") or part.default):
        return
    try:
        known = part.load(name).model_fields
    except (InputError, ValidationError):
        return  # reported where the recipe is checked
    for key in [key for key in entry if key not in known and not file.place((*where, key)).startswith(flag)]:
        del entry[key]


def _part_at(where: Where) -> Chosen | None:
    """The kind of replaceable part that a recipe holds there, for which a bare name may be written; None elsewhere."""
    if where[:1] == ("defaults",):
        where = ("models", 0, *where[1:])
    kinds: tuple[Any, ...] = (Recipe,)
    metadata: list[Any] = []
    for step in where:
        fields = [
            kind.model_fields[str(step)]
            for kind in kinds
            if hasattr(kind, "model_fields") and str(step) in kind.model_fields
        ]
        metadata = [each for field in fields for each in field.metadata]
        inner = [alternatives(get_args(kind)[-1]) for kind in kinds if get_origin(kind) in (list, dict)]
        kinds = tuple(
            each for found in (*inner, *(alternatives(field.annotation) for field in fields)) for each in found
        )
    return next((each for each in metadata if isinstance(each, Chosen) and each.short), None)


def _slot(target: Any, step: str, said: str) -> Any:
    """The key or index that `step` means in `target`; a list may grow by one."""
    if isinstance(target, dict):
        return step
    if not isinstance(target, list):
        raise RecipeError(f"{said}: {step!r} is inside {_kind(target)}, which has no keys")
    if not step.isdecimal() or int(step) > len(target):
        raise RecipeError(f"{said}: {step!r} must be an index 0…{len(target)} of a list of {len(target)}")
    return int(step)


def _written(file: RecipeFile, where: Where, place: str) -> None:
    """From now on the value at `where`, with all below it, comes from `place`."""
    _forget(file.places, where)
    file.places[where] = place


def _kind(value: Any) -> str:
    names = {type(None): "nothing", list: "a list", dict: "a mapping"}
    text = repr(value)
    return names.get(type(value), f"the value {text if len(text) <= LONGEST else text[:LONGEST] + '…'}")

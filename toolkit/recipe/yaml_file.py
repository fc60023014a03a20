"""Reading of recipes in YAML, which executes no code and keeps the line of every key for error messages."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError

from toolkit.errors import InputError, OldForm, RecipeError, Where
from toolkit.parameters import alternatives
from toolkit.parts import Chosen
from toolkit.recipe import cross_checks, unused_settings
from toolkit.recipe.recipe import Recipe
from toolkit.recipe.yaml_document import LONGEST, MAX_BYTES, Mapped, Yaml, parse, read_text

EXAMPLES = {"--set": "models.0.epochs=5", "--option": "playlist=list_id", "sweep.over": "models.0.lr"}

MAX_FILES = 20
"""Largest number of files of a recipe that extends others."""

READER: Where = ("data", "reader")
OPTIONS: Where = ("data", "options")
"""Keys of the reader and of its options."""

NUMBERED = re.compile(r"models\.(\d+): ")
"""Beginning of a warning about an old form in an entry of `models`."""


@dataclass
class RecipeFile:
    """Recipe as written, before any check.

    - places: location of each value, such as `recipes/x.yaml:12` or `--set models.0.epochs=5`, by key path.
    """

    path: Path
    data: Mapped
    places: dict[Where, str] = field(default_factory=dict)

    def place(self, where: Sequence[str | int]) -> str:
        """Return the location of the value at `where`, or of the nearest section above."""
        above = (self.places.get(tuple(where[:length])) for length in range(len(where), 0, -1))
        return next(filter(None, above), str(self.path))

    def error(self, where: Where, rule: str) -> RecipeError:
        """Return an error at `where`, with its location in the file. `rule` follows the dotted path."""
        return RecipeError(f"{self.place(where)}: {RecipeError(rule, where)}")

    def placed(self, error: RecipeError) -> RecipeError:
        """Return the same error with its location in the file."""
        return self.error(error.where, error.rule)

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Add the location in the file to a `RecipeError` with a key path that the block raises."""
        try:
            yield
        except RecipeError as error:
            if not error.where:
                raise
            raise self.placed(error) from error

    def recipe(self, *, parameters: bool = False, tried: tuple[str, ...] = ()) -> Recipe:
        """Return the checked recipe with an absolute `data.path`.

        A relative path starts at the folder of the recipe file, or at the current folder if the path is set with
        `--set`.

        - parameters: also check options and parameters against the plug-ins that read them, which imports the plug-ins.
        - tried: dotted keys that a sweep sets.

        Raises `RecipeError` with the line of the first error.
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
            raise self.error(
                ("data", "path"), f"={str(recipe.data.path)!r} must be a valid path ({error}): correct the path"
            ) from None
        return recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": path})})

    @contextmanager
    def _placed_warnings(self) -> Iterator[None]:
        """Issue each warning about an old form once, with its location.

        The stored recipe of a run is never edited, so no warnings are issued for it.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OldForm)
            yield
        sentences = [str(warning.message) for warning in caught if warning.category is OldForm]
        for warning in caught:
            if warning.category is not OldForm:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        of_a_run = self.path.name == "recipe.yaml" and (self.path.parent / "manifest.json").exists()
        for text in dict.fromkeys(f"{self._place_of(each)}: {NUMBERED.sub('', each)}" for each in sentences):
            if not of_a_run:
                warnings.warn(text, OldForm, stacklevel=4)

    def _place_of(self, sentence: str) -> str:
        """Return the location of the key at the start of a warning: `models.0: `negatives: 7` is the old form…`."""
        entry = NUMBERED.match(sentence)
        above: Where = ("models", int(entry[1])) if entry else ()
        key = NUMBERED.sub("", sentence).removeprefix("`").partition(":")[0]
        places = (place for where, place in self.places.items() if where[: len(above)] == above and where[-1] == key)
        return next(places, str(self.path))


def read(path: Path, overrides: Sequence[str] = ()) -> RecipeFile:
    """Read a recipe's YAML, complete the recipe with its `extends` base, and apply `a.b.c=value` overrides.

    The default recipe name is the file name.

    Raises `RecipeError` for a missing file, bytes that are not UTF-8, broken YAML, duplicate keys, tags, and overrides
    of unknown keys.
    """
    file = _file(path, (_resolved(path),), MAX_BYTES)
    for override in overrides:
        _override(file, override)
    file.data.setdefault("name", path.stem)
    _place_defaults(file)
    return file


def _file(path: Path, inside: tuple[Path, ...], limit: int) -> RecipeFile:
    """Return a recipe file completed with its `extends` base.

    - inside: the chain of files being read.
    - limit: bytes that the rest of the chain may have.
    """
    file, text = RecipeFile(path, {}), read_text(path, limit)
    value = parse(text, str(path), file.places)
    if not isinstance(value, dict):
        raise RecipeError(f"{path} must hold a mapping of keys to values, not {_kind(value)}: add keys such as `data`")
    file.data = value
    if "extends" not in value:
        return file
    extends = value.pop("extends")
    if not isinstance(extends, str):
        raise file.error(("extends",), f"={extends!r} must be a path relative to this file: correct the path")
    base = path.parent / extends
    if _resolved(base) in inside:
        raise file.error(("extends",), f"={extends!r} must not lead back to this recipe: remove `extends`")
    if len(inside) == MAX_FILES:
        raise file.error(
            ("extends",),
            f"={extends!r} would be file {MAX_FILES + 1} of the recipe, but at most {MAX_FILES} are read: merge files",
        )
    under = _file(base, (*inside, _resolved(base)), limit - len(text.encode()))
    unused: set[Where] = set()
    _complete(value, under.data, unused, ())
    file.places = {where: place for where, place in under.places.items() if not _under(where, unused)} | file.places
    return file


def _resolved(path: Path) -> Path:
    """Return the absolute path without links. Raises `RecipeError` for a path that no file can have."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, links in a circle
        raise RecipeError(f"{str(path)!r} must be a valid path ({error}): correct the path") from None


def _under(where: Where, sections: Collection[Where]) -> bool:
    """Return whether a key path is one of `sections` or inside one."""
    return bool(sections) and any(where[:length] in sections for length in range(1, len(where) + 1))


def _complete(over: Mapped, under: Mapped, unused: set[Where], where: Where) -> None:
    """Add missing keys from `under` to `over`, also in nested mappings, and the paths of other values to `unused`.

    A part with a different `type` replaces the whole part in `under`, because
    its keys belong to that type. The same holds for the options of another reader.
    """
    for key, value in under.items():
        place = (*where, key)
        if place == OPTIONS and _other_reader(under.get("reader"), over.get("reader")):
            unused.add(place)
        elif key not in over:
            over[key] = value
        else:
            part, own = _part_at(place), over[key]
            value = {"type": value} if part is not None and isinstance(value, str) else value
            if isinstance(value, dict) and isinstance(own, dict) and _same_type(own, value, part):
                over[key] = own = dict(own)  # an alias of YAML may share the mapping with another key
                _complete(own, value, unused, place)
            else:
                unused.add(place)


def _other_reader(before: Yaml, after: Yaml) -> bool:
    """Return whether options of reader `before` are not those of `after`. Options of `auto` may be of any reader."""
    return before not in (None, "auto") and after not in (None, before)


def _same_type(over: Mapped, under: Mapped, part: Chosen | None) -> bool:
    """Return whether two mappings may describe the same part. A mapping without `type` matches any type."""
    default = part.default if part is not None else ""
    return not over.get("type") or over["type"] == (under.get("type") or default or over["type"])


def _forget(places: dict[Where, str], where: Where) -> None:
    for known in [known for known in places if known[: len(where)] == where]:
        del places[known]


def _place_defaults(file: RecipeFile) -> None:
    """Set the locations of keys that `models` entries inherit from `defaults` or from the recipe's `fusion`."""
    models = file.data.get("models")
    for index, entry in enumerate(models if isinstance(models, list) else []):
        if isinstance(entry, dict):
            _place_from(file, entry, ("models", index), "defaults")
            if isinstance(fusion := entry.get("fusion"), dict):
                _place_from(file, fusion, ("models", index, "fusion"), "fusion")


def _place_from(file: RecipeFile, entry: Mapped, where: Where, base: str) -> None:
    under = file.data.get(base)
    missing = [key for key in under if key not in entry] if isinstance(under, dict) else []
    file.places |= {(*where, key): file.place((base, key)) for key in missing}


def with_settings(recipe: Recipe, settings: Mapping[str, object]) -> RecipeFile:
    """Return an unchecked recipe with `settings`, values by dotted key, and without its sweep."""
    file = RecipeFile(Path(recipe.name), {**recipe.model_dump(mode="json"), "sweep": None})
    for key, value in settings.items():
        _override(file, f"{key}={json.dumps(value)}", "sweep.over")
    return file


def pairs(arguments: Sequence[str], flag: str) -> Mapped:
    """Return the `key=value` arguments of a flag as a mapping. Keys may be dotted, and values are read as YAML."""
    file = RecipeFile(Path(flag), {})
    for argument in arguments:
        _override(file, argument, flag)
    return file.data


def _override(file: RecipeFile, override: str, flag: str = "--set") -> None:
    dotted, equals, text = override.partition("=")
    source = f"{flag} {override}"
    if not equals or not all(dotted.split(".")):
        raise RecipeError(f"{source} must have the form key=value: write, for example, {flag} {EXAMPLES[flag]}")
    _Override(file, parse(text, source, {}), flag, source).apply(file.data, dotted.split("."), ())


@dataclass(frozen=True)
class _Override:
    """Value for one dotted key. source: the whole argument, for messages."""

    file: RecipeFile
    value: Yaml
    flag: str
    source: str

    def apply(self, target: Yaml, steps: Sequence[str], where: Where) -> Yaml:
        """Set the value at `steps` inside `target`, located at `where`, and return it. A list may grow by one entry."""
        if not steps:
            _forget(self.file.places, where)
            self.file.places[where] = self.source
            return self.value
        step, *inner = steps
        if isinstance(target, str) and _part_at(where) is not None:
            target = {"type": target}
        target = {} if target is None else target
        if isinstance(target, dict):
            if step == "type" and not inner and isinstance(self.value, str):
                _retype(self.file, where, target, self.value, self.flag)
            if (*where, step) == READER and _other_reader(target.get("reader"), self.value):
                _drop_options(self.file, target, self.flag)
            target[step] = self.apply(target.get(step), inner, (*where, step))
        elif isinstance(target, list):
            if not step.isdecimal() or int(step) > len(target):
                rule = f"{step!r} must be a list index from 0 to {len(target)}: correct the index"
                raise RecipeError(f"{self.source}: {rule}")
            index = int(step)
            entry = target[index] if index < len(target) else None
            target[index : index + 1] = [self.apply(entry, inner, (*where, index))]
        else:
            raise RecipeError(f"{self.source}: {step!r} is inside {_kind(target)}, which has no keys: correct the key")
        return target


def _retype(file: RecipeFile, where: Where, entry: Mapped, name: str, flag: str) -> None:
    """Remove the keys of a part's former type that type `name` does not have, except keys from `flag`."""
    part = _part_at(where)
    if part is None or name == (entry.get("type") or part.default):
        return
    try:
        known = part.load(name).model_fields
    except (InputError, ValidationError):
        return  # reported where the recipe is checked
    for key in [key for key in entry if key not in known and not file.place((*where, key)).startswith(flag)]:
        del entry[key]


def _drop_options(file: RecipeFile, data: Mapped, flag: str) -> None:
    """Remove the options of the former reader from the section `data`, except options from `flag`."""
    options = data.get("options")
    if file.place(OPTIONS).startswith(flag) or not isinstance(options, dict):
        return
    for key in [key for key in options if not file.place((*OPTIONS, key)).startswith(flag)]:
        del options[key]


def _part_at(where: Where) -> Chosen | None:
    """Return the annotation of the field at `where` if a bare name is allowed for the part, or None."""
    if where[:1] == ("defaults",):
        where = ("models", 0, *where[1:])
    kinds: tuple[object, ...] = (Recipe,)
    metadata: list[object] = []
    for step in where:
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        fields = [model.model_fields[str(step)] for model in models if str(step) in model.model_fields]
        metadata = [each for field in fields for each in field.metadata]
        inner = [get_args(kind)[-1] for kind in kinds if get_origin(kind) in (list, dict)]
        kinds = tuple(
            kind
            for annotation in (*inner, *(field.annotation for field in fields))
            for kind in alternatives(annotation)
        )
    return next((each for each in metadata if isinstance(each, Chosen) and each.short), None)


def _kind(value: Yaml) -> str:
    names = {type(None): "nothing", list: "a list", dict: "a mapping"}
    text = repr(value)
    return names.get(type(value), f"the value {text if len(text) <= LONGEST else text[:LONGEST] + '…'}")

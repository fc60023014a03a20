"""Values that a recipe gives and nothing reads: whoever wrote them believes that they count, so they are refused by name.

A value equal to its default is no fault (a resolved recipe has them all), nor is one that several entries share and one of them reads,
nor one whose reader a sweep tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from toolkit import plugins
from toolkit.errors import RecipeError, Where
from toolkit.recipe.fusion_section import Fusion
from toolkit.recipe.model_section import ModelSpec

if TYPE_CHECKING:
    from toolkit.recipe.recipe import Recipe

SECTIONS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (("workers", "engine", ("ray",)),)
"""Key, the key that decides whether it is read, and the values under which it is."""

MODELS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("warmup_epochs", "train", ("warmup",)),
    ("match_weights", "match", (True,)),
)
"""The same of each entry of `models`."""

FUSION: tuple[tuple[str, str, tuple[Any, ...]], ...] = (("id_dropout", "id_embedding", (True,)),)
"""The same of a fusion, for models that see a modality."""


@dataclass(frozen=True)
class Idle:
    """A value that nothing reads. on: the key that decides; rule: what it is for, and what it met."""

    where: Where
    on: Where
    value: Any
    default: Any
    rule: str

    @property
    def message(self) -> str:
        """What is wrong, to go on after the dotted path."""
        plain = isinstance(self.default, str | int | float | None)
        cure = f"take it out, or set it to its default, {_yaml(self.default)}" if plain else "take it out"
        return f"={_yaml(self.value)} {self.rule}: {cure}"


TRIED: ContextVar[tuple[str, ...]] = ContextVar("tried", default=())
"""Dotted keys that the trial of a sweep sets."""


@contextmanager
def trying(keys: tuple[str, ...]) -> Iterator[None]:
    """Check recipes inside as trials that set `keys`: only these must be read."""
    token = TRIED.set(keys)
    try:
        yield
    finally:
        TRIED.reset(token)


def check(recipe: Recipe) -> None:
    """Raises `RecipeError` for the first value that nothing reads, and for one that is listed twice.

    In the trial of a sweep only for a key that it tries: all its trials would be the same.
    """
    for where, values in _lists(recipe):
        if again := next((value for place, value in enumerate(values) if value in values[:place]), None):
            raise RecipeError(f"={_yaml(again)} is listed twice: take one out", (*where, values.index(again)))
    tried = TRIED.get()
    for one in find(recipe, tried):
        if not tried or ".".join(map(str, one.where)) in tried:
            raise RecipeError(one.message, one.where)


def find(recipe: Recipe, tried: Sequence[str] = ()) -> Iterator[Idle]:
    """Every value that nothing reads. tried: dotted keys that a sweep sets where the recipe has no sweep of its own."""
    tried = tuple(recipe.sweep.over) if recipe.sweep is not None else tried
    for one in (*_sections(recipe), *_models(recipe), *_fusions(recipe)):
        on = ".".join(map(str, one.on))
        if not any(on == key or on.startswith(f"{key}.") or key.startswith(f"{on}.") for key in tried):
            yield one


def cleared(recipe: Recipe) -> Recipe:
    """The same recipe with defaults where nothing is read, as `segue run` takes it."""
    values = recipe.model_dump(mode="json")
    for one in find(recipe):
        *steps, last = one.where
        section: Any = values
        for step in steps:
            section = section[step]
        section[last] = one.default
    return type(recipe).model_validate(values)


def _sections(recipe: Recipe) -> Iterator[Idle]:
    for key, on, read in SECTIONS:
        if (met := _at(recipe, on)) not in read:
            yield from _given(recipe, key, on, f"is for `{on.rpartition('.')[2]}: {_named(read)}`, not `{_yaml(met)}`")
    if not recipe.report.map:
        yield from _given(recipe, "report.map_by", "report.map", "is for a map, and report.map is 0")
    if recipe.titles is not None and recipe.models and not any(model.titles for model in recipe.models):
        yield Idle(
            ("titles",),
            ("models",),
            recipe.titles.encoder,
            None,
            "is for models with `titles: true`, and there are none",
        )
    reader = recipe.data.reader
    if recipe.data.path is not None and reader != "auto" and not plugins.load("segue.readers", reader).needs_path:
        yield from _given(
            recipe, "data.path", "data.reader", f"is for readers of files, and {reader} makes its data itself"
        )


def _given(recipe: Recipe, key: str, on: str, rule: str) -> Iterator[Idle]:
    """The value of `key` where it is other than its default."""
    where = tuple(key.split("."))
    section = _at(recipe, key.rpartition(".")[0]) if "." in key else recipe
    if (value := getattr(section, where[-1])) != (default := _default(section, where[-1])):
        yield Idle(where, tuple(on.split(".")), value, default, rule)


def _models(recipe: Recipe) -> Iterator[Idle]:
    def content(spec: ModelSpec) -> bool:
        return not spec.ids_only(recipe.fusion, recipe.encoders)

    def ids(spec: ModelSpec) -> bool:
        return not content(spec) or (spec.fusion or recipe.fusion).id_embedding

    for key, on, read in MODELS:
        rule = f"is for `{on}: {_named(read)}`, not `{{}}`"
        yield from _unread(recipe.models, key, on, [getattr(spec, on) in read for spec in recipe.models], rule)
    yield from _unread(
        recipe.models,
        "train",
        "modalities",
        [*map(content, recipe.models)],
        "is of content, and this model uses ids alone",
    )
    yield from _unread(
        recipe.models,
        "id_start",
        "fusion",
        [*map(ids, recipe.models)],
        "is for `fusion.id_embedding: true`, not `false`",
    )


def _unread(models: Sequence[ModelSpec], key: str, on: str, reads: Sequence[bool], rule: str) -> Iterator[Idle]:
    """Entries whose value of `key` neither they read nor another that has the same."""
    shared = [getattr(spec, key) for spec, read in zip(models, reads, strict=True) if read]
    for place, spec in enumerate(models):
        value, default = getattr(spec, key), _default(spec, key)
        if value != default and value not in shared:
            told = rule.format(_yaml(getattr(spec, on))) if "{}" in rule else rule
            yield Idle(("models", place, key), ("models", place, on), value, default, told)


def _fusions(recipe: Recipe) -> Iterator[Idle]:
    """Of each fusion what no model that has the same value reads; that of the recipe once."""
    seeing = [spec for spec in recipe.models if not spec.ids_only(recipe.fusion, recipe.encoders)]
    if not seeing:
        return
    fusions: list[tuple[Where, Fusion]] = [(("fusion",), recipe.fusion)]
    fusions += [
        (("models", place, "fusion"), spec.fusion)
        for place, spec in enumerate(recipe.models)
        if spec.fusion is not None
    ]
    used = [(spec, spec.fusion or recipe.fusion) for spec in seeing]
    for key, on, read in (*FUSION, ("match_modalities", "match", (True,))):
        shared = [
            getattr(fusion, key) for spec, fusion in used if getattr(spec if on == "match" else fusion, on) in read
        ]
        for where, fusion in fusions:
            value, default = getattr(fusion, key), _default(fusion, key)
            if value == default or value in shared or (len(where) > 1 and value == getattr(recipe.fusion, key)):
                continue
            if on == "match":
                yield Idle(
                    (*where, key), ("models",), value, default, "is for models with `match: true`, and there are none"
                )
            else:
                rule = f"is for `{on}: {_named(read)}`, not `{_yaml(getattr(fusion, on))}`"
                yield Idle((*where, key), (*where, on), value, default, rule)


def _lists(recipe: Recipe) -> Iterator[tuple[Where, Sequence[Any]]]:
    """Lists in which a value counts once."""
    yield ("evaluation", "slices"), recipe.evaluation.slices
    if recipe.coldstart.tags is not None:
        yield ("coldstart", "tags", "rows"), recipe.coldstart.tags.rows
    if recipe.sweep is not None:
        yield from (
            (("sweep", "over", key), values) for key, values in recipe.sweep.over.items() if isinstance(values, list)
        )


def _at(recipe: Recipe, dotted: str) -> Any:
    """The value at a dotted key, None below a section that is not there."""
    found: Any = recipe
    for step in dotted.split("."):
        found = getattr(found, step, None)
    return found


def _default(section: BaseModel, key: str) -> Any:
    return type(section).model_fields[key].get_default(call_default_factory=True)


def _named(read: Sequence[Any]) -> str:
    *first, last = map(_yaml, read)
    return f"{', '.join(first)} or {last}" if first else last


def _yaml(value: Any) -> str:
    """A value as a recipe has it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_yaml(each)}' for key, each in value.items())}}}"
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )

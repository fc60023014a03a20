"""Refuses values of a recipe that nothing reads: their author believes that they have an effect.

A default value is accepted (a resolved recipe holds all of them), and so is a value that several entries share and one
of them reads, or one that is read in some trial of a sweep.
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
from toolkit.parameters import yaml_text
from toolkit.recipe.model_section import ModelSpec

if TYPE_CHECKING:
    from toolkit.recipe.recipe import Recipe


@dataclass(frozen=True)
class Unused:
    """A value that nothing reads.

    - where: its place in the recipe.
    - on: the place of the setting that decides whether it is read.
    - value, default: the value, and the one that is accepted.
    - rule: what the value is for, and why nothing reads it here.
    """

    where: Where
    on: Where
    value: object
    default: object
    rule: str

    @property
    def message(self) -> str:
        """The error, to follow the dotted path."""
        plain = isinstance(self.default, str | int | float | None)
        cure = f"take it out, or set it to its default, {yaml_text(self.default)}" if plain else "take it out"
        return f"={yaml_text(self.value)} {self.rule}: {cure}"


TRIED: ContextVar[tuple[str, ...]] = ContextVar("tried", default=())
"""Dotted keys that the trial of a sweep sets."""


@contextmanager
def trying(keys: tuple[str, ...]) -> Iterator[None]:
    """Inside this context, recipes are checked as trials that set `keys`: only these must be read."""
    token = TRIED.set(keys)
    try:
        yield
    finally:
        TRIED.reset(token)


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for the first value that nothing reads.

    In the trial of a sweep this holds for the keys that it tries: otherwise all its trials would be the same.
    """
    tried = TRIED.get()
    for unused in find(recipe, tried):
        if not tried or ".".join(map(str, unused.where)) in tried:
            raise RecipeError(unused.message, unused.where)


def find(recipe: Recipe, tried: Sequence[str] = ()) -> Iterator[Unused]:
    """Every value that nothing reads. tried: dotted keys that a sweep sets, if the recipe has no sweep of its own."""
    tried = tuple(recipe.sweep.over) if recipe.sweep is not None else tried
    for unused in (*_sections(recipe), *_models(recipe), *_fusions(recipe)):
        on = ".".join(map(str, unused.on))
        if not any(on == key or on.startswith(f"{key}.") or key.startswith(f"{on}.") for key in tried):
            yield unused


def cleared(recipe: Recipe) -> Recipe:
    """The same recipe with defaults in place of values that nothing reads. `segue run` accepts it."""
    values = recipe.model_dump(mode="json")
    for unused in find(recipe):
        *steps, last = unused.where
        section: Any = values
        for step in steps:
            section = section[step]
        section[last] = unused.default
    return type(recipe).model_validate(values)


def _sections(recipe: Recipe) -> Iterator[Unused]:
    if recipe.engine != "ray":
        yield from _given(recipe, ("workers",), ("engine",), f"is for `engine: ray`, not `{recipe.engine}`")
    if not recipe.report.map:
        yield from _given(recipe.report, ("report", "map_by"), ("report", "map"), "is for a map, and report.map is 0")
    if "models" not in recipe.model_fields_set:  # `models: []` leaves out those of another recipe
        yield from _given(recipe, ("defaults",), ("models",), "is for entries of `models`, and there are none")
    if recipe.titles is not None and recipe.models and not any(model.titles for model in recipe.models):
        rule = "is for models with `titles: true`, and there are none"
        yield Unused(("titles",), ("models",), recipe.titles.encoder, None, rule)
    reader = recipe.data.reader
    if recipe.data.path is not None and reader != "auto" and not plugins.load("segue.readers", reader).needs_path:
        rule = f"is for readers of files, and {reader} makes its data itself"
        yield from _given(recipe.data, ("data", "path"), ("data", "reader"), rule)


def _given(section: BaseModel, where: Where, on: Where, rule: str) -> Iterator[Unused]:
    """The last key of `where`, unless the section has its default."""
    value, default = getattr(section, str(where[-1])), _default(section, where[-1])
    if value != default:
        yield Unused(where, on, value, default, rule)


def _models(recipe: Recipe) -> Iterator[Unused]:
    specs = recipe.models
    content = [not spec.ids_only(recipe.fusion, recipe.encoders) for spec in specs]
    ids = [not sees or (spec.fusion or recipe.fusion).id_embedding for spec, sees in zip(specs, content, strict=True)]
    warmup = [spec.train == "warmup" for spec in specs]
    yield from _unread(specs, "warmup_epochs", "train", warmup, "is for `train: warmup`, not `{}`")
    yield from _unread(
        specs, "match_weights", "match", [spec.match for spec in specs], "is for `match: true`, not `{}`"
    )
    yield from _unread(specs, "train", "modalities", content, "is of content, and this model uses ids alone")
    yield from _unread(specs, "id_start", "fusion", ids, "is for `fusion.id_embedding: true`, not `false`")


def _unread(models: Sequence[ModelSpec], key: str, on: str, reads: Sequence[bool], rule: str) -> Iterator[Unused]:
    """Models whose value of `key` is read neither by them nor by another model with the same value."""
    read = [getattr(spec, key) for spec, reading in zip(models, reads, strict=True) if reading]
    for index, spec in enumerate(models):
        if getattr(spec, key) not in read:
            reason = rule.format(yaml_text(getattr(spec, on)))
            yield from _given(spec, ("models", index, key), ("models", index, on), reason)


def _fusions(recipe: Recipe) -> Iterator[Unused]:
    """Values of each fusion that no model with the same value reads. Those of the recipe's fusion are listed once."""
    seeing = [spec for spec in recipe.models if not spec.ids_only(recipe.fusion, recipe.encoders)]
    fusions = [((), recipe.fusion), *((("models", i), spec.fusion) for i, spec in enumerate(recipe.models))]
    used = [(spec.match, spec.fusion or recipe.fusion) for spec in seeing]
    dropouts = [fusion.id_dropout for _, fusion in used if fusion.id_embedding]
    matched = [fusion.match_modalities for match, fusion in used if match]
    for above, fusion in fusions if seeing else ():
        if fusion is None:
            continue
        where = (*above, "fusion")
        if fusion.id_dropout not in [*dropouts, *([recipe.fusion.id_dropout] if above else [])]:
            rule = f"is for `id_embedding: true`, not `{yaml_text(fusion.id_embedding)}`"
            yield from _given(fusion, (*where, "id_dropout"), (*where, "id_embedding"), rule)
        if fusion.match_modalities not in [*matched, *([recipe.fusion.match_modalities] if above else [])]:
            rule = "is for models with `match: true`, and there are none"
            yield from _given(fusion, (*where, "match_modalities"), ("models",), rule)


def _default(section: BaseModel, key: str | int) -> object:
    return type(section).model_fields[str(key)].get_default(call_default_factory=True)

"""Errors for recipe values that are never read, and so have no effect.

Default values are accepted, because a resolved recipe contains all of them. A value is also accepted if it is shared by
several entries and read by at least one entry, or read in at least one trial of a sweep.
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
    """Value that is never read.

    - where: key path of the value.
    - on: key path of the setting that decides whether the value is read.
    - value, default: the value, and the accepted default value.
    - rule: condition for the value, and why the condition is not met.
    """

    where: Where
    on: Where
    value: object
    default: object
    rule: str

    @property
    def message(self) -> str:
        """The error message that follows the dotted path."""
        default = f", or set the default value, {yaml_text(self.default)}"
        plain = isinstance(self.default, str | int | float | None)
        return f"={yaml_text(self.value)} {self.rule}: remove `{self.where[-1]}`{default if plain else ''}"


TRIED: ContextVar[tuple[str, ...]] = ContextVar("tried", default=())
"""Dotted keys that the trial of a sweep sets."""


@contextmanager
def trying(keys: tuple[str, ...]) -> Iterator[None]:
    """Check recipes inside this context as trials that set `keys`. Only these keys must be read."""
    token = TRIED.set(keys)
    try:
        yield
    finally:
        TRIED.reset(token)


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for the first value that is never read.

    A sweep trial is checked only for the keys that the sweep sets, because an unread key would make all trials
    identical.
    """
    tried = TRIED.get()
    for unused in find(recipe, tried):
        if not tried or ".".join(map(str, unused.where)) in tried:
            raise RecipeError(unused.message, unused.where)


def find(recipe: Recipe, tried: Sequence[str] = ()) -> Iterator[Unused]:
    """Yield all values that are never read. tried: dotted keys that a sweep sets, if the recipe has no `sweep`."""
    tried = tuple(recipe.sweep.over) if recipe.sweep is not None else tried
    for unused in (*_sections(recipe), *_models(recipe), *_fusions(recipe)):
        on = ".".join(map(str, unused.on))
        if not any(on == key or on.startswith(f"{key}.") or key.startswith(f"{on}.") for key in tried):
            yield unused


def cleared(recipe: Recipe) -> Recipe:
    """Return a recipe with default values in place of values that are never read, which `segue run` accepts."""
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
        yield from _given(recipe, ("workers",), ("engine",), f"requires `engine: ray`, not `{recipe.engine}`")
    if not recipe.report.map:
        yield from _given(recipe.report, ("report", "map_by"), ("report", "map"), "requires a map, but report.map is 0")
    if "models" not in recipe.model_fields_set:  # `models: []` leaves out those of another recipe
        yield from _given(recipe, ("defaults",), ("models",), "requires `models`, but the recipe has no models")
    if recipe.titles is not None and recipe.models and not any(model.titles for model in recipe.models):
        rule = "requires a model with `titles: true`, but no model has this setting"
        yield Unused(("titles",), ("models",), recipe.titles.encoder, None, rule)
    reader = recipe.data.reader
    if recipe.data.path is not None and reader != "auto" and not plugins.load("segue.readers", reader).needs_path:
        rule = f"requires a reader of files, but reader {reader} generates data"
        yield from _given(recipe.data, ("data", "path"), ("data", "reader"), rule)


def _given(section: BaseModel, where: Where, on: Where, rule: str) -> Iterator[Unused]:
    """Yield the last key of `where` if its value differs from the default."""
    key = str(where[-1])
    value, default = getattr(section, key), type(section).model_fields[key].get_default(call_default_factory=True)
    if value != default:
        yield Unused(where, on, value, default, rule)


def _models(recipe: Recipe) -> Iterator[Unused]:
    specs = recipe.models
    content = [not spec.ids_only(recipe.fusion, recipe.encoders) for spec in specs]
    ids = [not sees or (spec.fusion or recipe.fusion).id_embedding for spec, sees in zip(specs, content, strict=True)]
    warmup, match = [spec.train == "warmup" for spec in specs], [spec.match for spec in specs]
    yield from _unread(specs, "warmup_epochs", "train", warmup, "can be set only with `train: warmup`, not `{}`")
    yield from _unread(specs, "match_weights", "match", match, "can be set only with `match: true`, not `{}`")
    yield from _unread(specs, "train", "modalities", content, "requires content, but this model uses ids alone")
    yield from _unread(
        specs, "id_start", "fusion", ids, "can be set only with `fusion.id_embedding: true`, not `false`"
    )


def _unread(models: Sequence[ModelSpec], key: str, on: str, reads: Sequence[bool], rule: str) -> Iterator[Unused]:
    """Yield models with a value of `key` that neither this model nor a model with the same value reads."""
    read = [getattr(spec, key) for spec, reading in zip(models, reads, strict=True) if reading]
    for index, spec in enumerate(models):
        if getattr(spec, key) not in read:
            where = ("models", index)
            yield from _given(spec, (*where, key), (*where, on), rule.format(yaml_text(getattr(spec, on))))


def _fusions(recipe: Recipe) -> Iterator[Unused]:
    """Yield fusion values that no model with the same value reads. Values of the recipe's `fusion` are listed once."""
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
            rule = f"can be set only with `id_embedding: true`, not `{yaml_text(fusion.id_embedding)}`"
            yield from _given(fusion, (*where, "id_dropout"), (*where, "id_embedding"), rule)
        if fusion.architecture == "early":
            rule = "can be set only with `architecture: late`"
            yield from _given(fusion, (*where, "late_norm"), (*where, "architecture"), rule)
        if fusion.match_modalities not in [*matched, *([recipe.fusion.match_modalities] if above else [])]:
            rule = "requires a model with `match: true`, but no model has this setting"
            yield from _given(fusion, (*where, "match_modalities"), ("models",), rule)

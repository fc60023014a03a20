"""The section `evaluation` of a recipe: who is held out, what is shown of them, and what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    GetJsonSchemaHandler,
    SerializeAsAny,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from toolkit import plugins
from toolkit.contracts.protocol import GROUP, Protocol
from toolkit.errors import InputError, OldForm
from toolkit.parts import Chosen, described
from toolkit.recipe.section import Section

METRICS = "segue.metrics"
DEFAULT = "playlist_disjoint"
"""The protocol of a `split` that names none."""

SliceName = Literal["seeds", "length", "popularity", "modalities"]

FLAT: dict[str, Any] = {
    "shown": 0.7,
    "seeds": None,
    "min_tracks": 10,
    "new_playlists": "shown",
    "situations": ["title", "title_first_1", "title_first_5", "first_5", "title_first_10", "first_10", "title_first_25",
                   "title_random_25", "title_first_100", "title_random_100"],
    "faults": [],
    "shuffle_seeds": False,
    "equal_lists": "stop",
    "strict_overlap": False,
}  # fmt: skip
"""Keys of a protocol that were keys of `evaluation` itself, with their defaults."""

SPLIT: dict[str, Any] = {
    "by": "auto", "folds": 5, "test_fold": 0, "valid_fraction": 0.1, "field": None, "valid_from": 0.8, "test_from": 0.9,
}  # fmt: skip
"""Keys that `split` had whatever the protocol, with their defaults."""


def _metric(given: str) -> str:
    """A name of the entry-point group `segue.metrics`, or `module:Class`, which is imported."""
    if given not in plugins.names(METRICS):
        if ":" not in given:
            known = plugins.suggest(given, plugins.names(METRICS))
            raise PydanticCustomError("unknown_metric", "{rule}", {"rule": f"is not a metric: {known}"})
        try:
            plugins.load(METRICS, given)
        except InputError as error:
            rule = str(error).removeprefix(f"{given!r}").lstrip(": ")
            raise PydanticCustomError("unknown_metric", "{rule}", {"rule": rule}) from None
    return given


@dataclass(frozen=True)
class Examples:
    """Annotation that puts the names of an entry-point group into the published schema; others may come."""

    group: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "examples": plugins.names(self.group)}


MetricName = Annotated[str, AfterValidator(_metric), Examples(METRICS)]
"""A metric that is installed, or one's class."""


@dataclass(frozen=True)
class ChosenSplit(Chosen):
    """`Chosen` of a protocol: a mapping without `type` is of the default one."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made, default = super().__get_pydantic_json_schema__(schema, handler), described(self.group, DEFAULT, handler)
        keys, name = default["allOf"]
        plain = {"allOf": [keys, {"properties": name["properties"]}]}
        return {"anyOf": [*(one for one in made["anyOf"] if one != default), plain]}


class Evaluation(Section):
    """How systems are compared."""

    split: Annotated[SerializeAsAny[Protocol], ChosenSplit(GROUP, default=DEFAULT)] = Field(
        default_factory=partial(Chosen(GROUP).part, DEFAULT),
        description="the protocol: who is held out, and what is shown of them",
    )
    k: list[int] = Field([20, 50, 500], min_length=1)
    metrics: list[MetricName] = ["recall", "ndcg"]
    slices: list[SliceName] = Field(
        ["seeds", "length", "popularity", "modalities"],
        description="beside warm and cold: playlists by number of seeds and by length, hidden tracks by popularity and by modalities",
    )
    bootstrap: int = Field(1000, ge=10, le=100_000)
    allow_repeats: bool = False
    memory_mb: int = Field(256, ge=16, description="bound on the scores held at once")
    rankings: int = Field(
        500,
        ge=0,
        le=100_000,
        description="of each system's test rankings, the first tracks that are kept in rankings.parquet; 0: none",
    )
    attribution: bool = Field(
        False,
        description="what each modality adds: every model again without each of its modalities, and with each one shuffled",
    )
    reference: str | None = Field(None, description="system the others are compared with; default: the first model")

    @model_validator(mode="before")
    @classmethod
    def _modern(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        entry, sentences = modern(dict(given))
        for sentence in sentences:
            warnings.warn(sentence, OldForm, stacklevel=2)
        split = entry.get("split")
        if not isinstance(split, Mapping):
            return entry
        split = {"type": DEFAULT, **split}
        try:
            return {**entry, "split": Chosen(GROUP).part(split)}
        except ValidationError as error:
            raise _placed(error, given) from None

    @model_validator(mode="after")
    def _consistent(self) -> Evaluation:
        if any(not 1 <= k <= 100_000 for k in self.k):
            raise ValueError(f"k={self.k} must all be in 1…100000")
        self.k = self.k if "k" in self.model_fields_set else list(self.split.default_k)
        self.metrics = self.metrics if "metrics" in self.model_fields_set else list(self.split.default_metrics)
        return self


def modern(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A section with keys of the old form in the new one, a copy, and sentences that say what to write instead.

    Raises `ValidationError` for a protocol that does not exist, for an old key that the protocol does not read, unless it is at its
    default, and for one that `split` has with another value.
    """
    old = {key: entry[key] for key in ("protocol", *FLAT) if key in entry}
    split = entry.get("split") or {}
    split = {"type": split} if isinstance(split, str) else split
    if not old or not isinstance(split, Mapping):
        return dict(entry), []
    name = _protocol(entry, split)
    known = plugins.load(GROUP, name).model_fields
    kept = {key: value for key, value in split.items() if _stays(key, value, known, name, "protocol" in old)}
    moved = {key: value for key, value in old.items() if key in FLAT and _moves(key, value, kept, known, name)}
    made = {**({"type": name} if name != DEFAULT else {}), **kept, **moved}
    rest = {key: value for key, value in entry.items() if key not in old and key != "split"}
    if not moved and "protocol" not in old:
        return {**rest, "split": made}, []
    before = {"protocol": old["protocol"], **moved} if "protocol" in old else moved
    after = name if made.keys() <= {"type"} else made
    return {**rest, "split": made}, [
        f"`evaluation: {_yaml(before)}` is the old form: write `evaluation: {_yaml({'split': after})}`"
    ]


def _protocol(entry: Mapping[str, Any], split: Mapping[str, Any]) -> str:
    """The name of the protocol that an entry of the old form means."""
    given = entry.get("protocol", split.get("type", DEFAULT))
    if "protocol" in entry and split.get("type", given) != given:
        raise _fault(
            ("protocol",), given, f"and split.type={split['type']} are both given: take out protocol, the old form"
        )
    if isinstance(given, str) and (given in plugins.names(GROUP) or ":" in given):
        return given
    raise _fault(("protocol",), given, f"is not a protocol: {plugins.suggest(str(given), plugins.names(GROUP))}")


def _moves(key: str, value: Any, split: Mapping[str, Any], known: Mapping[str, Any], name: str) -> bool:
    """Whether an old key becomes one of `split`; one that nothing reads is dropped at its default."""
    if key in split:
        if split[key] != value:
            raise _fault(
                (key,), value, f"and split.{key}={_yaml(split[key])} are both given: take out {key}, the old form"
            )
        return False
    if key not in known and value != FLAT[key]:
        raise _fault((key,), value, _unread(key, FLAT[key], name))
    return key in known


def _stays(key: str, value: Any, known: Mapping[str, Any], name: str, old: bool) -> bool:
    """Whether a key of `split` stays there; a resolved recipe of the old form has all of them, whatever its protocol."""
    if key in known or not old or key not in SPLIT:
        return True  # a key that does not exist is refused as such
    if value != SPLIT[key]:
        raise _fault(("split", key), value, _unread(key, SPLIT[key], name))
    return False


def _unread(key: str, default: Any, name: str) -> str:
    """Why the protocol `name` does not read a key, and the cure."""
    readers = [other for other, cls in plugins.usable(GROUP).items() if key in cls.model_fields]
    cure = (
        f"take it out, or set it to its default, {_yaml(default)}"
        if isinstance(default, str | int | float | None)
        else "take it out"
    )
    return f"is for `protocol: {_listed(readers)}`, not `{name}`: {cure}"


def _fault(where: tuple[str, ...], value: Any, rule: str) -> ValidationError:
    kind = PydanticCustomError("old_form", "{rule}", {"rule": rule})
    return ValidationError.from_exception_data("Evaluation", [InitErrorDetails(type=kind, loc=where, input=value)])


def _placed(error: ValidationError, given: Mapping[str, Any]) -> ValidationError:
    """Faults of a protocol's keys where they were written: in `split`, or in the section itself."""
    found = []
    for fault in error.errors(include_url=False):
        key, kind = fault["loc"][:1], fault["type"]
        where = fault["loc"] if key and key[0] in FLAT and key[0] in given else ("split", *fault["loc"])
        known: Any = (
            kind if kind in get_args(ErrorType) else PydanticCustomError(kind, "{rule}", {"rule": fault["msg"]})
        )
        found.append(InitErrorDetails(type=known, loc=where, input=fault["input"], ctx=fault.get("ctx", {})))
    return ValidationError.from_exception_data("Evaluation", found)


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _yaml(value: Any) -> str:
    """A value as a recipe has it, in one line."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_yaml(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )

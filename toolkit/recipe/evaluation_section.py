"""Section `evaluation` of a recipe: held-out playlists, seeds and metrics."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, get_args

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    SerializeAsAny,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails
from pydantic_core.core_schema import ErrorType

from toolkit import plugins
from toolkit.contracts.protocol import GROUP, Protocol
from toolkit.errors import InputError, OldForm
from toolkit.parameters import Once, Parameters, either, fault, rule_error, yaml_text
from toolkit.parts import Chosen, described

METRICS = "segue.metrics"
DEFAULT = "playlist_disjoint"
"""The protocol of a `split` without a `type`."""

SLICES = ("seeds", "length", "popularity", "modalities")

FLAT: dict[str, object] = {
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
"""Keys of a protocol that were keys of `evaluation` in earlier versions, with their defaults."""

SPLIT: dict[str, object] = {
    "by": "auto", "folds": 5, "test_fold": 0, "valid_fraction": 0.1, "field": None, "valid_from": 0.8, "test_from": 0.9,
}  # fmt: skip
"""Keys that `split` had for every protocol in earlier versions, with their defaults."""


def _metric(name: str) -> str:
    """Return the name of an installed metric or `module:Class`, which is imported as a check."""
    if name not in plugins.names(METRICS):
        try:
            plugins.load(METRICS, name)
        except InputError as error:
            raise rule_error("unknown_metric", plugins.rule_of(error, name)) from None
    return name


@dataclass(frozen=True)
class Examples:
    """Annotation that adds the names of an entry-point group to the published schema, as examples."""

    group: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "examples": plugins.names(self.group)}


def _slice(name: str) -> str:
    """Return a kind of slices, or `field:NAME` for a field of the playlists."""
    if name not in SLICES and not re.match("field:.", name):
        raise rule_error("unknown_slice", f"must be {either(SLICES)}, or `field:` and the name of a playlist field")
    return name


SliceName = Annotated[
    str,
    AfterValidator(_slice),
    WithJsonSchema({"anyOf": [{"enum": list(SLICES)}, {"type": "string", "pattern": "^field:."}]}),
]

MetricName = Annotated[str, AfterValidator(_metric), Examples(METRICS)]
"""An installed metric, or `module:Class`."""


@dataclass(frozen=True)
class ChosenSplit(Chosen):
    """`Chosen` for protocols. A mapping without `type` is the default protocol."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole, default = super().__get_pydantic_json_schema__(schema, handler), described(self.group, DEFAULT, handler)
        keys, name = default["allOf"]
        plain = {"allOf": [keys, {"properties": name["properties"]}]}
        return {"anyOf": [*(part for part in whole["anyOf"] if part != default), plain]}


class Evaluation(Parameters):
    """Settings for the evaluation of systems."""

    split: Annotated[SerializeAsAny[Protocol], ChosenSplit(GROUP, default=DEFAULT)] = Field(
        default_factory=partial(Chosen(GROUP).part, DEFAULT),
        description="the protocol: who is held out, and what is shown of them",
    )
    k: Annotated[list[int], Field(min_length=1), Once] = [20, 50, 500]
    metrics: Annotated[list[MetricName], Once] = ["recall", "ndcg"]
    slices: Annotated[list[SliceName], Once] = Field(
        ["seeds", "length", "popularity", "modalities"],
        description="besides warm and cold: playlists by number of seeds and by length, hidden tracks by popularity"
        " and by modalities; `field:NAME` also groups playlists by a field of `data.options.playlist_fields`",
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
    attribution: bool | Annotated[list[str], Field(min_length=1), Once] = Field(
        False,
        description="what each modality adds: every model, or the models of a list, again without each of its"
        " modalities, and with each one shuffled",
    )
    reference: str | None = Field(None, description="system the others are compared with; default: the first model")

    def attributes(self, model: str) -> bool:
        """Return whether the contribution of each modality to a model is measured."""
        return model in self.attribution if isinstance(self.attribution, list) else self.attribution

    @model_validator(mode="before")
    @classmethod
    def _modern(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        entry, sentences = modern(dict(values))
        for sentence in sentences:
            warnings.warn(sentence, OldForm, stacklevel=2)
        split = entry.get("split")
        if not isinstance(split, Mapping):
            return entry
        try:
            return {**entry, "split": Chosen(GROUP).part({"type": DEFAULT, **split})}
        except ValidationError as error:
            raise _placed(error, values) from None

    @model_validator(mode="after")
    def _consistent(self) -> Evaluation:
        if any(not 1 <= k <= 100_000 for k in self.k):
            raise ValueError(f"k={self.k} must contain only values from 1 to 100000: correct k")
        self.k = self.k if "k" in self.model_fields_set else list(self.split.default_k)
        self.metrics = self.metrics if "metrics" in self.model_fields_set else list(self.split.default_metrics)
        return self


def modern(entry: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """Return a section with old keys converted to the current form, and a warning for each old key.

    Raises `ValidationError` for an unknown protocol, for an old key with a non-default value that the protocol does not
    read, and for an old key with a different value in `split`.
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
    new = {**({"type": name} if name != DEFAULT else {}), **kept, **moved}
    section = {**{key: value for key, value in entry.items() if key not in old and key != "split"}, "split": new}
    if not moved and "protocol" not in old:
        return section, []
    before = {"protocol": old["protocol"], **moved} if "protocol" in old else moved
    after = yaml_text({"split": name if new.keys() <= {"type"} else new})
    return section, [f"`evaluation: {yaml_text(before)}` is the old form: write `evaluation: {after}`"]


def _protocol(entry: Mapping[str, object], split: Mapping[str, object]) -> str:
    """Return the name of the protocol in an old-form section."""
    name = entry.get("protocol", split.get("type", DEFAULT))
    if "protocol" in entry and split.get("type", name) != name:
        rule = f"and split.type={split['type']} must not both be set: remove `protocol`, the old form"
    elif isinstance(name, str) and (name in plugins.names(GROUP) or ":" in name):
        return name
    else:
        rule = f"is not a protocol: {plugins.suggest(str(name), plugins.names(GROUP))}"
    raise _old_form(("protocol",), name, rule)


def _moves(key: str, value: object, split: Mapping[str, object], known: Collection[str], name: str) -> bool:
    """Return whether an old key is moved to `split`. A key that is never read is dropped at its default value."""
    if key in split and split[key] != value:
        rule = f"and split.{key}={yaml_text(split[key])} must not both be set: remove `{key}`, the old form"
        raise _old_form((key,), value, rule)
    if key not in split and key not in known and value != FLAT[key]:
        raise _old_form((key,), value, _unread(key, FLAT[key], name))
    return key in known and key not in split


def _stays(key: str, value: object, known: Collection[str], name: str, old: bool) -> bool:
    """Return whether a key of `split` is kept. Resolved recipes in the old form have all keys for every protocol."""
    if key in known or not old or key not in SPLIT:
        return True  # an unknown key is reported elsewhere
    if value != SPLIT[key]:
        raise _old_form(("split", key), value, _unread(key, SPLIT[key], name))
    return False


def _unread(key: str, default: object, name: str) -> str:
    """Return why the protocol `name` does not read a key, with the cure."""
    readers = [other for other, cls in plugins.usable(GROUP).items() if key in cls.model_fields]
    plain = isinstance(default, str | int | float | None)
    cure = f"remove `{key}`{f', or set the default value, {yaml_text(default)}' if plain else ''}"
    return f"can be set only with `protocol: {either(readers)}`, not `{name}`: {cure}"


def _old_form(where: tuple[str, ...], value: object, rule: str) -> ValidationError:
    return ValidationError.from_exception_data("Evaluation", [fault("old_form", rule, where, value)])


def _placed(error: ValidationError, values: Mapping[str, object]) -> ValidationError:
    """Return errors of protocol keys at their original path: in `split`, or in the section."""
    faults = []
    for found in error.errors(include_url=False):
        key, kind = found["loc"][:1], found["type"]
        where = found["loc"] if key and key[0] in FLAT and key[0] in values else ("split", *found["loc"])
        if kind in get_args(ErrorType):
            faults.append(InitErrorDetails(type=kind, loc=where, input=found["input"], ctx=found.get("ctx", {})))
        else:
            faults.append(fault(kind, found["msg"], where, found["input"]))
    return ValidationError.from_exception_data("Evaluation", faults)

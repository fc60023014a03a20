"""Entries of `models` as earlier versions wrote them, in the form of today.

A loss had its parameters beside it (`loss: gbce, gbce_t: 0.5`), and all architectures had the same keys. A key that an entry cannot read
is left out where it has the value that was its default, or one that another entry reads: `defaults` and YAML anchors share keys so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from toolkit import plugins
from toolkit.errors import InputError

LOSS: dict[str, tuple[str, Any]] = {
    "negatives": ("negatives", 4096),
    "negatives_from": ("negatives_from", "uniform"),
    "batch_negatives": ("batch_negatives", True),
    "log_q": ("log_q", True),
    "gbce_t": ("t", 0.75),
}
"""Keys that were written beside `loss`: the field of the loss, and the default of then."""

ELSEWHERE: dict[str, Any] = {"mask_ratio": 0.2, "last_item_epochs": 0, "strict_recbole": False}
"""Keys of BERT4Rec that every resolved entry held, with the default of then."""

Shared = Mapping[str, Sequence[Any]]


def modern(
    entry: Mapping[str, Any], shared: Shared | None = None, cls: type[BaseModel] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """A copy of an entry in today's form, and a sentence for each key in an old one.

    - shared: values by key that other entries read; an entry that cannot read one of them loses it.
    - cls: the entry's class; default: the one that its `type` names.

    What cannot be read for another reason stays, for `refuse`.
    """
    written, shared = dict(entry), shared or {}
    cls = cls or _class("segue.models", written.get("type"))
    if cls is None:
        return written, []
    for key in [key for key in written if key not in cls.model_fields and key not in LOSS]:
        if written[key] in [*shared.get(key, ()), *([ELSEWHERE[key]] if key in ELSEWHERE else [])] and _types_with(key):
            del written[key]
    return written, _nest(written, shared)


def modern_models(recipe: Mapping[str, Any], tried: Sequence[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """A copy of a recipe with all entries of `models`, and a sweep over their losses, in today's form; the sentences name the entry.

    tried: dotted keys that the trial of a sweep sets. An entry may then hold what it reads in other trials alone.
    """
    entries = recipe.get("models")
    if not isinstance(entries, list):
        return dict(recipe), []
    over = _over(recipe)
    given = [each if isinstance(each, Mapping) else {} for each in entries]
    made, notes = list(entries), []
    for place, entry in enumerate(given):
        if entry:
            over = _swept(over, place, entry)
            shared = _read(each for other, each in enumerate(given) if other != place)
            deciding = {
                key
                for key in (*over, *tried)
                if key in (f"models.{place}.loss", f"models.{place}.loss.type", f"models.{place}.type")
            }
            made[place], said = modern(entry, {key: [value] for key, value in entry.items()} if deciding else shared)
            notes += [f"models.{place}: {sentence}" for sentence in said]
    changed: dict[str, Any] = {**recipe, "models": made}
    return changed | ({"sweep": {**recipe["sweep"], "over": over}} if over else {}), notes


def refuse(entry: Mapping[str, Any], cls: type[BaseModel]) -> None:
    """Raise pydantic's `ValidationError` for keys that belong to another loss or another architecture, naming it."""
    faults = []
    for key in entry:
        if key in cls.model_fields:
            continue
        if key in LOSS:
            name = _name(entry.get("loss", "chunked"))
            known, on = _losses_with(LOSS[key][0]), f"`loss: {{}}`, not `{name}`"
            cure = (
                f"take it out, or write `loss: {{type: {known[0]}, {LOSS[key][0]}: {_yaml(entry[key])}}}`"
                if known
                else "take it out"
            )
        else:
            known, on, cure = (
                _types_with(key),
                f"`type: {{}}`, not `{entry.get('type', cls.model_fields['type'].default)}`",
                "take it out",
            )
        if known:
            rule = f"is for {on.format(_listed(known))}: {cure}"
            faults.append(
                InitErrorDetails(
                    type=PydanticCustomError("unread", "{rule}", {"rule": rule}), loc=(key,), input=entry[key]
                )
            )
    if faults:
        raise ValidationError.from_exception_data(cls.__name__, faults)


def _nest(entry: dict[str, Any], shared: Shared) -> list[str]:
    """Move the keys beside `loss` into it, in place; a sentence where there was one that counts."""
    flat = {key: entry[key] for key in LOSS if key in entry}
    given = entry.get("loss", "chunked")
    cls = _class("segue.losses", _name(given))
    if not flat or cls is None:
        for key in flat:
            del entry[key]  # the name of the loss is wrong: that is the fault to report
        return []
    inside: dict[str, Any] = {}
    for key, value in flat.items():
        field, default = LOSS[key]
        if field in cls.model_fields:
            del entry[key]
            if value != cls.model_fields[field].default or (isinstance(given, Mapping) and field in given):
                inside[field] = value
        elif value == default or value in shared.get(key, ()):
            del entry[key]
    if not inside:
        return []
    whole = {"type": _name(given), **_fields(given), **inside}
    entry["loss"] = whole
    old = ", ".join(f"{key}: {_yaml(value)}" for key, value in flat.items() if LOSS[key][0] in inside)
    new = ", ".join(f"{key}: {_yaml(value)}" for key, value in whole.items())
    return [f"`{old}` is the old form: write `loss: {{{new}}}`"]


def _swept(over: dict[str, Any], place: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep's values of an entry's loss with the parameters that the entry gives beside it."""
    values = over.get(f"models.{place}.loss")
    flat = {key: entry[key] for key in LOSS if key in entry}
    if not isinstance(values, list) or not flat:
        return over
    every = {key: [value] for key, value in flat.items()}
    made = [modern({"type": entry.get("type"), "loss": value, **flat}, every)[0].get("loss", value) for value in values]
    return {**over, f"models.{place}.loss": made}


def _over(recipe: Mapping[str, Any]) -> dict[str, Any]:
    sweep = recipe.get("sweep")
    over = sweep.get("over") if isinstance(sweep, Mapping) else None
    return dict(over) if isinstance(over, Mapping) else {}


def _read(entries: Iterator[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values by key that entries read."""
    read: dict[str, list[Any]] = {}
    for entry in entries:
        cls, given = _class("segue.models", entry.get("type")), entry.get("loss", "chunked")
        loss = _class("segue.losses", _name(given))
        for key, value in entry.items():
            if cls is not None and key in cls.model_fields:
                read.setdefault(key, []).append(value)
        for key, (field, _) in LOSS.items():
            inside = _fields(given)
            if loss is not None and field in loss.model_fields and (key in entry or field in inside):
                read.setdefault(key, []).append(entry.get(key, inside.get(field)))
    return read


def _name(loss: Any) -> Any:
    """What a loss is called, given as name, mapping or object."""
    return (
        loss.get("type")
        if isinstance(loss, Mapping)
        else getattr(loss, "type", None)
        if isinstance(loss, BaseModel)
        else loss
    )


def _fields(loss: Any) -> dict[str, Any]:
    """What is given of a loss's fields."""
    if isinstance(loss, BaseModel):
        return loss.model_dump(exclude={"type"}, exclude_unset=True)
    return {key: value for key, value in loss.items() if key != "type"} if isinstance(loss, Mapping) else {}


def _class(group: str, name: Any) -> type[BaseModel] | None:
    """The class of that name; None where there is none, which is reported where the name is checked."""
    try:
        cls: type[BaseModel] | None = plugins.load(group, name) if isinstance(name, str) else None
    except InputError:
        return None
    return cls


def _types_with(key: str) -> list[str]:
    return _with("segue.models", key)


def _losses_with(field: str) -> list[str]:
    return _with("segue.losses", field)


def _with(group: str, field: str) -> list[str]:
    """Names of a group whose classes have that field."""
    return [name for name, cls in plugins.usable(group).items() if field in cls.model_fields]


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _yaml(value: Any) -> str:
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )

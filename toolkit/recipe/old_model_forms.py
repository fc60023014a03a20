"""Conversion of `models` entries from earlier versions to the current form.

The parameters of a loss were keys of the model (`loss: gbce, gbce_t: 0.5`), and all architectures had the same keys.
Entries share keys through `defaults` and YAML anchors. A key that an entry cannot read is therefore dropped if its
value is the former default or a value that another entry reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ValidationError

from toolkit import plugins
from toolkit.errors import InputError, RecipeError
from toolkit.parameters import either, fault, yaml_text
from toolkit.parts import Part

MOST_MODELS = 200
"""Largest number of entries of `models`: each entry is compared with the others for old forms."""

LOSS: dict[str, tuple[str, object]] = {
    "negatives": ("negatives", 4096),
    "negatives_from": ("negatives_from", "uniform"),
    "batch_negatives": ("batch_negatives", True),
    "log_q": ("log_q", True),
    "gbce_t": ("t", 0.75),
}
"""Keys of a model that are now fields of its loss: the field, and the former default."""

ELSEWHERE: dict[str, object] = {"mask_ratio": 0.2, "last_item_epochs": 0, "strict_recbole": False}
"""Keys of BERT4Rec that every resolved entry had, with their former defaults."""

Entry = Mapping[str, object]
Shared = Mapping[str, Sequence[object]]


def modern(
    entry: Entry, shared: Shared | None = None, cls: type[BaseModel] | None = None
) -> tuple[dict[str, object], list[str]]:
    """Return an entry in the current form, and a warning for each key in an old form.

    - shared: values by key that other entries read. These values are dropped from an entry that cannot read them.
    - cls: the class of the entry; default: the class for its `type`.

    Other unreadable keys are kept for `refuse`.
    """
    written, shared = dict(entry), shared or {}
    cls = cls or _class("segue.models", written.get("type"))
    if cls is None:
        return written, []
    for key in [key for key in written if key not in cls.model_fields and key not in LOSS]:
        droppable = [*shared.get(key, ()), *([ELSEWHERE[key]] if key in ELSEWHERE else [])]
        if written[key] in droppable and _with("segue.models", key):
            del written[key]
    return written, _nest(written, shared)


def modern_models(recipe: Entry, tried: Sequence[str] = ()) -> tuple[dict[str, object], list[str]]:
    """Return a recipe with `models`, and the sweep over their losses, in the current form, with warnings.

    - tried: dotted keys that a sweep trial sets. An entry may then have keys that are read only in other trials.
    """
    entries, sweep = recipe.get("models"), recipe.get("sweep")
    if not isinstance(entries, list):
        return dict(recipe), []
    if len(entries) > MOST_MODELS:
        rule = f" has {len(entries):,} entries but must have at most {MOST_MODELS}: split the recipe"
        raise RecipeError(rule, ("models",))
    over = sweep.get("over") if isinstance(sweep, Mapping) else None
    over = dict(over) if isinstance(over, Mapping) else {}
    mappings = {index: entry for index, entry in enumerate(entries) if isinstance(entry, Mapping) and entry}
    written, warnings = list(entries), []
    for index, entry in mappings.items():
        over = _swept(over, index, entry)
        own = {key: [value] for key, value in entry.items()}
        shared = _read(other for place, other in mappings.items() if place != index)
        deciding = {f"models.{index}.{key}" for key in ("loss", "loss.type", "type")}
        written[index], sentences = modern(entry, own if deciding & {*over, *tried} else shared)
        warnings += [f"models.{index}: {sentence}" for sentence in sentences]
    swept = {"sweep": {**sweep, "over": over}} if over and isinstance(sweep, Mapping) else {}
    return {**recipe, "models": written, **swept}, warnings


def refuse(entry: Entry, cls: type[BaseModel]) -> None:
    """Raise pydantic's `ValidationError` for keys that belong to a different loss or architecture."""
    faults = []
    for key in [key for key in entry if key not in cls.model_fields]:
        if key in LOSS and (known := _with("segue.losses", LOSS[key][0])):
            cure = f"remove `{key}`, or write `loss: {{type: {known[0]}, {LOSS[key][0]}: {yaml_text(entry[key])}}}`"
            rule = f"can be set only with `loss: {either(known)}`, not `{_name(entry.get('loss', 'chunked'))}`: {cure}"
            faults.append(fault("unread", rule, (key,), entry[key]))
        elif key not in LOSS and (known := _with("segue.models", key)):
            rule = (
                f"can be set only with `type: {either(known)}`,"
                f" not `{entry.get('type', cls.model_fields['type'].default)}`: remove `{key}`"
            )
            faults.append(fault("unread", rule, (key,), entry[key]))
    if faults:
        raise ValidationError.from_exception_data(cls.__name__, faults)


def _nest(entry: dict[str, object], shared: Shared) -> list[str]:
    """Move the keys of a loss into `loss`, in place. Returns a warning if a value differs from the default."""
    flat = {key: entry[key] for key in LOSS if key in entry}
    loss = entry.get("loss", "chunked")
    cls = _class("segue.losses", _name(loss))
    if not flat or cls is None:
        for key in flat:
            del entry[key]  # the name of the loss is wrong: that is the fault to report
        return []
    inside: dict[str, object] = {}
    for key, value in flat.items():
        field, default = LOSS[key]
        if field in cls.model_fields:
            del entry[key]
            if value != cls.model_fields[field].default or (isinstance(loss, Mapping) and field in loss):
                inside[field] = value
        elif value == default or value in shared.get(key, ()):
            del entry[key]
    if not inside:
        return []
    entry["loss"] = {"type": _name(loss), **_fields(loss), **inside}
    old = ", ".join(f"{key}: {yaml_text(value)}" for key, value in flat.items() if LOSS[key][0] in inside)
    return [f"`{old}` is the old form: write `loss: {yaml_text(entry['loss'])}`"]


def _swept(over: dict[str, object], index: int, entry: Entry) -> dict[str, object]:
    """Return sweep values for the loss of an entry, completed with the loss parameters of that entry."""
    values = over.get(f"models.{index}.loss")
    flat = {key: entry[key] for key in LOSS if key in entry}
    if not isinstance(values, list) or not flat:
        return over
    every = {key: [value] for key, value in flat.items()}
    losses = [
        modern({"type": entry.get("type"), "loss": value, **flat}, every)[0].get("loss", value) for value in values
    ]
    return {**over, f"models.{index}.loss": losses}


def _read(entries: Iterator[Entry]) -> dict[str, list[object]]:
    """Return the values that entries read, by key."""
    read: dict[str, list[object]] = {}
    for entry in entries:
        cls, loss = _class("segue.models", entry.get("type")), entry.get("loss", "chunked")
        loss_cls, inside = _class("segue.losses", _name(loss)), _fields(loss)
        for key, value in entry.items():
            if cls is not None and key in cls.model_fields:
                read.setdefault(key, []).append(value)
        for key, (field, _) in LOSS.items():
            if loss_cls is not None and field in loss_cls.model_fields and (key in entry or field in inside):
                read.setdefault(key, []).append(entry.get(key, inside.get(field)))
    return read


def _name(loss: object) -> object:
    """Return the name of a loss that is given as a name, mapping or object."""
    if isinstance(loss, Mapping):
        return loss.get("type")
    return loss.type if isinstance(loss, Part) else loss


def _fields(loss: object) -> dict[str, object]:
    """Return the explicitly set fields of a loss."""
    if isinstance(loss, BaseModel):
        return loss.model_dump(exclude={"type"}, exclude_unset=True)
    return {key: value for key, value in loss.items() if key != "type"} if isinstance(loss, Mapping) else {}


def _class(group: str, name: object) -> type[BaseModel] | None:
    """Return the class with this name, or None for an unknown name, which is reported elsewhere."""
    try:
        cls: type[BaseModel] | None = plugins.load(group, name) if isinstance(name, str) else None
    except InputError:
        return None
    return cls


def _with(group: str, field: str) -> list[str]:
    """Return the names in a group for classes with this field."""
    return [name for name, cls in plugins.usable(group).items() if field in cls.model_fields]

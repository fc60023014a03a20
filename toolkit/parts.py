"""Replaceable parts of a recipe: losses, joins, missing-value policies, models and protocols.

A part is a class whose fields are its parameters. A recipe refers to a part by the name of an entry point, as
`module:Class` or as a mapping with `type`. In Python it may also be an object. All forms pass the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from toolkit import plugins
from toolkit.errors import InputError
from toolkit.packages import Package
from toolkit.parameters import Parameters, fault
from toolkit.validation import one_line

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as PartType
else:

    class PartType(type(BaseModel)):
        """Metaclass of parts, which raises a one-line `InputError` for wrong parameters in Python, as in a recipe."""

        def __call__(cls, *args: object, **values: object) -> object:
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                raise one_line(error, values, f"{cls.__name__}: ") from None


class Part(Parameters, metaclass=PartType):
    """Base class of every replaceable part.

    - type: name of the entry point, or `module:Class` for a class without an entry point. Subclasses set the default.
    - requires: additional packages that the part requires. `segue validate` reports missing packages.
    """

    requires: ClassVar[tuple[Package, ...]] = ()

    type: str


@dataclass(frozen=True)
class Chosen:
    """Annotation of a field that contains a part from an entry-point group.

    - short: whether a name alone is accepted, for the part with default parameters.
    - default: the `type` of a mapping without `type`; empty if `type` is required.

    Example: `loss: Annotated[SerializeAsAny[Loss], Chosen("segue.losses")] = Chunked()`
    """

    group: str
    short: bool = True
    default: str = ""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.part, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        handler(schema)
        names = list(plugins.usable(self.group))
        own = {"type": "object", "properties": {"type": {"type": "string", "pattern": ":"}}, "required": ["type"]}
        parts = [*(described(self.group, name, handler) for name in names), own]
        return {"anyOf": [{"type": "string", "examples": names}, *parts]} if self.short else {"anyOf": parts}

    def part(self, value: object) -> Any:
        """Return the part described by a name, a mapping with `type`, or a part object.

        Raises pydantic's `ValidationError`.
        """
        if isinstance(value, Part) or (isinstance(value, type) and issubclass(value, Part)):
            return named(self.group, self.checked(value))
        if isinstance(value, str) and self.short:
            value = {"type": value}
        if not isinstance(value, Mapping):
            example = f"such as {{type: {plugins.names(self.group)[0]}}}"
            raise self._fault(
                (), value, f"must be {'a name, or ' if self.short else ''}a mapping with `type`, {example}"
            )
        value = {"type": self.default, **value} if self.default else value
        if not isinstance(value.get("type"), str):
            names = ", ".join(plugins.names(self.group))
            rule = f"must be one of {names}" if "type" in value else f"is missing: set one of {names}"
            raise self._fault(("type",), value.get("type"), rule)
        return self.load(value["type"]).model_validate(dict(value))

    def checked(self, part: Part | type[Part]) -> Part:
        """Return `part` if it is an instance of the group's base class, else raise pydantic's `ValidationError`."""
        kind, contract = plugins.article(plugins.kind_of(self.group)), plugins.contract(self.group)
        if not isinstance(part, type) and isinstance(part, contract):
            return part
        cls = part if isinstance(part, type) else type(part)
        wrong = f"must be {kind}, an instance of segue.plugin.{contract.__name__}, not {cls.__name__}"
        raise self._fault(
            (), part, f"must be an object, not a class: write {cls.__name__}()" if issubclass(cls, contract) else wrong
        )

    def _fault(self, where: tuple[str, ...], value: object, rule: str) -> ValidationError:
        kind = "missing_type" if rule.startswith("is missing") else "unknown_part"
        return ValidationError.from_exception_data(plugins.kind_of(self.group), [fault(kind, rule, where, value)])

    def load(self, name: str) -> type[Part]:
        """Return the class with this name. Raises a validation error at `type` for an unknown name."""
        try:
            cls: type[Part] = plugins.load(self.group, name)
        except InputError as error:
            if name in plugins.names(self.group):
                raise  # a plug-in that is installed and broken: no other value would help
            raise self._fault(("type",), name, plugins.rule_of(error, name)) from None
        return cls


def named(group: str, part: Part) -> Part:
    """Return `part` with a `type` that leads back to its class: `module:Class` if it has no entry point."""
    path = plugins.path_of(group, type(part), part.type)
    return part if part.type == path else part.model_copy(update={"type": path})


def described(group: str, name: str, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Return the JSON schema of a part as a definition in the whole schema, with `type` equal to `name`."""
    cls: type[Part] = plugins.load(group, name)
    return {
        "allOf": [
            handler(cls.__pydantic_core_schema__),
            {"properties": {"type": {"const": name}}, "required": ["type"]},
        ]
    }

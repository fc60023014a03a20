"""Replaceable parts of a recipe: a loss, a join, a policy for missing content, a model, a protocol.

A part is one class. Its fields are its parameters, and its methods do the work. You can refer to it by the name of an entry point, as
`module:Class`, as a mapping with `type`, or in Python as an object. All of these pass the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from toolkit import plugins
from toolkit.errors import InputError
from toolkit.packages import Package
from toolkit.parameters import Parameters


class Part(Parameters):
    """Base class of every replaceable part.

    type: the name of its entry point, or `module:Class` for a class without one. A subclass sets the default.
    requires: packages that it needs beyond those of the toolkit. `segue validate` reports those that are missing.
    """

    requires: ClassVar[tuple[Package, ...]] = ()

    type: str


@dataclass(frozen=True)
class Chosen:
    """Annotation of a field that holds a part of one entry-point group.

    - short: whether a name alone is accepted, for the part with its defaults.
    - default: the `type` of a mapping without one; empty if a mapping must have a `type`.

    Example: `loss: Annotated[SerializeAsAny[Loss], Chosen("segue.losses")] = Chunked()`
    """

    group: str
    short: bool = True
    default: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.part, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        handler(schema)
        names = list(plugins.usable(self.group))
        own = {"type": "object", "properties": {"type": {"type": "string", "pattern": ":"}}, "required": ["type"]}
        parts = [*(described(self.group, name, handler) for name in names), own]
        return {"anyOf": [{"type": "string", "examples": names}, *parts]} if self.short else {"anyOf": parts}

    def part(self, given: Any) -> Any:
        """The part that `given` describes: a name, a mapping with `type`, or a part."""
        if isinstance(given, Part) or (isinstance(given, type) and issubclass(given, Part)):
            return named(self.group, self.checked(given))
        if isinstance(given, str) and self.short:
            given = {"type": given}
        if not isinstance(given, Mapping):
            example = f"such as {{type: {plugins.names(self.group)[0]}}}"
            raise self._fault(
                (), given, f"must be {'a name, or ' if self.short else ''}a mapping with `type`, {example}"
            )
        given = {"type": self.default, **given} if self.default else given
        if not isinstance(given.get("type"), str):
            names = ", ".join(plugins.names(self.group))
            rule = f"must be one of {names}" if "type" in given else f"is missing: name one of {names}"
            raise self._fault(("type",), given.get("type"), rule)
        return self.load(given["type"]).model_validate(dict(given))

    def checked(self, given: Part | type[Part]) -> Part:
        """Return `given` if it is an object of the group's contract. Anything else is a validation error."""
        kind, contract = plugins.article(plugins.kind_of(self.group)), plugins.contract(self.group)
        if not isinstance(given, type) and isinstance(given, contract):
            return given
        cls = given if isinstance(given, type) else type(given)
        wrong = f"must be {kind}, of a subclass of segue.plugin.{contract.__name__}, not {cls.__name__}"
        raise self._fault((), given, f"is a class: write {cls.__name__}()" if issubclass(cls, contract) else wrong)

    def _fault(self, where: tuple[str, ...], given: Any, rule: str) -> ValidationError:
        kind = "missing_type" if rule.startswith("is missing") else "unknown_part"
        error = InitErrorDetails(type=PydanticCustomError(kind, "{rule}", {"rule": rule}), loc=where, input=given)
        return ValidationError.from_exception_data(plugins.kind_of(self.group), [error])

    def load(self, name: str) -> type[Part]:
        """The class with this name. An unknown name is a validation error at `type`."""
        try:
            cls: type[Part] = plugins.load(self.group, name)
        except InputError as error:
            if name in plugins.names(self.group):
                raise  # a plug-in that is installed and broken: no other value would help
            raise self._fault(("type",), name, str(error).removeprefix(repr(name)).lstrip(": ")) from None
        return cls


def named(group: str, part: Part) -> Part:
    """`part` with a `type` that leads back to its class: `module:Class` if it has no entry point."""
    path = plugins.path_of(group, type(part), part.type)
    return part if part.type == path else part.model_copy(update={"type": path})


def described(group: str, name: str, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """JSON schema of one part, as a definition in the whole schema. Its `type` is `name`."""
    cls: type[Part] = plugins.load(group, name)
    return {
        "allOf": [
            handler(cls.__pydantic_core_schema__),
            {"properties": {"type": {"const": name}}, "required": ["type"]},
        ]
    }

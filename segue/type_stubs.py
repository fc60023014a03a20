"""Writer of `rankers.pyi`, the parameter types of all built-in rankers and sequential models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from segue.ranker_classes import MODELS, entry_points
from toolkit import plugins
from toolkit.parts import Part

HEAD = '''"""Types of the classes in `segue.rankers`, written by `python -m segue.type_stubs`. Do not edit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from segue.model_kinds import RankerModel as RankerModel
from segue.model import Model as Model
from segue.model_kinds import SequentialModel as SequentialModel
from segue.modalities import Modality
from toolkit.contracts.join import Join
from toolkit.contracts.loss import Loss
from toolkit.contracts.missing_policy import Missing
'''

OWN = {
    "name": "name: str | None = ...",
    "modalities": "modalities: Sequence[Modality] = ...",
    "seed": "seed: int = ...",
    "device": "device: str = ...",
}
"""Keywords of every class. Rankers without content do not have `modalities`."""

LEFT_OUT = {"type", "name", "group", "fusion", "modalities", "titles", "seed", "device"}
"""Recipe keys that the class has in a different form, or that apply only to recipes."""


def stub() -> str:
    """Return the text of `rankers.pyi`."""
    classes = [_class(name, *place) for name, place in sorted(entry_points().items()) if _built_in(*place)]
    names = [name for name, place in sorted(entry_points().items()) if _built_in(*place)]
    listed = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n"
    return f"{HEAD}\n{listed}\n" + "\n".join(classes)


def _built_in(group: str, point: str) -> bool:
    found = plugins.points(group)[point]
    return found.dist is not None and found.dist.name == plugins.OWN


def _class(name: str, group: str, point: str) -> str:
    part = plugins.load(group, point)
    own = dict(OWN)
    if group == MODELS:
        from toolkit.recipe import Fusion

        fields = {**part.model_fields, **Fusion.model_fields}
        own["title_encoder"] = "title_encoder: str | None = ..."
        base = "SequentialModel"
    else:
        fields, base = part.Params.model_fields, "RankerModel"
        if part.capabilities.content == "none":
            del own["modalities"]
    given = [*_keywords(fields), *own.values()]
    lines = "".join(f"        {keyword},\n" for keyword in given)
    about = (part.__doc__ or "").strip().splitlines()[0] if part.__doc__ else name
    head = f'class {name}({base}):\n    """{about}"""\n'
    return f"{head}\n    def __init__(\n        self,\n        *,\n{lines}    ) -> None: ...\n"


def _keywords(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, info in fields.items():
        if name not in LEFT_OUT:
            yield f"{name}: {source(info.annotation)}" + ("" if info.is_required() else " = ...")


def source(annotation: object) -> str:
    """Return a type as written in a stub, wide enough for all values that the parameter accepts."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return source(args[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(source(each) for each in args))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin is list:
        return f"Sequence[{source(args[0])}]"
    if origin is tuple:
        return f"Sequence[{source(args[0])}]"
    if origin is dict:
        return f"Mapping[str, {source(args[1])}]"
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return f"{annotation.__name__} | str | Mapping[str, object]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "Mapping[str, object]"
    if annotation is type(None) or annotation is None:
        return "None"
    if annotation is Path:
        return "Path | str"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def main() -> None:
    path = Path(__file__).with_name("rankers.pyi")
    path.write_text(stub(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()

"""The parts of `tests/plugin_example`: their kinds, and a call of each one's conformance suite."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from segue import plugin

EXAMPLE = Path(__file__).parent / "plugin_example"

PARTS = {
    "readers": ("mixtape", "MixtapeReader"),
    "encoders": ("hashed-words", "HashedWordsEncoder"),
    "rankers": ("follows", "Follows"),
    "models": ("gated-conv", "GatedConv"),
    "losses": ("focal", "Focal"),
    "joins": ("pairwise", "Pairwise"),
    "missing": ("median", "Median"),
    "metrics": ("reciprocal_rank", "ReciprocalRank"),
    "protocols": ("file_order", "FileOrder"),
    "sources": ("text-files", "TextFiles"),
}
"""By kind, as `segue list` takes it: the name of the entry point, and the class."""


def part(kind: str, module: str) -> Any:
    """The class of a kind, from a package of one file each (`segue_example`) or from one file with all (`my_ideas`)."""
    name, cls = PARTS[kind]
    places = (module, f"{module}.{name.replace('-', '_')}")
    return next(getattr(found, cls) for place in places if hasattr(found := import_module(place), cls))


def renamed(recipe: str, module: str) -> str:
    """A recipe with `module:Class` instead of each name of the package."""
    for name, cls in PARTS.values():
        recipe = re.sub(rf"((?:type|join|encoder|reader|missing): ){name}(?=[,}}])", rf'\1"{module}:{cls}"', recipe)
        recipe = recipe.replace(f"name: {name}, params", f'name: "{module}:{cls}", params').replace(
            f", {name}]", f', "{module}:{cls}"]'
        )
    return recipe


def check(kind: str, cls: Any, folder: Path) -> None:
    """Hold a part of the example to its contract, as its author would."""
    CHECKS[kind](cls, folder)


def _reader(cls: Any, folder: Path) -> None:
    def sized(count: int) -> Any:
        path = folder / f"{count}.mixtape"
        path.write_text(
            "".join(
                f"list\tL{row}\t{' '.join(f't{(7 * row + at) % 500}' for at in range(20))}\n" for row in range(count)
            )
        )
        return cls(path)

    bad = folder / "bad.mixtape"
    bad.write_text("track\tt1\tAn artist\tA title\tsome words\tfast\nnonsense\nlist\tA list\tt1 t2\n")
    good = EXAMPLE / "playlists.mixtape"
    plugin.check_reader(lambda mode: cls(good, on_error=mode), bad=lambda mode: cls(bad, on_error=mode), sized=sized)


def _source(cls: Any, folder: Path) -> None:
    (folder / "Nina - One.txt").write_text("la la")
    known, unknown = (
        plugin.Request("track", f"local:{title}", ("lyrics",), title=title, artists=("Nina",))
        for title in ("One", "Two")
    )
    answer = plugin.check_source(cls, {"folder": str(folder)}, known=known, unknown=unknown)
    assert answer.values == {"lyrics": "la la"}  # type: ignore[union-attr]


TEXTS = ["one", "two words", "three small words", "four", "two words more"]

CHECKS: dict[str, Callable[[Any, Path], None]] = {
    "readers": _reader,
    "encoders": lambda cls, _: plugin.check_encoder(cls, TEXTS, {"dim": 8}),
    "rankers": lambda cls, _: plugin.check_ranker(cls),
    "models": lambda cls, _: plugin.check_model(cls(hidden_size=16, max_length=10)),
    "losses": lambda cls, _: plugin.check_loss(cls(gamma=2.0)),
    "joins": lambda cls, _: plugin.check_join(cls()),
    "missing": lambda cls, _: plugin.check_missing(cls()),
    "metrics": lambda cls, _: plugin.check_metric(cls),
    "protocols": lambda cls, _: plugin.check_protocol(cls()),
    "sources": _source,
}

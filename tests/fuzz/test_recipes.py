"""Tests that damaged recipes are refused in one line or are valid."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit.recipe import load

pytestmark = pytest.mark.fuzz

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").rglob("*.yaml"))
PIECES = (
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!int ",
    b"? ",
    b"- ",
    b": ",
    b"|\n",
    b">\n",
    b"{}",
    b"[]",
    b"null",
    b"extends: x\n",
)
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.0, -0.5, 1e308, float("inf"), float("nan"), "", "x", "none",
    "a" * 300, "../x", "/dev/zero", "os:system", "no.module:X", "{title}", "{0.__class__}", "\x00", "\u2028", "(", "5%",
    [], [[]], [1, 1], ["popularity"], {}, {"type": "x"}, {"type": None}, {"name": "ease"}, {"a": {"b": []}},
)  # fmt: skip


def test_recipes_with_mutated_bytes_are_refused_in_one_line_or_valid(
    tmp_path: Path, tries: Callable[[int], int]
) -> None:
    samples = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in RECIPES}
    inputs = list(mutations(samples, tries(120), extra=PIECES))

    result = attempt(_validate(tmp_path), inputs, seconds=30, megabytes=400)

    assert not result.faults
    assert result.counts["refused"] > len(inputs) // 10 and result.counts["passed"] > len(inputs) // 20
    print(result)


def test_recipes_with_values_of_other_types_are_refused_in_one_line_or_valid(
    tmp_path: Path, tries: Callable[[int], int]
) -> None:
    inputs = list(_replaced(tries(100)))

    result = attempt(_validate(tmp_path), inputs, seconds=30, megabytes=400)

    assert not result.faults
    assert result.counts["refused"] > len(inputs) // 3 and result.counts["passed"] > 0
    print(result)


def _validate(folder: Path) -> Callable[[bytes], object]:
    """Return a function that reads and checks a recipe."""
    path = folder / "r.yaml"

    def act(content: bytes) -> None:
        path.write_bytes(content)
        load(path, parameters=True)

    return act


def _replaced(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield recipes in which a value at a random key path is replaced, removed or renamed."""
    originals = [YAML(typ="safe").load(path.read_text()) for path in RECIPES]
    for turn in range(number):
        drawn = random.Random(f"values {turn}")
        recipe = json.loads(json.dumps(drawn.choice(originals), default=str))
        for _ in range(drawn.choice((1, 1, 2, 3))):
            container, key = drawn.choice(list(_places(recipe)) or [(recipe, "data")])
            change = drawn.random()
            if change < 0.8:
                container[key] = copy.deepcopy(drawn.choice(VALUES))
            elif isinstance(container, dict):
                value = container.pop(key, None)
                if change < 0.9:
                    container[f"{key}x"] = value
        yield f"values {turn}", json.dumps(recipe).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every list or mapping with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)

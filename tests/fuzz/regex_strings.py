"""Regular expressions of the source code, found without importing a list, and texts on which each may be slow."""

from __future__ import annotations

import ast
import importlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("segue", "toolkit", "collectors", "segue_papers")
SEARCHES = frozenset({"search", "sub", "subn", "findall", "finditer", "split"})
"""Functions that try a pattern at every character."""
ANCHORED = frozenset({"match", "fullmatch"})

CATEGORY = {
    codes.CATEGORY_DIGIT: "1", codes.CATEGORY_NOT_DIGIT: "a", codes.CATEGORY_SPACE: " ", codes.CATEGORY_NOT_SPACE: "a",
    codes.CATEGORY_WORD: "a", codes.CATEGORY_NOT_WORD: " ",
}  # fmt: skip
ALPHABET = "a1 \t\n-.,_'\"([<é\u3000!"
"""Characters tried for a class that excludes characters."""
ENDINGS = ("", "\x00", "\n!", "a", ")")


@dataclass(frozen=True)
class Found:
    """Pattern in the source, with the functions that are called on it.

    - place: module, line and text, for messages.
    """

    place: str
    pattern: re.Pattern[str]
    functions: frozenset[str]


@dataclass(frozen=True)
class Attack:
    """Text on which a pattern may backtrack: a beginning, a repeated piece and an ending."""

    beginning: str
    piece: str
    ending: str

    def text(self, size: int) -> str:
        return self.beginning + self.piece * (size // len(self.piece)) + self.ending


def patterns() -> list[Found]:
    """Return every pattern of the packages whose text does not depend on a caller.

    A call `re.…(…)` is evaluated in its module. Patterns are also taken from the module's names, lists and mappings.
    """
    found: dict[tuple[str, int], Found] = {}
    for path in _sources():
        tree = _tree(path)
        if not _calls(tree):
            continue
        module = importlib.import_module(_name(path))
        uses = _uses()
        for call in _calls(tree):
            pattern = _evaluated(call, vars(module))
            if pattern is not None:
                function = call.func.attr if isinstance(call.func, ast.Attribute) else ""
                functions = uses.get(_assigned(tree, call), frozenset()) if function == "compile" else {function}
                place = f"{_name(path)}:{call.lineno} {pattern.pattern[:60]!r}"
                key = (pattern.pattern, pattern.flags)
                known = found[key].functions if key in found else frozenset()
                found[key] = Found(place, pattern, known | frozenset(functions))
        for name, pattern in _held(vars(module)):
            key = (pattern.pattern, pattern.flags)
            if key not in found:
                functions = uses.get(name, frozenset())
                found[key] = Found(f"{_name(path)}:{name} {pattern.pattern[:60]!r}", pattern, functions)
    return [each for _, each in sorted(found.items(), key=lambda pair: pair[1].place)]


def unevaluated() -> list[str]:
    """Return calls `re.…(…)` whose pattern comes from a caller or a loop, as `module: source of the argument`."""
    found = []
    for path in _sources():
        tree = _tree(path)
        for call in _calls(tree):
            if _evaluated(call, vars(importlib.import_module(_name(path)))) is None:
                found.append(f"{_name(path)}: {ast.unparse(call.args[0])}")
    return sorted(set(found))


def attacks(found: Found) -> Iterator[Attack]:
    """Yield attacks whose pieces are characters, literals and repeated parts of the pattern, and pairs of them."""
    tree = parser.parse(found.pattern.pattern, found.pattern.flags)
    drawn = random.Random(found.pattern.pattern)
    single = sorted(_characters(tree))
    pieces = dict.fromkeys([*single, *sorted(_literals(tree)), *_repeated(tree, drawn)])
    pairs = [a + b for a in single for b in single if a != b]
    pieces |= dict.fromkeys(drawn.sample(pairs, min(len(pairs), 40)))
    whole = [_sample(tree, drawn) for _ in range(6)]
    pieces |= dict.fromkeys(text[:at] for text in whole for at in range(1, len(text) + 1, 1 + len(text) // 8))
    pieces |= dict.fromkeys(text[at:] for text in whole for at in range(0, len(text), 1 + len(text) // 8))
    beginnings = dict.fromkeys(["", *(text[:at] for text in whole[:3] for at in _places(len(text)))])
    for piece in filter(None, pieces):
        for beginning in beginnings:
            for ending in ENDINGS:
                yield Attack(beginning, piece, ending)


def _places(length: int) -> list[int]:
    return sorted({length // 4, length // 2, 3 * length // 4, length - 1} - {0, -1})


def _sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _calls(tree: ast.Module) -> list[ast.Call]:
    """Return the calls of functions of `re` that take a pattern."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in SEARCHES | ANCHORED | {"compile"}
    ]


def _evaluated(call: ast.Call, names: Mapping[str, Any]) -> re.Pattern[str] | None:
    """Return the compiled pattern of a call, or None if its text depends on local names."""
    flags = [keyword.value for keyword in call.keywords if keyword.arg == "flags"]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "compile":
        flags += call.args[1:]
    try:
        parts = [eval(compile(ast.Expression(part), "", "eval"), dict(names)) for part in (call.args[0], *flags)]
    except NameError:
        return None
    return re.compile(parts[0], *parts[1:]) if isinstance(parts[0], str) else None


def _assigned(tree: ast.Module, call: ast.Call) -> str:
    """Return the module's name that holds a compiled pattern."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(inner is call for inner in ast.walk(node.value)):
            return next((target.id for target in node.targets if isinstance(target, ast.Name)), "")
    return ""


@cache
def _uses() -> dict[str, frozenset[str]]:
    """Return the functions that the packages take from each name: `_WORD.sub` adds `sub` to `_WORD`."""
    uses: dict[str, set[str]] = {}
    for path in _sources():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in SEARCHES | ANCHORED:
                base = node.value
                name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
                uses.setdefault(name, set()).add(node.attr)
    return {name: frozenset(functions) for name, functions in uses.items()}


def _held(names: Mapping[str, Any]) -> Iterator[tuple[str, re.Pattern[str]]]:
    for name, value in names.items():
        for each in _inside(value):
            if isinstance(each.pattern, str):
                yield name, each


def _inside(value: object, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, Mapping):
        yield from _inside([*value.keys(), *value.values()], depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _inside(each, depth - 1)


def _children(code: Any, argument: Any) -> list[Any]:
    """Return the parsed parts inside a part of a pattern."""
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        return [argument[2]]
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code is codes.ATOMIC_GROUP:
        return [argument]
    if code is codes.BRANCH:
        return list(argument[1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [argument[1]]
    if code is codes.GROUPREF_EXISTS:
        return [part for part in argument[1:] if part is not None]
    return []


def _walk(tree: Any) -> Iterator[tuple[Any, Any]]:
    for code, argument in tree:
        yield code, argument
        for child in _children(code, argument):
            yield from _walk(child)


def _characters(tree: Any) -> set[str]:
    """Return characters that the parts of a pattern match, and some that they do not match."""
    found = set("\n a1\u3000")
    for code, argument in _walk(tree):
        if code in (codes.LITERAL, codes.NOT_LITERAL):
            found.add(chr(argument))
        elif code is codes.IN:
            found |= {chr(inner) for kind, inner in argument if kind is codes.LITERAL}
            found |= {chr(inner[0]) for kind, inner in argument if kind is codes.RANGE}
            found |= {CATEGORY[inner] for kind, inner in argument if kind is codes.CATEGORY}
    letters = sorted(each for each in found if each.isascii() and each.isalpha())
    return found - set(letters[6:])  # letters of words are in the literals


def _literals(tree: Any) -> set[str]:
    """Return runs of literal characters, alone and with a space."""
    found: set[str] = set()
    for part in [tree, *(child for code, argument in _walk(tree) for child in _children(code, argument))]:
        run = ""
        for code, argument in [*part, (None, None)]:
            if code is codes.LITERAL:
                run += chr(argument)
                continue
            if len(run) > 1:
                found |= {run, run + " ", " " + run}
            run = ""
    return found


def _repeated(tree: Any, drawn: random.Random) -> list[str]:
    """Return texts that the repeated parts of a pattern match."""
    repeats = [
        argument[2]
        for code, argument in _walk(tree)
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
    ]
    return [_sample(part, drawn) for part in repeats for _ in range(2)]


def _sample(tree: Any, drawn: random.Random) -> str:
    """Return a text that a pattern matches, apart from what it looks around for."""
    return "".join(_sampled(code, argument, drawn) for code, argument in tree)


def _sampled(code: Any, argument: Any, drawn: random.Random) -> str:
    if code is codes.LITERAL:
        return chr(argument)
    if code is codes.NOT_LITERAL:
        return drawn.choice([each for each in ALPHABET if each != chr(argument)])
    if code is codes.ANY:
        return drawn.choice("a1 ")
    if code is codes.IN:
        return _of_class(argument, drawn)
    if code is codes.BRANCH:
        return _sample(drawn.choice(argument[1]), drawn)
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        low, high, part = argument
        return "".join(_sample(part, drawn) for _ in range(min(high, low + drawn.choice((0, 1, 1, 2)))))
    if code in (codes.SUBPATTERN, codes.ATOMIC_GROUP):
        return _sample(_children(code, argument)[0], drawn)
    return ""


def _of_class(argument: Any, drawn: random.Random) -> str:
    """Return a character of a class. A class that excludes characters is tried on an alphabet."""
    if argument[0][0] is codes.NEGATE:
        inside = re.compile(f"[{''.join(map(re.escape, ''.join(_members(argument[1:]))))}]")
        return drawn.choice([each for each in ALPHABET if not inside.match(each)] or ["a"])
    return drawn.choice(_members(argument))


def _members(argument: Any) -> list[str]:
    found = []
    for kind, inner in argument:
        if kind is codes.LITERAL:
            found.append(chr(inner))
        elif kind is codes.RANGE:
            found += [chr(inner[0]), chr(inner[1])]
        elif kind is codes.CATEGORY:
            found.append(CATEGORY[inner])
    return found or ["a"]

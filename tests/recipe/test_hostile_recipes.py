"""Tests that a recipe from a stranger gives one line: files that never end, bombs, wrong types and broken text."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.attempts import attempt
from toolkit.errors import InputError
from toolkit.pipeline.run import preflight
from toolkit.recipe import load

DATA = "data: {reader: demo}\n"


def _read(path: Path) -> None:
    load(path, parameters=True)


def _refused(path: Path) -> str:
    """Return the line by which a recipe is refused, in a process of little time and memory."""
    result = attempt(_read, [(path.name, path)], seconds=60, megabytes=200)
    assert result.counts == {"refused": 1}, result.faults
    with pytest.raises(InputError) as caught:
        _read(path)
    return str(caught.value)


@contextlib.contextmanager
def _socket(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield


FILES: dict[str, Callable[[Path], object]] = {
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "urandom": lambda path: path.symlink_to("/dev/urandom"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "circle": lambda path: path.symlink_to(path),
    "dangling": lambda path: path.symlink_to("nothing"),
    "sparse": lambda path: path.touch() or os.truncate(path, 1 << 40),
    "unreadable": lambda path: (path.write_text(DATA), path.chmod(0)),
}


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("extended", [False, True], ids=["recipe", "base"])
def test_only_regular_files_are_read_as_recipes(kind: str, extended: bool, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    FILES[kind](path)
    if kind == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads every file")
    if extended:
        (tmp_path / "top.yaml").write_text("extends: r.yaml\n" + DATA)
        path = tmp_path / "top.yaml"

    assert str(tmp_path / "r.yaml") in _refused(path)


def test_socket_is_not_read_as_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with _socket(Path("r.yaml")):
        assert "r.yaml cannot be read" in _refused(Path("r.yaml"))


@pytest.mark.parametrize("base", ["/dev/zero", "/proc/kmsg", "/proc/self/environ", ".", "..", "a\\0b", "x" * 5000, "~"])
def test_extends_names_a_regular_file(base: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f'extends: "{base}"\n{DATA}')

    assert "\n" not in _refused(path)


def test_chain_of_bases_has_a_largest_length(tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    (tmp_path / "2000.yaml").write_text(DATA)

    assert load(tmp_path / "1981.yaml").data.reader == "demo"
    assert _refused(tmp_path / "1980.yaml").endswith(
        "1999.yaml:1: extends='2000.yaml' would be file 21 of the recipe, but at most 20 are read: merge files"
    )
    assert "at most 20" in _refused(tmp_path / "0.yaml")


def test_files_of_a_chain_have_a_largest_size_together(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n#{'x' * 400_000}\n")
    (tmp_path / "3.yaml").write_text(DATA)

    assert load(tmp_path / "2.yaml").data.reader == "demo"
    assert "a recipe must have at most 1,000,000 with all files" in _refused(tmp_path / "0.yaml")


def test_base_with_many_keys_is_completed_in_linear_time(tmp_path: Path) -> None:
    keys = "".join(f"  k{number}: {number}\n" for number in range(40_000))
    (tmp_path / "base.yaml").write_text(f"{DATA}defaults:\n{keys}")
    (tmp_path / "r.yaml").write_text(f"extends: base.yaml\ndefaults:\n{keys}")
    started = time.process_time()

    _refused(tmp_path / "r.yaml")

    assert time.process_time() - started < 60


RECIPES: dict[str, str] = {
    "list": "- 1",
    "number": "1",
    "text": "x",
    "null": "null",
    "two documents": f"---\n{DATA}---\n{DATA}",
    "tag": "data: !!python/object/apply:os.system [ls]",
    "own tag": "!x data: {reader: demo}",
    "yaml directive": "%YAML 9.9\n---\n" + DATA,
    "binary": DATA + "name: !!binary aGVsbG8=",
    "set": DATA + "name: !!set {a, b}",
    "alias in its anchor": "data: &a [*a]",
    "alias of nothing": "data: *a",
    "laughs": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "merge of itself": "data: &a {<<: *a}",
    "merge of a number": "data: {<<: 1, reader: demo}",
    "merges": "data: {<<: [" + ", ".join(["{reader: demo}"] * 60_000) + "]}",
    "nested lists": f"name: {'[' * 900}{']' * 900}",
    "nested mappings": "data: " + "{a: " * 400 + "1" + "}" * 400,
    "nested dashes": "- " * 2_000,
    "list as key": "? [a]\n: 1\n" + DATA,
    "mapping as key": "? {a: 1}\n: 1\n" + DATA,
    "null as key": "null: 1\n" + DATA,
    "number as key": "1: 1\n" + DATA,
    "date as key": "2001-01-01: 1\n" + DATA,
    "true as key": "data: {true: 1, reader: demo}",
    "number as key of options": "data: {reader: demo, options: {1: 2}}",
    "null as key of options": "data: {reader: demo, options: {null: 2}}",
    "keys twice": DATA + DATA,
    "long integer": DATA + "seed: " + "9" * 5_000,
    "long hexadecimal": DATA + "seed: 0x" + "f" * 20_000,
    "long octal": DATA + "seed: 0o" + "7" * 20_000,
    "sixty": DATA + "seed: " + ":".join(["1"] * 5_000),
    "infinite": DATA + "seed: .inf",
    "not a number": DATA + "seed: .nan",
    "overflow": DATA + "models: [{type: sasrec, lr: 1e999}]",
    "negative": DATA + "threads: -1",
    "large": DATA + "evaluation: {k: [99999999999999999999]}",
    "date": "data: {reader: demo, path: 2001-01-01}",
    "NUL": DATA + 'data2: "\\0"',
    "NUL in a path": 'data: {reader: csv, path: "a\\0b"}',
    "NUL in a name": DATA + 'name: "a\\0b"',
    "raw NUL": DATA + "name: a\0b",
    "half a character": DATA + 'name: "\\ud800"',
    "half a character as key": DATA + '"\\udfff": 1',
    "half a character in a path": 'data: {reader: csv, path: "\\udc80.csv"}',
    "name with a slash": DATA + "name: ../up",
    "name with a line break": DATA + 'name: "a\\nb"',
    "long name": DATA + f"name: {'x' * 5_000}",
    "data is a text": "data: demo",
    "data is a list": "data: [demo]",
    "reader is a list": "data: {reader: [demo]}",
    "reader is a module": "data: {reader: 'os:system'}",
    "reader is no module": "data: {reader: 'no.such.module:X'}",
    "reader is a path": "data: {reader: '../x:Y'}",
    "models are a text": DATA + "models: sasrec",
    "models are a mapping": DATA + "models: {type: sasrec}",
    "type is a mapping": DATA + "models: [{type: {a: b}}]",
    "type is null": DATA + "models: [{type: null}]",
    "type is a module": DATA + "models: [{type: 'os:system'}]",
    "many models": DATA + "models: [" + ", ".join(["{type: sasrec}"] * 20_000) + "]",
    "many baselines": DATA + "baselines: [" + ", ".join(["popularity"] * 90_000) + "]",
    "deep option": DATA + "models: [{type: sasrec, loss: {type: {type: {type: full}}}}]",
    "pattern with an error": DATA
    + "encoders: {x: {encoder: tfidf, field: title, params: {token_pattern: '('}}}",
    "pattern of a large number": DATA
    + "encoders: {x: {encoder: tfidf, field: title, params: {token_pattern: 'a{99999999999999999999}'}}}",
    "pattern of many groups": DATA
    + "encoders: {x: {encoder: tfidf, field: title, params: {token_pattern: '" + "(" * 3_000 + ")" * 3_000 + "'}}}",
    "sweep of nothing": DATA + "sweep: {over: {}}",
    "sweep of much": DATA
    + "models: [{type: sasrec}]\nsweep: {over: {models.0.lr: ["
    + ", ".join(map(str, range(1, 900)))
    + "], models.0.epochs: ["
    + ", ".join(map(str, range(1, 900)))
    + "]}}",
    "sweep of the data": DATA + "models: [{type: sasrec}]\nsweep: {over: {data.path: [/dev/zero]}}",
    "collect": DATA + "collect: {library: 1, sources: [{name: 2}]}",
    "permission": DATA + "data2: {permission: {allowed: maybe}}",
}  # fmt: skip

FIELDS = (
    "{title.__class__}",
    "{0.__class__.__mro__[1]}",
    "{title:>9999999999}",
    "{title!r}",
    "{{{title}}",
    "{title[0]}",
)
"""Templates that a format string would evaluate."""


@pytest.mark.parametrize("field", FIELDS)
def test_template_formats_no_attributes(field: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{DATA}encoders: {{x: {{encoder: tfidf, field: '{field}'}}}}")

    with pytest.raises(InputError, match=r"encoders.x.field: field template .* (must be a plain|is invalid)"):
        preflight.admit(load(path))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_hostile_recipe_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPES[name], encoding="utf-8")

    line = _refused(path)

    assert "\n" not in line and len(line) < 10_000


@pytest.mark.parametrize(
    "override",
    [
        "a",
        "=",
        "a=",
        ".=1",
        "a..b=1",
        "data.path=\udc80",
        "data=!!x 1",
        "models.9.lr=1",
        "seed=" + "9" * 5_000,
        "a\0=1",
    ],
)
def test_hostile_override_is_refused_in_one_line(override: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(DATA)

    result = attempt(lambda text: load(path, [text], parameters=True), [(override, override)], seconds=20)

    assert result.counts == {"refused": 1}, result.faults

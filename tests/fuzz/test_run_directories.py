"""Run directories from strangers: every damaged or crafted file is read, or refused in one line."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit.continuation import Continuation
from toolkit.encoders.contract.encoder_files import checksum
from toolkit.encoders.contract.tensor_file import read_file
from toolkit.pipeline.programs.compare_runs import compare
from toolkit.report import result_tables
from toolkit.report.page import html
from toolkit.report.run_files import RunFiles

pytestmark = pytest.mark.fuzz

SEEDS = ["demo:track:163", "demo:track:118", "demo:track:38"]

WILD = (-1, 0, 1, 7, 2**30, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63))
"""Integers that a header, an index or a setting may be changed to."""
JSON = (*WILD, 1e300, float("nan"), float("inf"), None, True, "", "x", "\ud800", "../..", "os:system", [], {}, [[1]])
"""Values of any type for a key of a JSON file."""


def _use(run: Path, original: Path, name: str) -> None:
    """Call everything that reads a file of a run."""
    parts = Path(name).parts
    if parts[0] == "model":
        system = parts[1] if len(parts) > 2 else None
        Continuation.load(run, system).continue_playlist(SEEDS, "rock", 5)
    if len(parts) == 1 or name == "model/systems.json":
        files = RunFiles.read(run)
        html(files)
        result_tables.to_csv(result_tables.pivot(files.metrics, timings=files.timings, layout=files.table))
        compare(original, run, bootstrap=10)


def _with(original: Path, name: str, data: bytes) -> None:
    """Use a copy of a run with another content of one file. The other files are the same on disk."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Path(folder) / "run"
        shutil.copytree(original, run, copy_function=os.link)
        (run / name).unlink()
        (run / name).write_bytes(data)
        _use(run, original, name)


def _read_files(run: Path) -> dict[str, bytes]:
    """Return the files that open commands read, by name."""
    names = [path.relative_to(run) for path in sorted(run.rglob("*")) if path.is_file()]
    return {
        str(name): (run / name).read_bytes()
        for name in names
        if name.parts[0] != "stages" and name.suffix not in (".html", ".jsonl") and name.name != ".lock"
    }


def test_mutated_files_are_read_or_refused_in_one_line(saved_run: Path, tries: Callable[[int], int]) -> None:
    files = _read_files(saved_run)
    inputs = [(name, (name.split()[0], data)) for name, data in mutations(files, tries(len(files)), seed=11)]

    result = attempt(lambda pair: _with(saved_run, *pair), inputs, seconds=30, megabytes=600)

    assert not result.faults, f"{result}\n" + "\n".join(map(str, result.faults[:5]))
    assert result.counts.total() == len(inputs) and result.counts["refused"] > len(inputs) / 4


def _crafted(run: Path, number: int) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yield saved systems with right checksums and wrong content."""
    models = [name for name in _read_files(run) if name.startswith("model/") and name.count("/") > 1]
    for turn in range(number):
        name = models[turn % len(models)]
        draw = random.Random(f"crafted {turn}")
        path = run / name
        if name.endswith(".safetensors"):
            yield f"{name} {turn}", (name, _crafted_tensors(path, draw))
        elif name.endswith(".json"):
            value = json.loads(path.read_text())
            for _ in range(draw.choice((1, 1, 2))):
                value = _changed_json(value, draw)
            yield f"{name} {turn}", (name, json.dumps(value).encode())


def _crafted_tensors(path: Path, draw: random.Random) -> bytes:
    """Return a file with one to three changes of its arrays or settings, and their checksum."""
    file = read_file(path)
    arrays = dict(file.arrays)
    for _ in range(draw.choice((1, 1, 2, 3))):
        name = draw.choice(sorted(arrays))
        arrays[name] = np.ascontiguousarray(_changed_array(arrays[name], draw))
    metadata = dict(file.metadata)
    if "info" in metadata:
        info = json.loads(metadata["info"])
        info = _changed_json(info, draw) if draw.random() < 0.4 else info
        metadata["info"] = json.dumps({**info, "blake2b": checksum(arrays)} if isinstance(info, dict) else info)
    if "segue" in metadata:
        metadata["segue"] = json.dumps({"header": {}, "blake2b": checksum(arrays)})
    return save(arrays, metadata)


def _changed_array(array: np.ndarray, draw: random.Random) -> np.ndarray:
    kind = draw.choice(("values", "values", "values", "shape", "dtype", "text", "order"))
    if kind == "text" and array.dtype == np.uint8:
        text = array.tobytes().decode("latin-1").split(" ")
        text[draw.randrange(len(text))] = str(draw.choice((*WILD, "nan", "inf", "-2", "3")))
        return np.frombuffer(" ".join(text).encode("latin-1"), np.uint8)
    if kind == "shape":
        rows = draw.choice((0, 1, max(0, len(array) - 1), len(array) + 1, 2 * len(array))) if array.ndim else 0
        return np.resize(array, (rows, *array.shape[1:])) if draw.random() < 0.7 else array.reshape(-1, 1)
    if kind == "dtype":
        return array.astype(draw.choice((np.float64, np.float16, np.int8, np.int64, np.uint8, np.bool_)))
    flat = array.copy().reshape(-1)
    if kind == "order":
        return flat[::-1].reshape(array.shape)
    with np.errstate(all="ignore"):
        for _ in range(draw.choice((1, 1, 3, 50))):
            if len(flat):
                wild = np.array(draw.choice((*WILD, 0.5, -1e30, 3e38, np.nan, np.inf)), np.float64)
                flat[draw.randrange(len(flat))] = wild.astype(flat.dtype)
    return flat.reshape(array.shape)


def _changed_json(value: object, draw: random.Random) -> object:
    """Return a JSON value with a part that is replaced, removed or added."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(sorted(value))
        if draw.random() < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: _changed_json(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        place = draw.randrange(len(value))
        return [*value[:place], _changed_json(value[place], draw), *value[place + 1 :]]
    return draw.choice(JSON)


def test_crafted_models_with_right_checksums_are_read_or_refused(saved_run: Path, tries: Callable[[int], int]) -> None:
    inputs = list(_crafted(saved_run, tries(80)))

    result = attempt(lambda pair: _with(saved_run, *pair), inputs, seconds=30, megabytes=600)

    assert not result.faults, f"{result}\n" + "\n".join(map(str, result.faults[:5]))
    assert result.counts["refused"] > len(inputs) / 4 and result.counts.total() == len(inputs)


def test_crafted_results_are_reported_or_refused(saved_run: Path, tries: Callable[[int], int]) -> None:
    results = [name for name in _read_files(saved_run) if name.endswith(".json") and name.count("/") < 2]

    def crafted() -> Iterator[tuple[str, tuple[str, bytes]]]:
        for turn in range(tries(2 * len(results))):
            name, draw = results[turn % len(results)], random.Random(f"results {turn}")
            value = json.loads((saved_run / name).read_text())
            yield f"{name} {turn}", (name, json.dumps(_changed_json(value, draw)).encode())

    inputs = list(crafted())
    result = attempt(lambda pair: _with(saved_run, *pair), inputs, seconds=30, megabytes=600)

    assert not result.faults, f"{result}\n" + "\n".join(map(str, result.faults[:5]))
    assert result.counts.total() == len(inputs)

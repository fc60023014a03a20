"""Tests of the run directory: ownership, atomic files, and stages that run once."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from toolkit import files, run_directory
from toolkit.errors import RunDirectoryError
from toolkit.run_directory import RunDirectory

RECIPE = {"name": "x", "models": [{"epochs": 5}], "k": [1, 2]}

HOLD = """
import sys, time
from pathlib import Path
from toolkit.run_directory import RunDirectory
with RunDirectory.claim(Path(sys.argv[1]), {"name": "x"}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_claim_creates_and_resumes_run_directory(tmp_path: Path) -> None:
    for _ in range(2):
        with RunDirectory.claim(tmp_path / "run", RECIPE) as run:
            assert run_directory.read_recipe(run.root) == RECIPE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": [{"epochs": 6}]}, "models.0.epochs was 5, is 6"),
        ({"k": [1]}, "k was [1, 2], is [1]"),
        ({"seed": 3}, "seed was None, is 3"),
        ({"name": "y"}, "name was 'x', is 'y'"),
    ],
)
def test_claim_with_another_recipe_raises_without_writing(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with RunDirectory.claim(tmp_path, RECIPE) as run:
        run.write(run_directory.METRICS, [])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        pytest.raises(RunDirectoryError, match="belongs to another recipe") as caught,
        RunDirectory.claim(tmp_path, RECIPE | change),
    ):
        pass
    assert message in str(caught.value) and caught.value.exit_code == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_claim_of_folder_with_other_files_raises(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with (
        pytest.raises(RunDirectoryError, match=r"is not a run directory \(recipe.yaml is missing\)"),
        RunDirectory.claim(tmp_path, RECIPE),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with (
        pytest.raises(RunDirectoryError, match="is not a run directory"),
        RunDirectory.claim(tmp_path / "thesis.tex", RECIPE),
    ):
        pass


def test_claim_raises_while_another_process_holds_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RunDirectoryError, match=f"is in use by process {holder.pid}"),
            RunDirectory.claim(tmp_path / "run", {"name": "x"}),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
    with RunDirectory.claim(tmp_path / "run", {"name": "x"}) as run:
        assert run.path(run_directory.RECIPE).exists()


def test_leftover_files_without_recipe_do_not_prevent_claim(tmp_path: Path) -> None:
    for name in (run_directory.LOCK, f".{run_directory.RECIPE}.0f3a.part"):
        (tmp_path / name).write_text("")
    with RunDirectory.claim(tmp_path, RECIPE) as run:
        assert run_directory.read_recipe(run.root) == RECIPE


class Stage:
    """Stage that counts calls and writes an output file."""

    def __init__(self, run: RunDirectory) -> None:
        self.run, self.calls, self.found = run, 0, [""]

    def __call__(self, workdir: Path) -> tuple[Sequence[Path], Any]:
        self.calls += 1
        self.found = sorted(path.name for path in workdir.iterdir())
        out = self.run.path("out.txt")
        out.write_text(str(self.calls))
        return [out], {"calls": self.calls}


def test_stage_runs_once_for_same_inputs(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    stage = Stage(run)
    assert run.stage("s", {"a": 1, "b": 2}, stage) == {"calls": 1}
    assert run.stage("s", {"b": 2, "a": 1}, stage) == {"calls": 1}
    assert run.stage("s", {"a": 1, "b": 3}, stage) == {"calls": 2}
    run.path("out.txt").unlink()
    assert run.stage("s", {"a": 1, "b": 3}, stage) == {"calls": 3}
    states = [json.loads(line)["state"] for line in run.path(run_directory.LOG).read_text().splitlines()]
    assert states == ["started", "finished", "unchanged", "started", "finished", "started", "finished"]


def test_failed_stage_keeps_checkpoints_for_same_inputs(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    stage = Stage(run)

    def fails(workdir: Path) -> tuple[Sequence[Path], Any]:
        (workdir / "checkpoint").write_text("half way")
        raise OSError("gone")

    for name, inputs, kept in (("s", 1, ["checkpoint", "inputs"]), ("t", 2, ["inputs"])):
        with pytest.raises(OSError, match="gone"):
            run.stage(name, 1, fails)
        run.stage(name, inputs, stage)
        assert stage.found == kept
        assert not run.path(f"stages/{name}.work").exists()


def test_json_is_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    files.write_json(path, {"é": [1, None]})
    assert path.read_text() == '{\n "é": [\n  1,\n  null\n ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, float("nan"))
    assert files.read_json(path) == {"é": [1, None]}


def test_full_disk_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "big"
    files.write_bytes(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            files.write_bytes(path, b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files.disk_full(caught.value)
    assert path.read_bytes() == b"old" and [entry.name for entry in tmp_path.iterdir()] == ["big"]


@pytest.mark.parametrize("place", ["/", ".", ""])
def test_writing_file_over_folder_raises(place: str, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        files.write_bytes(Path(place) if place else tmp_path, b"x")


def test_damaged_and_missing_files_raise_with_cure(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(
        RunDirectoryError, match=r"m\.json is damaged \(.*\): delete the file and run the same command again"
    ):
        files.read_json(tmp_path / "m.json")
    with pytest.raises(RunDirectoryError, match="does not exist: run the recipe to completion first"):
        files.read_json(tmp_path / "n.json")
    (tmp_path / run_directory.RECIPE).write_text("a: [")
    with pytest.raises(
        RunDirectoryError,
        match=r"recipe\.yaml is damaged.*: restore the file, or run the recipe with a different --out",
    ):
        run_directory.read_recipe(tmp_path)


@pytest.mark.parametrize("damage", ["null", "{}", "[1]"])
def test_json_of_wrong_type_raises_as_damaged(damage: str, tmp_path: Path) -> None:
    run = run_directory.RunDirectory(tmp_path)
    run.stage("fit", 1, lambda _: ([], "done"))
    for name in ("stages/fit.json", run_directory.METRICS):
        run.path(name).write_text(damage)
    for read in (lambda: run.done("fit", 1), lambda: run.read(run_directory.METRICS)):
        with pytest.raises(
            RunDirectoryError, match=r"\.json is damaged \(.*\): delete the file and run the same command again"
        ):
            read()


def test_folder_is_replaced_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with files.folder(target) as unfinished:
        (unfinished / "a").write_text("first")
        assert not target.exists()
    with pytest.raises(ValueError, match="midway"), files.folder(target) as unfinished:
        (unfinished / "b").write_text("second")
        raise ValueError("midway")
    assert [path.name for path in target.iterdir()] == ["a"]
    with files.folder(target) as unfinished:
        assert not list(unfinished.iterdir())
        (unfinished / "c").write_text("third")
    assert [path.name for path in target.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError(27, "File too large"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True),
        (OSError("4096 requested and 0 written"), True),
        (OSError(13, "Permission denied"), False),
        (ValueError("full of errors"), False),
    ],
)
def test_disk_full_recognises_errors_of_all_libraries(error: Exception, full: bool) -> None:
    assert files.disk_full(error) is full


def test_digest_is_independent_of_key_order() -> None:
    assert files.digest({"a": 1, "b": [1, 2]}) == files.digest({"b": [1, 2], "a": 1})
    assert files.digest({"a": 1}) != files.digest({"a": 2})
    assert len(files.digest(None)) == 32

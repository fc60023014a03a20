"""Tests of atomic file writing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.errors import InputError, RunDirectoryError
from toolkit.files import (
    delete_unfinished,
    folder,
    in_utf8,
    locked,
    open_to_append,
    read_json,
    replacing,
    write_bytes,
    write_json,
)


def test_write_replaces_file_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.bin"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new" and [*path.parent.iterdir()] == [path]


def test_failed_write_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error
        assert path.read_bytes() == b"old" and [*tmp_path.iterdir()] == [path]


def test_concurrent_writers_use_separate_temporary_files(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with replacing(path) as first:
        first.write_bytes(b"first")
        write_bytes(path, b"second")
    assert path.read_bytes() == b"first" and [*tmp_path.iterdir()] == [path]


def test_write_to_folder_path_raises(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_bytes(tmp_path, b"")


def test_write_json_with_nan_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert not [*tmp_path.iterdir()]


def test_write_replaces_link_and_leaves_its_target(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "run" / "a.bin"
    victim.write_bytes(b"keep")
    path.parent.mkdir()
    path.symlink_to(victim)

    write_bytes(path, b"new")

    assert victim.read_bytes() == b"keep" and path.read_bytes() == b"new" and not path.is_symlink()


def test_folder_replaces_link_and_leaves_its_target(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "cache" / "entry"
    victim.mkdir()
    (victim / "a").write_text("keep")
    path.parent.mkdir()
    path.symlink_to(victim)

    with folder(path) as unfinished:
        (unfinished / "b").write_text("new")

    assert (victim / "a").read_text() == "keep" and [entry.name for entry in path.iterdir()] == ["b"]
    assert not path.is_symlink() and [*path.parent.iterdir()] == [path]


def test_append_through_link_raises(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        open_to_append(tmp_path / "log")
    assert (tmp_path / "victim").read_text() == "keep"


def test_lock_through_link_raises_and_leaves_its_target(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep this")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"), locked(tmp_path / ".lock", wait=False):
        pass
    assert (tmp_path / "victim").read_text() == "keep this"


KILLED = """
import os, signal, sys
from pathlib import Path
from toolkit.files import folder, replacing
with replacing(Path(sys.argv[1]) / "a.bin") as file, folder(Path(sys.argv[1]) / "entry") as unfinished:
    file.write_bytes(b"half")
    (unfinished / "part").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_unfinished_files_of_a_killed_process_are_deleted_and_those_of_others_kept(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len([*tmp_path.iterdir()]) == 2

    with replacing(tmp_path / "own.bin") as file:
        file.write_bytes(b"own")
        delete_unfinished(tmp_path)
        assert [*tmp_path.iterdir()] == [file]

    assert [path.name for path in tmp_path.iterdir()] == ["own.bin"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN}', '{"a": 1e999}', '["\\ud800"]', '{"a": -Infinity}'])
def test_json_that_is_not_written_by_segue_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RunDirectoryError, match=r"a\.json is damaged \(.+\): delete the file") as refused:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(refused.value)


def test_json_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(RunDirectoryError, match="not a regular file"):
        read_json(tmp_path / "a.json")


def test_path_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InputError, match="must be a path in UTF-8"):
        in_utf8(Path(os.fsdecode(b"o\xff")))

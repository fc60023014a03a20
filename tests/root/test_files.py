"""Tests of atomic file writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.files import replacing, write_bytes, write_json


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

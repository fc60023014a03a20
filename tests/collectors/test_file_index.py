"""Tests of the index of a source's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collectors.file_index import state_of
from toolkit.errors import InputError


@pytest.mark.parametrize("path", ["pipe", "/dev/zero"])
def test_pipe_or_device_as_a_file_of_a_source_raises_without_waiting(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="must be a file or folder, not a device or pipe: save the data to a file"):
        state_of([tmp_path / path], 1)


def test_state_of_a_file_changes_with_equal_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,1")
    before, times = state_of([path], 1), path.stat()
    path.write_text("a,2")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert state_of([path], 1) != before
    assert state_of([path], 2) != state_of([path], 1)

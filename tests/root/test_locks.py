"""Tests of lock files: a single holder among processes and threads, released by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from toolkit.files import locked

HOLD = """
import sys, time
from pathlib import Path
from toolkit.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

COUNT = """
import sys
from pathlib import Path
from toolkit.files import locked
counter = Path(sys.argv[2])
for _ in range(50):
    with locked(Path(sys.argv[1])):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def start(script: str, *arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_held_lock_yields_process_id(tmp_path: Path) -> None:
    path = tmp_path / "made" / ".lock"
    with locked(path, wait=False) as holder:
        assert holder is None
        with locked(path, wait=False) as other:
            assert other == os.getpid()
    with locked(path, wait=False) as holder:
        assert holder is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_lock_is_released_when_process_ends(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / ".lock"
    with start(HOLD, path) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with locked(path, wait=False) as holder:
            assert holder == process.pid
        process.send_signal(number)
        process.wait()
    with locked(path, wait=False) as holder:
        assert holder is None


def test_lock_excludes_other_processes(tmp_path: Path) -> None:
    path, counter = tmp_path / ".lock", tmp_path / "counter"
    counter.write_text("0")
    processes = [start(COUNT, path, counter) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    for process in processes:
        process.communicate()
    assert counter.read_text() == "200"


def test_lock_excludes_threads_and_is_released_after_error(tmp_path: Path) -> None:
    path, inside, most = tmp_path / ".lock", [0], [0]

    def work() -> None:
        for _ in range(30):
            with locked(path):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] and inside == [0]
    with pytest.raises(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    with locked(path, wait=False) as holder:
        assert holder is None


def test_modules_import_without_fcntl_and_resource() -> None:
    blocked = "import sys\nsys.modules.update(fcntl=None, resource=None)\n"
    modules = "toolkit.files, toolkit.memory, toolkit.run_directory, toolkit.pipeline, toolkit.pipeline.run.meter"
    code = f"{blocked}import {modules}, collectors.engine.process_lock, collectors.engine.host_limits, segue"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Tests of `torchrun -m toolkit run` with two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LIMIT, finish, start
from toolkit import pipeline, run_directory
from toolkit.recipe import load

RECIPE = """\
name: together
data:
  reader: demo
  options: {tracks: 200, artists: 40, playlists: 150, fields: [audio_features]}
encoders:
  audio: {encoder: features, field: audio_features}
models:
  - {type: sasrec, epochs: 6, patience: 6, hidden_size: 16, dropout: 0, batch_tokens: 256, select: ndcg@20,
     loss: {type: sampled, negatives: 64}}
baselines: [popularity]
evaluation: {split: {min_tracks: 5}, k: [20], bootstrap: 50}
report: {examples: 1}
threads: 1
"""


class Runs:
    """Runs of one recipe with a shared cache and separate directories."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.recipe, self.cache = folder, folder / "r.yaml", folder / "cache"
        self.recipe.write_text(RECIPE)

    def command(self, out: str, *more: str) -> list[str]:
        return ["-m", "segue", "run", str(self.recipe), "--out", str(self.folder / out), *more]

    def start(self, out: str, *more: str) -> list[subprocess.Popen[str]]:
        return start(self.command(out, *more), SEGUE_CACHE=str(self.cache))

    def killed(self, out: str, rank: int) -> tuple[list[int], list[str]]:
        """Return exit codes and stderr of two processes after one of them is killed."""
        begun = self.saved(out)
        processes = self.start(out, "--set", "models.0.epochs=25", "--set", "models.0.patience=25")
        wait(lambda: self.saved(out) != begun, processes)
        processes[rank].send_signal(signal.SIGKILL)
        codes, _, errors = finish(processes)
        return codes, errors

    def saved(self, out: str) -> int:
        """Return the modification time of the last checkpoint, or 0 before the first."""
        path = self.folder / out / run_directory.STAGES / "fit-sasrec-multimodal.work" / "training.safetensors"
        return path.stat().st_mtime_ns if path.exists() else 0

    def curve(self, out: str) -> list[dict[str, Any]]:
        rows = json.loads((self.folder / out / run_directory.CURVES).read_text())["sasrec-multimodal"]
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def wait(reached: Callable[[], bool], processes: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + LIMIT
    while not reached():
        assert all(process.poll() is None for process in processes) and time.monotonic() < deadline, finish(processes)[
            2
        ]
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return runs that contain a finished single-process run named `alone`."""
    made = Runs(tmp_path_factory.mktemp("together"))
    pipeline.run(load(made.recipe), made.folder / "alone", cache=made.cache)
    return made


def test_torchrun_metrics_equal_those_of_one_process(alone: Runs) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = {**os.environ, "SEGUE_CACHE": str(alone.cache)}
    done = subprocess.run([*launcher, *alone.command("two")], env=env, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nsasrec-multimodal") == 1, "one process prints the table"
    assert done.stderr.count("· ingest") == 1, "and one shows progress"
    one, two = alone.curve("alone"), alone.curve("two")
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], abs=1e-4)
    assert [row["ndcg@20"] for row in two] == pytest.approx([row["ndcg@20"] for row in one], abs=0.02)
    assert json.loads((alone.folder / "two" / run_directory.MANIFEST).read_text())["processes"] == 2


@pytest.mark.slow
def test_run_resumes_after_one_process_is_killed(alone: Runs) -> None:
    more = ("--set", "models.0.epochs=25", "--set", "models.0.patience=25")
    codes, errors = alone.killed("broken", rank=1)
    assert codes == [1, -signal.SIGKILL]
    assert (
        errors[0].splitlines()[-1].startswith("segue: another process of this run has ended")
        and "Traceback" not in errors[0]
    )
    codes, errors = alone.killed("broken", rank=0)
    assert codes == [-signal.SIGKILL, 1]
    assert [line for line in errors[1].splitlines() if line.startswith("segue:")] == errors[1].splitlines() and len(
        errors[1].splitlines()
    ) == 1
    assert "another process of this run has ended" in errors[1]

    assert finish(alone.start("broken", *more))[0] == [0, 0]
    assert finish(alone.start("whole", *more))[0] == [0, 0]
    assert alone.curve("broken") == alone.curve("whole")


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--set", "models.0.epoch=3"], 2, "epoch"),
        (["--set", "models.0.lr=1e30", "--set", "models.0.bf16=off"], 1, "the loss is "),
    ],
)
def test_failing_processes_share_an_exit_code_and_print_one_message(
    alone: Runs, more: list[str], code: int, said: str
) -> None:
    codes, outputs, errors = finish(alone.start(f"code-{code}", *more))
    assert codes == [code, code]
    lines = [line for error in errors for line in error.splitlines() if line.startswith("segue:")]
    assert len(lines) == 1 and said in lines[0]
    assert outputs == ["", ""] and "Traceback" not in "".join(errors)

"""Tests of runs that are killed by a signal or stopped by a full disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import run_directory

RECIPE = """\
name: killed
data:
  reader: demo
  options: {tracks: 200, artists: 40, playlists: 150, fields: [audio_features]}
encoders:
  audio: {encoder: features-vae, field: audio_features, params: {latent: 8, hidden: [16], epochs: 150}}
models:
  - {type: sasrec, epochs: 25, patience: 25, hidden_size: 32, select: ndcg@20}
baselines: [popularity]
evaluation: {split: {min_tracks: 5}, k: [20], bootstrap: 50}
report: {examples: 1}
threads: 1
"""
CATALOGUE = 400_000
"""Bytes."""

LIMIT = 120
"""Seconds until a run that does not get where it should is given up."""


class Run:
    """Subprocesses of `segue run` that share a directory and a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "run"
        folder.mkdir()
        (folder / "r.yaml").write_text(RECIPE)

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "segue", "run", str(self.folder / "r.yaml"), "--out", str(self.out)]
        env = {**os.environ, "SEGUE_CACHE": str(self.folder / "cache")}
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def to_the_end(self) -> bytes:
        with self.start() as process:
            _, stderr = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, stderr
        return (self.out / run_directory.METRICS).read_bytes()

    def kill_when(self, reached: Callable[[], bool]) -> None:
        """Send SIGKILL as soon as `reached` returns true; fail if the run has ended by then."""
        with self.start() as process:
            deadline = time.monotonic() + LIMIT
            while not reached():
                assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (self.out / run_directory.METRICS).exists()

    def log(self) -> list[dict[str, Any]]:
        path = self.out / run_directory.LOG
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def saw(self, **fields: Any) -> Callable[[], bool]:
        """Return whether the log has a line with these values; `what` is compared by prefix."""

        def found() -> bool:
            return any(
                all(str(line.get(name, "")).startswith(value) for name, value in fields.items()) for line in self.log()
            )

        return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Run(tmp_path_factory.mktemp("unbroken") / "x").to_the_end()


def test_run_killed_in_three_stages_gives_identical_metrics(tmp_path: Path, unbroken: bytes) -> None:
    run = Run(tmp_path / "x")
    run.kill_when(run.saw(event="progress", what="audio: fit features-vae"))
    assert not list((tmp_path / "x" / "cache" / "encodings").glob("*.safetensors")), (
        "killed before the encoding was whole"
    )

    checkpoint = run.out / run_directory.STAGES / "fit-sasrec-multimodal.work" / "training.safetensors"
    run.kill_when(checkpoint.exists)
    assert not (run.out / run_directory.MODEL / "sasrec-multimodal").exists(), "killed before the model was whole"

    before = len(run.log())
    run.kill_when(run.saw(event="stage", stage="evaluate-upper-bound-valid", state="started"))
    first = next(
        line["what"] for line in run.log()[before:] if line.get("what", "").startswith("sasrec-multimodal, epoch")
    )
    assert int(re.search(r"epoch (\d+)/25", first)[1]) > 1, "training resumed from its checkpoint"

    assert run.to_the_end() == unbroken
    assert (run.out / run_directory.REPORT).exists() and not list((run.out / run_directory.STAGES).glob("*.work"))


def test_full_disk_error_is_one_line(tmp_path: Path, unbroken: bytes) -> None:
    import resource

    run = Run(tmp_path / "x")
    command = [sys.executable, "-m", "segue", "run", str(tmp_path / "x" / "r.yaml"), "--out", str(run.out)]
    # room for the catalogue, none for what training writes; a limit on file size is a disk that this test may fill
    full = subprocess.run(
        command,
        env={**os.environ, "SEGUE_CACHE": str(tmp_path / "x" / "cache")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (CATALOGUE, CATALOGUE)),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert full.returncode == 1
    assert full.stderr.splitlines()[-1].startswith("segue: the disk is full") and "Traceback" not in full.stderr
    assert not (run.out / run_directory.METRICS).exists()
    assert run.to_the_end() == unbroken

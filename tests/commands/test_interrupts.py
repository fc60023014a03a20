"""Tests that a signal gives one line and the exit code 130 or 143 at any point of a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from toolkit import run_directory

SEGUE = [sys.executable, "-m", "segue"]
RESTORE_SIGINT = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""Default handler of SIGINT for child processes. Suites in the background pass on an ignored signal."""

INTERRUPT = "import signal; signal.raise_signal(signal.SIGINT)"


def test_interrupt_exits_with_130(tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    args = [
        "run",
        str(tiny_recipe),
        "--out",
        str(out),
        "--set",
        "models.0.epochs=100000",
        "--set",
        "models.0.patience=100000",
    ]
    env = {**os.environ, "SEGUE_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        [*SEGUE, *args], stderr=subprocess.PIPE, text=True, env=env, preexec_fn=RESTORE_SIGINT
    ) as process:
        while not (out / run_directory.LOG).exists() or "epoch" not in (out / run_directory.LOG).read_text():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "segue: interrupted: run the same command again to resume"
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("work", "made"),
    [
        (INTERRUPT, ""),
        (
            f"import toolkit.files\nexec({INTERRUPT!r})",
            "",
        ),  # as dataclasses make their methods while a module is imported
        (
            f"try:\n    {INTERRUPT}\nexcept KeyboardInterrupt:\n    raise ValueError('no file of mine') from None",
            " (ValueError: no file of mine)",
        ),
        (
            f"from toolkit import errors\ntry:\n    {INTERRUPT}\n"
            "except KeyboardInterrupt:\n    raise errors.InputError('delete it') from None",
            " (InputError: delete it)",
        ),
    ],
    ids=["nothing", "one inside exec", "an error of its own", "an error of ours"],
)
def test_interrupt_converted_by_library_exits_with_130(work: str, made: str, tmp_path: Path) -> None:
    (tmp_path / "door.py").write_text(
        f"from segue.__main__ import main\nfrom segue.commands import application\n"
        "import toolkit.recipe.redaction\nfrom toolkit import interrupts, plugins\n"
        f"def validate():\n    exec(compile({work!r}, 'library.py', 'exec'))\n"
        f"plugins.load = lambda group, name: validate\n"
        f"main()\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "door", "validate"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=RESTORE_SIGINT,
    )
    assert (found.returncode, found.stderr) == (
        130,
        f"segue: interrupted: run the same command again to resume{made}\n",
    )


def test_ignored_interrupt_signal_stays_ignored() -> None:
    script = (
        "from toolkit import interrupts; interrupts.install_handlers(); import signal;"
        " signal.raise_signal(signal.SIGINT); print(interrupts.was_interrupted())"
    )
    deaf = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, preexec_fn=deaf)
    assert (found.returncode, found.stdout) == (0, "False\n")


@pytest.mark.parametrize(
    "module", ["toolkit.sequential.training.checkpoint_tensors", "toolkit.encoders.contract.encoder_files"]
)
def test_interrupt_while_reading_checkpoint_is_not_reported_as_damage(module: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"what an interrupted reader makes of a whole file")
    reads = "read" if module.endswith("checkpoint_tensors") else "read_tensors"
    script = (
        f"from pathlib import Path\nfrom toolkit import interrupts\nfrom {module} import {reads}\n"
        "interrupts.install_handlers()\n"
        f"try:\n    {INTERRUPT}\nexcept KeyboardInterrupt:\n    pass\n"
        f"try:\n    {reads}(Path('x.safetensors'))\nexcept interrupts.Interrupted:\n    print('interrupted')"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, preexec_fn=RESTORE_SIGINT
    )
    assert (found.stdout, found.stderr) == ("interrupted\n", "")

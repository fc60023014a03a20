"""Choose a build of torch: the CPU build where the machine has no CUDA device and such a build can be reached.

    python tools/choose_torch.py --constraint constraints.txt

Prints the options that pip needs for it, or nothing, on standard output, and on standard error which build was chosen
and why. pip itself looks the builds up (`--dry-run`), so its configuration, caches and files on disk count. Needs only
pip and Python's standard library.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SIZES = "it takes about 4 GB less than a build for CUDA"
SECONDS = 120


def cuda_device() -> str:
    """What shows that the machine has a CUDA device; empty where nothing does."""
    if Path("/dev/nvidia0").exists():
        return "/dev/nvidia0 exists"
    if Path("/dev/dxg").exists() and shutil.which("nvidia-smi"):
        return "WSL passes a GPU on"
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    listed = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)
    return "nvidia-smi lists one" if listed.returncode == 0 and "GPU" in listed.stdout else ""


def resolved(requirement: str, options: Sequence[str]) -> tuple[str, str]:
    """Version and address of the file that pip would install; empty where it finds none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--quiet"]
        command += [
            "--ignore-installed",
            "--no-deps",
            "--retries",
            "1",
            "--timeout",
            "15",
            "--report",
            str(report),
            *options,
            requirement,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
            (found,) = json.loads(report.read_text(encoding="utf-8"))["install"]
        except (subprocess.SubprocessError, OSError, ValueError, KeyError):
            return "", ""
    return found["metadata"]["version"], found["download_info"]["url"]


def choose(requirement: str, options: Sequence[str], index: str, device: str) -> tuple[list[str], str]:
    """Options for pip, and a sentence about the build that they lead to.

    - options: that the lookup has as well, such as `--constraint`.
    - device: what shows that there is a CUDA device; empty for none.
    """
    if device:
        version, _ = resolved(requirement, options)
        return [], f"torch {version}, the default build: this machine has a CUDA device ({device})"
    more = ["--extra-index-url", index]
    version, address = resolved(requirement, [*options, *more])
    if version.endswith("+cpu"):
        near = address.startswith("file:")
        origin = "a file on this machine" if near else index
        return [] if near else more, f"torch {version}, the CPU build from {origin}: no CUDA device here, {SIZES}"
    if not version:
        return [], "torch: pip finds no build of it, see its messages below"
    if sys.platform != "linux":
        return [], f"torch {version}, the default build, which is for the CPU on this system"
    return [], f"torch {version}, the default build: no CUDA device here, but no CPU build of it at {index}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose a build of torch for pip.")
    parser.add_argument("requirement", nargs="?", default="torch", help="such as torch==2.13.0; default: torch")
    parser.add_argument("--constraint", action="append", default=[], help="a file of constraints, as of pip")
    parser.add_argument("--index", default=CPU_INDEX, help=f"where CPU builds are; default: {CPU_INDEX}")
    given = parser.parse_args()
    options = [word for file in given.constraint for word in ("--constraint", file)]
    chosen, sentence = choose(given.requirement, options, given.index, cuda_device())
    print(sentence, file=sys.stderr)
    print(*chosen)


if __name__ == "__main__":
    main()

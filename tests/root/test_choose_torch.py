"""Tests that `make install` chooses the CPU build of torch if there is no CUDA device and an index offers one."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools import choose_torch

ROOT = Path(__file__).parents[2]


def write_wheel(folder: Path, version: str) -> None:
    """Write an empty package named torch."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"torch-{version}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for name, text in files.items()
    }
    record = [f"{name},sha256={digests[name]},{len(text)}" for name, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*record, f"{about}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a server with two indexes: `default` has torch 9.1 and 9.2, `cpu` has 9.1+cpu."""
    root = tmp_path / "indexes"
    for version in ("9.1", "9.2"):
        write_wheel(root / "default" / "torch", version)
    write_wheel(root / "cpu" / "torch", "9.1+cpu")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/default")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


def test_cpu_build_is_chosen_without_cuda_device(index: str) -> None:
    cpu = f"{index}/cpu"
    options, sentence = choose_torch.choose("torch==9.1", [], cpu, device="")
    assert options == ["--extra-index-url", cpu]
    assert sentence.startswith(f"torch 9.1+cpu, the CPU build from {cpu}: no CUDA device here")


def test_constraint_selects_torch_version(index: str, tmp_path: Path) -> None:
    constraint = tmp_path / "constraints.txt"
    constraint.write_text("torch==9.1\n")
    options, sentence = choose_torch.choose("torch", ["--constraint", str(constraint)], f"{index}/cpu", device="")
    assert options == ["--extra-index-url", f"{index}/cpu"] and sentence.startswith("torch 9.1+cpu")


def test_installed_cpu_build_does_not_query_index(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(tmp_path / "wheels", "9.2+cpu")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    options, sentence = choose_torch.choose("torch==9.2", [], f"{index}/cpu", device="")
    assert options == [] and sentence.startswith("torch 9.2+cpu, the CPU build from a file on this machine:")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the default build is for the CPU")
@pytest.mark.parametrize("where", ["cpu", "gone"])
def test_default_build_is_chosen_without_cpu_build(index: str, where: str) -> None:
    address = f"{index}/{where}"
    options, sentence = choose_torch.choose("torch==9.2", [], address, device="")
    assert options == []
    assert sentence == f"torch 9.2, the default build: no CUDA device here, but no CPU build of it at {address}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the default build is for the CPU")
def test_default_build_is_chosen_if_index_is_unreachable(index: str) -> None:
    options, sentence = choose_torch.choose("torch==9.1", [], "http://127.0.0.1:1/cpu", device="")
    assert options == [] and sentence.startswith("torch 9.1, the default build: no CUDA device here, but")


def test_default_build_is_chosen_with_cuda_device(index: str) -> None:
    options, sentence = choose_torch.choose("torch==9.1", [], f"{index}/cpu", device="/dev/nvidia0 exists")
    assert options == []
    assert sentence == "torch 9.1, the default build: this machine has a CUDA device (/dev/nvidia0 exists)"


def test_unavailable_version_is_passed_to_pip(index: str) -> None:
    options, sentence = choose_torch.choose("torch==1.0", [], f"{index}/cpu", device="")
    assert options == [] and sentence.startswith("torch: pip finds no build of it")


@pytest.mark.skipif(os.name == "nt", reason="the command is a shell script")
def test_script_detects_device_listed_by_nvidia_smi(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-0)'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    script = [sys.executable, str(ROOT / "tools" / "choose_torch.py"), "torch==9.1", "--index", f"{index}/cpu"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
    assert done.stderr.startswith("torch 9.1, the default build: this machine has a CUDA device (")
    command.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    if not Path("/dev/nvidia0").exists():
        assert choose_torch.cuda_device() == ""
        done = subprocess.run(script, capture_output=True, text=True, check=True)
        assert done.stdout == f"--extra-index-url {index}/cpu\n" and done.stderr.startswith("torch 9.1+cpu,")

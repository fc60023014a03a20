"""Manifest of a run: versions, machine, data, seed, and the user's permission for training."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import toolkit
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.run.run_context import Context
from toolkit.source_code import package_source

PACKAGES = (
    "torch",
    "recbole",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "transformers",
    "sentence-transformers",
    "cut-cross-entropy",
)


def manifest(context: Context, ingested: Ingested) -> dict[str, object]:
    """Return the content of `manifest.json`."""
    import torch

    from toolkit.sequential.training import distributed

    recipe = context.recipe
    return {
        "versions": {"segue": toolkit.__version__, "python": platform.python_version(), **_versions()},
        "git_commit": git_commit(),
        "code": package_source(),
        "device": context.device,
        "device_name": torch.cuda.get_device_name(context.device)
        if context.device.startswith("cuda")
        else platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": distributed.current().world,
        "seed": recipe.seed,
        "data": ingested.content,
        "permission": recipe.data.permission.model_dump() if recipe.data.permission else None,
        "allow_label_leak": recipe.data.allow_label_leak,
    }


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """Return the commit of the program's checkout, with `-dirty` for changed files.

    Returns None if the program is not run from a checkout.
    """
    root = Path(toolkit.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
        described = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10, check=True)  # nosec B603 # fixed arguments of git
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()

"""Fixtures for the report tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.run_files import files, write_run


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return the directory of a finished run with pictures."""
    root = write_run(tmp_path / "demo-run", files())
    (root / "pictures").mkdir()
    rows = np.random.default_rng(0).integers(0, 255, (2, 6, 3)).repeat(48, 0).repeat(48, 1)
    Image.fromarray(rows.astype(np.uint8)).save(root / "pictures" / "cover.png")
    return root

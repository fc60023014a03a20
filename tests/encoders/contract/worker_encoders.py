"""Slow and failing encoders that other processes can import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from toolkit.encoders.features.codes import CodesEncoder


class Slow(CodesEncoder):
    """Slow codes encoder that writes the id of its process to a file."""

    def transform(self, inputs, *, progress=None):
        Path(os.environ["SEGUE_TEST_WORKERS"], f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.5)
        return super().transform(inputs)


class Broken(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        raise ZeroDivisionError("this encoder is broken")

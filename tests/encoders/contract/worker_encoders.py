"""Encoders that another process can import: one that takes its time, one that fails."""

from __future__ import annotations

import os
import time
from pathlib import Path

from toolkit.encoders.features.codes import CodesEncoder


class Slow(CodesEncoder):
    """Codes that take their time and leave their process's number."""

    def transform(self, inputs, *, progress=None):
        Path(os.environ["SEGUE_TEST_WORKERS"], f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.5)
        return super().transform(inputs)


class Broken(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        raise ZeroDivisionError("this encoder is broken")

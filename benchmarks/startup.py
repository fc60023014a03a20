"""How long `segue --help` takes, beside an empty Python: bar 0.3 s of processor time.

    python benchmarks/startup.py

Check: neither torch nor NumPy is loaded for it (`tests/test_cli.py`). The last line is JSON.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence

RUNS = 7


def seconds(command: Sequence[str]) -> float:
    """Processor time of a command, user and system."""
    before = os.times()
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"minimum": min(values), "median": statistics.median(values), "maximum": max(values)}


def main() -> None:
    ours, empty = [sys.executable, "-m", "toolkit", "--help"], [sys.executable, "-c", "pass"]
    pairs = [(seconds(ours), seconds(empty)) for _ in range(RUNS)]
    result = {"race": "startup", "ours": spread([a for a, _ in pairs]), "peer": spread([b for _, b in pairs]), "bar": 0.3}
    print(json.dumps(result | {"machine": {"python": platform.python_version(), "cores": os.cpu_count()}}))


if __name__ == "__main__":
    main()

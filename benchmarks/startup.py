"""How long `segue --help` takes, beside an empty Python: bar 0.3 s of processor time.

    python benchmarks/startup.py --save

Check: none of the heavy packages is loaded when the help has been printed. Processor time is the child's, user and
system. The last line is JSON.
"""

from __future__ import annotations

import common  # isort: skip

import os
import subprocess
import sys
from collections.abc import Sequence

RUNS = {True: 5, False: 15}
HEAVY = ("torch", "numpy", "pandas", "pyarrow", "scipy", "transformers", "matplotlib", "recbole")
LOADED = f"""
import sys
from segue.commands.application import main
sys.argv[1:] = ["--help"]
try:
    main()
finally:
    print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
"""


def seconds(command: Sequence[str]) -> float:
    """Processor time of a command."""
    before = os.times()
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = common.parser(__doc__)
    parser.set_defaults(clock="processor")
    given = parser.parse_args()
    if given.quick and given.save:
        raise SystemExit("--quick and --save exclude each other: a quick result is no result to keep")
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stderr.split()
    if loaded:
        raise SystemExit(f"segue --help loads {', '.join(loaded)}")
    ours, empty = [sys.executable, "-m", "segue", "--help"], [sys.executable, "-c", "pass"]
    pairs = [(seconds(ours), seconds(empty)) for _ in range(RUNS[given.quick])]
    check = f"loads none of {', '.join(HEAVY)}"
    common.report("startup", given, ours=[a for a, _ in pairs], peer=[b for _, b in pairs], check=check, bar_s=0.3)


if __name__ == "__main__":
    main()

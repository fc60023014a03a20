"""How fast collecting is: at a host's limit, without one, and how soon a large ledger answers. One JSON line last.

The server is a process of its own on loopback. Bars: 95 % of the rate that a source allows, 300 records/s against a
host without a limit, 1 s until `segue library status` of 70,000 tracks is there.

    python benchmarks/collect.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from collectors import library_reports  # noqa: E402
from collectors.engine.engine import Engine, Settings  # noqa: E402
from collectors.engine.ledger import Ledger  # noqa: E402
from collectors.library import open_library  # noqa: E402
from tests.servers.facts import SOURCES, Facts, FactsParams, fill  # noqa: E402

SERVE = "import sys; from tests.servers.facts import serve; serve()"


@contextmanager
def server() -> Iterator[tuple[str, Any]]:
    """Its URL, and what gives the times of its requests once it has ended."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout
    url = process.stdout.readline().strip()

    def times() -> list[float]:
        return sorted(json.loads(process.communicate()[0]))

    try:
        yield url, times
    finally:
        process.kill()


def collected(tracks: int, url: str, per_second: float | None) -> dict[str, float]:
    """Seconds on the wall and of the processor that one source takes for so many tracks."""
    with tempfile.TemporaryDirectory() as folder, open_library(folder, new=True) as catalogue:
        fill(catalogue, tracks)
        engine = Engine(
            catalogue,
            [(Facts(FactsParams(base_url=url, per_second=per_second)), ["words"])],
            Settings("bench@example.org", limits=Path(folder)),
        )
        wall, cpu = time.perf_counter(), time.process_time()
        engine.run()
        return {"wall": time.perf_counter() - wall, "processor": time.process_time() - cpu}


def at_the_limit(per_second: float, tracks: int) -> float:
    """Share of the allowed rate that the server saw from the end of the first burst to its last request."""
    with server() as (url, times):
        collected(tracks, url, per_second)
        seen = times()
    burst = max(1, int(per_second))
    return (len(seen) - burst) / (seen[-1] - seen[0]) / per_second


def without_a_limit(tracks: int) -> dict[str, float]:
    with server() as (url, _):
        seconds = collected(tracks, url, None)
    return {
        "records_per_s": round(tracks / seconds["wall"], 1),
        "per_processor_s": round(tracks / seconds["processor"], 1),
    }


def status(tracks: int) -> dict[str, float]:
    """Seconds until the status, and the coverage, of a ledger with every field of so many tracks."""
    with tempfile.TemporaryDirectory() as folder:
        with open_library(folder, new=True) as catalogue:
            fill(catalogue, tracks)
            ledger = Ledger(catalogue)
            for cls in SOURCES:
                for name, entity in cls.fields.items():
                    ledger.plan(cls.name, name, entity)
            with ledger.transaction() as connection:
                connection.exec_driver_sql(
                    "UPDATE collected SET status = 'found', next_try = NULL WHERE entity_id LIKE '%7'"
                )
        seconds = {}
        looks = {
            "status": lambda library: (library_reports.status(library), library_reports.troubles(library)),
            "coverage": library_reports.coverage,
        }
        for name, report in looks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            with open_library(folder) as library:
                report(library)
            seconds |= {
                f"{name}_s": round(time.perf_counter() - wall, 3),
                f"{name}_processor_s": round(time.process_time() - cpu, 3),
            }
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=3_000)
    parser.add_argument("--ledger", type=int, default=70_000)
    given = parser.parse_args()
    shown = {
        "share_of_1_a_second": round(at_the_limit(1, 16), 4),
        "share_of_50_a_second": round(at_the_limit(50, 1_000), 4),
        **without_a_limit(given.tracks),
        **status(given.ledger),
    }
    print(json.dumps(shown))


if __name__ == "__main__":
    main()

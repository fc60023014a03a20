"""Collecting under fire: five sources, faults by chance, the process killed with SIGKILL at random and started again.

What must come out: the catalogue of a run without faults, no answered request asked again once its answer was kept, no
host asked more often than it allows in any window, memory flat. One JSON line last.

    python benchmarks/soak.py --tracks 20000 --kills 20
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from collectors.engine.engine import Engine, Settings  # noqa: E402
from collectors.engine.hosts import Timeouts  # noqa: E402
from collectors.engine.outcomes import Retries  # noqa: E402
from collectors.library import open_library  # noqa: E402
from collectors.library_reports import COVERAGE, coverage, markdown  # noqa: E402
from tests.servers import faults  # noqa: E402
from tests.servers.base import Fault, Logged, ReceivedRequest  # noqa: E402
from tests.servers.facts import SOURCES, FactsParams, FactsServer, fill, state  # noqa: E402

KINDS: tuple[Fault, ...] = (
    *(faults.too_many(after) for after in ("0", "0.3", None, "soon", "-5")),
    *(faults.status(code) for code in (500, 502, 503)),
    faults.hang,
    faults.reset,
    faults.short,
    faults.truncated,
    faults.wrong_json,
    faults.page,
    faults.captcha,
    faults.forbidden_captcha,
    faults.wrong_type("video/mp4"),
    faults.gzip_bomb(200),
    faults.redirect("ftp://elsewhere.invalid/"),
)
TARGETS = {"facts": "/words/", "faces": "/face/", "lives": "/life/", "ids": "/id/", "tags": "/tags/"}


def soak(folder: Path, *, tracks: int, kills: int, share: float, per_second: int, seed: int = 0) -> dict[str, Any]:
    """What the run showed; `catalogue_equal` and the counts beside it are what must hold."""
    for name in ("clean", "faulty"):
        with open_library(folder / name, new=True) as catalogue:
            fill(catalogue, tracks)
    with servers(folder, "clean", 0.0, seed) as clean:
        started = time.time()
        collect(folder, "clean", clean.urls, 0)
        clean_s = time.time() - started
    total = 3 * tracks + -(-tracks // 10) + -(-tracks // 20)
    draw = random.Random(seed)
    at, moments = sorted(draw.randrange(total // 20, total) for _ in range(kills)), []
    with servers(folder, "faulty", share, seed) as faulty:
        started = time.time()
        for many in at:
            moments.append(killed(folder, faulty, per_second, many))
        collect(folder, "faulty", faulty.urls, per_second)
        seconds = time.time() - started
    log = faulty.log
    with open_library(folder / "faulty") as library:
        table = markdown(coverage(library), COVERAGE)
    return {
        "tracks": tracks,
        "sources": len(SOURCES),
        "kills": len(moments),
        "requests": sum(map(len, log)),
        "faults": sum(bool(entry.fault) for entries in log for entry in entries),
        "catalogue_equal": state(folder / "clean/catalogue.sqlite") == state(folder / "faulty/catalogue.sqlite"),
        "kept_answers_asked_again": sum(asked_again(log, moment) for moment in moments),
        "answers_lost_to_kills": lost(log),
        "allowed_a_second": per_second,
        "most_in_a_second": max(most_in(entries, 1.0) for entries in log),
        "rss_mb": memory(folder / "faulty"),
        "seconds": round(seconds, 1),
        "seconds_without_faults_and_limits": round(clean_s, 1),
        "table": table,
    }


class Servers:
    """Five servers in a process of their own. log: by server, once it has ended."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process, self._out = process, out
        self.urls: list[str] = json.loads(self._line())
        self.log: list[list[Logged]] = []

    def counts(self) -> list[int]:
        """Requests so far, by server."""
        assert self.process.stdin
        self.process.stdin.write("count\n")
        self.process.stdin.flush()
        counts: list[int] = json.loads(self._line())
        return counts

    def end(self) -> None:
        self.process.communicate()
        self.log = [[Logged(*entry) for entry in entries] for entries in json.loads(self._out.read_text())]

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


@contextmanager
def servers(folder: Path, name: str, share: float, seed: int) -> Iterator[Servers]:
    out = folder / f"{name}.json"
    command = [sys.executable, __file__, "--serve", str(out), "--faults", str(share), "--seed", str(seed)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        running = Servers(process, out)
        yield running
        running.end()
    finally:
        process.kill()


def serve(out: Path, share: float, seed: int) -> None:
    """Five servers until standard input ends; every line asks for the counts."""

    def drawn(place: int) -> Any:
        def fault(number: int, request: ReceivedRequest) -> Fault | None:
            draw = random.Random(f"{seed} {place} {number}")
            return draw.choice(KINDS) if draw.random() < share else None

        return fault

    with ExitStack() as stack:
        running = [stack.enter_context(FactsServer(faults=drawn(place))) for place in range(len(SOURCES))]
        for server in running:
            server.keep_headers = False
        print(json.dumps([server.url for server in running]), flush=True)
        for _ in sys.stdin:
            print(json.dumps([len(server.log) for server in running]), flush=True)
        entries = [[(e.time, e.method, e.target, e.status, e.fault, e.done) for e in server.log] for server in running]
    out.write_text(json.dumps(entries))


def start(folder: Path, name: str, urls: Sequence[str], per_second: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--collect", str(folder / name), "--per-second", str(per_second), *urls]
    return subprocess.Popen(command, env={**os.environ, "SEGUE_CACHE": str(folder / "cache")})


def collect(folder: Path, name: str, urls: Sequence[str], per_second: int) -> None:
    code = start(folder, name, urls, per_second).wait()
    assert code == 0, f"the collector ended with {code}"


def killed(folder: Path, faulty: Servers, per_second: int, many: int) -> tuple[list[int], set[tuple[str, str]]]:
    """Start the collector and kill it once the servers were asked so often; their counts then, and the entries that are
    closed."""
    process = start(folder, "faulty", faulty.urls, per_second)
    while sum(faulty.counts()) < many:
        assert process.poll() is None, "the collector ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with sqlite3.connect(folder / "faulty" / "catalogue.sqlite") as database:
        closed = set(database.execute("SELECT source, entity_id FROM collected WHERE next_try IS NULL"))
    return faulty.counts(), closed


def asked_again(log: Sequence[Sequence[Logged]], moment: tuple[list[int], set[tuple[str, str]]]) -> int:
    """Requests after a kill for what was closed before it."""
    counts, closed = moment
    gone = {TARGETS[source] + (one.replace("local:", "m-") if source == "tags" else one) for source, one in closed}
    # requests under way at the kill are logged after it
    return sum(entry.target in gone for entries, n in zip(log, counts, strict=True) for entry in entries[n + 16 :])


def lost(log: Sequence[Sequence[Logged]]) -> int:
    """Right answers that were given more than once: those under way at a kill."""
    right = [entry.target for entries in log for entry in entries if entry.done and not entry.fault]
    return len(right) - len(set(right))


def most_in(entries: Sequence[Logged], seconds: float) -> int:
    """Most requests in any window."""
    times = sorted(entry.time for entry in entries)
    return max((place + 1 - bisect_left(times, when - seconds + 1e-9) for place, when in enumerate(times)), default=0)


def memory(folder: Path) -> dict[str, float]:
    """Resident megabytes of the longest life: medians of its second and last fifth, and the most, with bodies of 16 MB
    in it."""
    lives = [[float(line) for line in life.split()] for life in (folder / "rss.txt").read_text().split("start\n")]
    longest = max(lives, key=len)
    fifth = max(1, len(longest) // 5)
    parts = {
        "early": statistics.median(longest[fifth : 2 * fifth] or longest),
        "late": statistics.median(longest[-fifth:]),
    }
    return {**parts, "most": max(longest)}


def work(folder: Path, urls: Sequence[str], per_second: int) -> None:
    """One life of the collector."""
    threading.Thread(target=_watch, args=(folder / "rss.txt",), daemon=True).start()
    settings = Settings(
        "soak@example.org",
        60.0,
        retries=Retries(first=0.1, longest=2.0),
        limits=folder / "limits",
        timeouts=Timeouts(read=1.0),
    )
    with open_library(folder) as catalogue:
        plan = [
            (cls(FactsParams(base_url=url, per_second=per_second or None)), list(cls.fields))
            for cls, url in zip(SOURCES, urls, strict=True)
        ]
        for summary in Engine(catalogue, plan, settings).run():
            assert not summary.left and not summary.stopped, summary


def _watch(path: Path) -> None:
    with path.open("a") as file:
        file.write("start\n")
        while True:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            print(round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1), file=file, flush=True)
            time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--per-second", type=int, default=150, help="that each host allows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("urls", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.serve, given.faults, given.seed)
    if given.collect:
        return work(given.collect, given.urls, given.per_second)
    with tempfile.TemporaryDirectory(prefix="segue-soak-") as folder:
        shown = soak(
            Path(folder),
            tracks=given.tracks,
            kills=given.kills,
            share=given.faults,
            per_second=given.per_second,
            seed=given.seed,
        )
    print(shown.pop("table"))
    print(json.dumps(shown))
    return None


if __name__ == "__main__":
    main()

"""Kills of commands at random moments, each followed by the same command again.

    python -m tests.kill_suite --kills 20 --commands run,sweep

A killed command must end with the exit code of its signal: 130 after SIGINT, 143 after SIGTERM. Before segue handles
signals, and after Python has removed its handlers, Python itself ends the process: by the signal, which Popen reports
as -2 or -15 and a shell as 130 or 143, or with code 1 if SIGINT arrives while Python imports `site`. The process is
stopped for a moment, so that the signal arrives in a known state: only where the kernel lists no handler for SIGTERM,
these codes are accepted, and only before the process could be signalled at all, its own code.

The same command again must then give what an unbroken command gives: its exit code, its output, and every file that it
leaves, the cache and the input included:

- SQLite: all rows of all tables but the columns in `TIMES`, after an integrity check;
- JSON: equal values but the keys in `SECONDS`; safetensors: the tensors, and the metadata without these keys;
- report.html and the output: equal text but durations and memory (`MEASURED`, columns in `MEASURES`). The output of
  `collect` is not compared, because it reports what a single call collected;
- all other files: equal bytes. Of the files in `UNCOMPARED` only the presence is compared;
- no temporary file (`*.part`) and no temporary folder remains anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PATIENCE = 600
"""Seconds until a command counts as hanging."""
UNCOMPARED = re.compile(r"log\.jsonl|events\.out\.tfevents|.*\.lock|.*\.sqlite-(wal|shm)|127\.0\.0\.1_\d+\.sqlite")
"""Files with times on every line, locks, journals of SQLite, whose rows are compared, and the pace of requests."""
SECONDS = re.compile(r"(.*_)?seconds|peak_mb|crc32|stamp|cached")
"""Keys of measured values in JSON, of whether this call computed them, of the checksum of a catalogue, whose rows have
times, and of times of inputs.
"""
TIMES = {"time", "next_try", "not_before", "key"}
"""Columns of SQLite that hold times. The key of an import has the time of a file."""
MEASURES = {"s", "fit s", "rank s", "peak MB"}
"""Columns of printed tables that hold measured values."""
CACHED = re.compile(
    r"an earlier run \(cache\)|this run|(?<=<td>)–(?=</td>)|"
    r"<p class=\"note\">Vectors from the cache were computed by an earlier run\.[^<]{0,80}</p>"
)
"""Text of the report on whether this call computed the vectors, without which it has no peak memory."""
MEASURED = re.compile(r"(&lt; |< )?\d[\d.,]*\s(s|ms|min|h|MB|GB)\b")
"""Durations and memory in text."""
LATE = 5
"""Most tries for a kill. A process may end before its signal, where a machine is busier at first than later."""
UNFINISHED = re.compile(r".*\.part")

HEADER = "playlist_id,track_id,title,artist\n"


def _rows(playlists: int, tracks: int, length: int) -> str:
    """Return rows of playlists of random tracks."""
    return "".join(
        f"{p},t{track},Song {track} singin',A{track % 9}\n"
        for p in range(playlists)
        for track in random.Random(p).sample(range(tracks), length)
    )


RECIPE = """\
name: mine
data:
  {reader: csv, path: lists.csv, options: {title: title, artist: artist}, permission: {allowed: true, reason: invented}}
encoders: {title: {encoder: tfidf, field: title, params: {dim: 4, clean: true}}}
models: [{type: sasrec, epochs: 3, hidden_size: 8, heads: 1, select: ndcg@3}]
baselines: [popularity, item-knn]
evaluation: {split: {min_tracks: 4, valid_fraction: 0.3}, k: [3], metrics: [recall, ndcg], bootstrap: 20}
threads: 1
"""
FOLDS = RECIPE.replace("valid_fraction: 0.3", "valid_fraction: 0.3, folds: 2, test_fold: all")
MANY = RECIPE.replace("lists.csv", "many.csv")
"""Recipe with as many tracks as a submission ranks."""
SWEEP = RECIPE + "sweep: {over: {models.0.lr: [0.001, 0.1]}, select: ndcg@3}\n"
COLLECT = """\
name: collected
data: {{reader: demo, options: {{tracks: 200, artists: 40, playlists: 150, fields: []}}}}
collect:
  library: library
  contact: demo@example.org
  sources: [{{source: musicbrainz, params: {{url: "{musicbrainz}", per_second: 200}}}},
            {{source: lrclib, params: {{url: "{lrclib}", per_second: 200}}}}]
"""


@dataclass(frozen=True)
class Command:
    """Command line whose results are compared.

    - after: commands whose output it reads, run once.
    - reports_call: whether it prints what this call did, which is less after a kill. Then only its files are compared.
    """

    line: Sequence[str]
    after: Sequence[Sequence[str]] = ()
    reports_call: bool = False


NAMES: dict[str, object] = {
    key: "x" for key in ("track_name", "artist_name", "artist_uri", "album_name", "album_uri")
} | {"duration_ms": 1}
"""Keys that the challenge's tracks have."""
BEGUN = ("run", "r.yaml", "--out", "begun")
COMMANDS: Mapping[str, Command] = {
    "run": Command(("run", "r.yaml", "--out", "out")),
    "folds": Command(("run", "folds.yaml", "--out", "out")),
    "sweep": Command(("sweep", "sweep.yaml", "--out", "out")),
    "bench": Command(("bench", "r.yaml", "--baselines", "popularity,item-knn", "--budget", "2", "--out", "out")),
    "reproduce": Command(("reproduce", "begun", "--out", "out"), (BEGUN,)),
    "collect": Command(("collect", "collect.yaml"), reports_call=True),
    "convert": Command(("data", "convert", "lists.csv", "out", "--to", "recbole")),
    "export": Command(("export", "begun", "--out", "out", "--system", "sasrec-multimodal"), (BEGUN,)),
    "report": Command(("report", "begun"), (BEGUN,)),
    "preview": Command(("encoders", "preview", "r.yaml", "--json")),
    "continue": Command(("continue", "begun", "--tracks", "local:t1,local:t2", "--format", "json"), (BEGUN,)),
    "submit": Command(
        ("submit", "begun", "--challenge", "challenge.json", "--team", "x", "--email", "x@x.org", "--out", "out.csv"),
        (("run", "many.yaml", "--out", "begun"),),
    ),
}  # fmt: skip


@dataclass
class Outcome:
    """Result of a series. kills: number of processes that got a signal before they ended. faults: descriptions."""

    tries: int = 0
    kills: int = 0
    faults: list[str] = field(default_factory=list)


def series(name: str, kills: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Kill a command `kills` times at random moments, and compare what it then writes with an unbroken command."""
    command, drawn, outcome = COMMANDS[name], random.Random(f"{name} {seed}"), Outcome()
    with _services(folder, name) as urls:
        begun = _prepared(folder, command, urls)
        place = folder / name  # files and output hold the path
        shutil.copytree(begun, place)
        started = time.monotonic()
        expected = _results(command, place)
        length = time.monotonic() - started
        if expected["exit code"]:
            outcome.faults.append(f"the unbroken command ends with {expected['exit code']}: {expected['output']}")
            return outcome
        while outcome.kills < kills and outcome.tries < LATE * kills:
            shutil.rmtree(place)
            shutil.copytree(begun, place)
            outcome.tries += 1
            number, delay = drawn.choice(SIGNALS), drawn.uniform(0, length)
            about = f"{name}, {number.name} after {delay:.2f} s"
            process = _start(command.line, place)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
            allowed = _signal(process, number)
            ended, printed = _finish(process)
            outcome.kills += bool(allowed)
            length *= 1 if allowed else 0.9
            if ended not in (allowed or {0}):
                outcome.faults.append(f"{about}: exit code {ended} and not {allowed or 0}: {printed[-600:]!r}")
            for fault in _differences(expected, _results(command, place)):
                outcome.faults.append(f"{about} (ended with {ended}): {fault}")
    return outcome


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> set[int]:
    """Send a signal to a process. Returns the exit codes that follow, or none for a process that has ended."""
    if process.poll() is not None:
        return set()
    os.kill(process.pid, signal.SIGSTOP)
    while (state := _state(process.pid))[0] not in "TZ":
        time.sleep(0.001)
    os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGCONT)
    if state[0] == "Z":
        return set()
    if number == signal.SIGKILL:
        return {-number}
    if all(state[1] >> (one - 1) & 1 for one in {number, signal.SIGTERM}):
        return {128 + number}
    return {-number, 1} if number == signal.SIGINT else {-number}


def _state(pid: int) -> tuple[str, int]:
    """Return the state of a child process, and the mask of the signals that it handles."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        lines = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    return lines["State"][0], int(lines.get("SigCgt", "0"), 16)


_PREPARING = threading.Lock()


def _prepared(folder: Path, command: Command, urls: Mapping[str, str]) -> Path:
    """Return a folder with the input of a command, shared by the commands that read the same output."""
    place = folder / "inputs" / (command.after[0][1] if command.after else "collect" if urls else "data")
    with _PREPARING:
        if not place.exists():
            _prepare(place, command, urls)
    return place


def _prepare(place: Path, command: Command, urls: Mapping[str, str]) -> None:
    """Write the input of a command."""
    place.mkdir(parents=True)
    (place / "lists.csv").write_text(HEADER + _rows(80, 60, 8))
    (place / "many.csv").write_text(HEADER + _rows(200, 700, 30).replace(",t", ",spotify:track:t"))
    for file, text in (("r.yaml", RECIPE), ("folds.yaml", FOLDS), ("sweep.yaml", SWEEP), ("many.yaml", MANY)):
        (place / file).write_text(text)
    if urls:
        (place / "collect.yaml").write_text(COLLECT.format(**urls))
    lists = [
        {"pid": n, "num_holdouts": 5, "tracks": [{"track_uri": f"spotify:track:t{n}", "pos": 0, **NAMES}]}
        for n in range(3)
    ]
    (place / "challenge.json").write_text(json.dumps({"playlists": lists}))
    for line in command.after:
        code, printed = _finish(_start(line, place))
        assert code == 0, printed


@contextlib.contextmanager
def _services(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """Yield the addresses of loopback services for `collect`."""
    if name != "collect":
        yield {}
        return
    from segue.datasets.demo.demo_params import DemoParams
    from tests.servers.demo import services

    with services(DemoParams(tracks=200, artists=40, playlists=150), features=folder / "features.csv") as running:
        yield {"musicbrainz": running.musicbrainz.url, "lrclib": running.lrclib.url}


def _start(line: Sequence[str], place: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "SEGUE_CACHE": "cache", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["GIT_DIR"] = os.devnull  # manifests name the commit, which may change during a series
    return subprocess.Popen(
        [sys.executable, "-m", "segue", *line],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and what the command printed: its output, or its errors if it failed."""
    try:
        printed, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, errors = process.communicate()
        errors += f"\nno end after {PATIENCE} s"
    return process.returncode, printed if process.returncode == 0 else errors


def _results(command: Command, place: Path) -> dict[str, object]:
    """Run a command. Returns without measured values its exit code, its output, and all files by path."""
    code, printed = _finish(_start(command.line, place))
    if command.reports_call and code == 0:
        printed = ""
    results: dict[str, object] = {"exit code": code, "output": _output(printed)}
    for path in sorted(place.rglob("*")):
        inside = EVENTS.sub("", str(path.relative_to(place)))
        results[inside] = "folder" if path.is_dir() else _content(path)
    return results


EVENTS = re.compile(r"(?<=events\.out\.tfevents)\..*")
"""End of the name of a file of TensorBoard, which holds a time and a process."""


def _content(path: Path) -> object:
    if UNCOMPARED.match(path.name):
        return "file"
    if path.suffix == ".sqlite":
        return _rows_of(path)
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        size = 8 + int.from_bytes(data[:8], "little")
        about = json.loads(data[8:size])
        about["__metadata__"] = {key: _parsed(text) for key, text in about.get("__metadata__", {}).items()}
        return _without_seconds(about), data[size:]
    if path.suffix == ".json":
        return _without_seconds(json.loads(data))
    return MEASURED.sub("", CACHED.sub("", data.decode())) if path.name == "report.html" else data


def _parsed(text: str) -> Any:
    """Return a text of metadata as JSON values if it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _rows_of(path: Path) -> dict[str, object]:
    """Return the sorted rows of every table of an SQLite file, without times, and the result of an integrity check."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        found: dict[str, object] = {"integrity": base.execute("PRAGMA integrity_check").fetchall()}
        for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
            kept = ", ".join(f'"{column}" IS NULL' if column in TIMES else f'"{column}"' for column in columns)
            found[table] = sorted(base.execute(f'SELECT {kept} FROM "{table}"').fetchall(), key=repr)
    return found


def _output(printed: str) -> list[object]:
    """Return the printed lines without durations, the columns in `MEASURES` and the widths of columns."""
    lines: list[object] = []
    columns: list[str] = []
    for line in printed.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if MEASURES & set(cells):
            columns = cells
        if len(cells) == len(columns):
            cells = [cell for cell, column in zip(cells, columns, strict=True) if column not in MEASURES]
        if line.strip(" ─"):
            lines.append([MEASURED.sub("", cell) for cell in cells])
    return lines


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(inner) for key, inner in value.items() if not SECONDS.fullmatch(key)}
    return [_without_seconds(inner) for inner in value] if isinstance(value, list) else value


def _differences(expected: dict[str, object], reached: dict[str, object]) -> Iterator[str]:
    if expected["exit code"] != reached["exit code"]:
        yield f"the same command ends with {reached['exit code']}: {reached['output']}"
        return
    for name in sorted({*expected, *reached}):
        if UNFINISHED.fullmatch(name):
            yield f"{name} is unfinished"
        elif expected.get(name) != reached.get(name):
            what = "is missing" if name not in reached else "is left over" if name not in expected else "differs"
            yield f"{name} {what}{_first(expected.get(name), reached.get(name))}"


def _first(expected: object, reached: object) -> str:
    """Return the first part in which two values differ."""
    if isinstance(expected, dict) and isinstance(reached, dict):
        for key in {**expected, **reached}:
            if expected.get(key) != reached.get(key):
                return f", {key}{_first(expected.get(key), reached.get(key))}"
    if isinstance(expected, str) and isinstance(reached, str) and "\n" in expected:
        expected, reached = expected.splitlines(), reached.splitlines()
    if isinstance(expected, list | tuple) and isinstance(reached, list | tuple):
        for place, (one, other) in enumerate(zip(expected, reached, strict=False)):
            if one != other:
                return f", {place}{_first(one, other)}"
    return f": {str(expected)[:200]} became {str(reached)[:200]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="kills of each command")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="names separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults = 0
    folder = Path(tempfile.mkdtemp())
    for name in given.commands.split(","):
        outcome = series(name, given.kills, folder, seed=given.seed)
        print(f"{name}: {outcome.kills} kills, {len(outcome.faults)} faults", flush=True)
        for fault in outcome.faults:
            print(f"  {fault}", flush=True)
        faults += len(outcome.faults)
    shutil.rmtree(folder)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()

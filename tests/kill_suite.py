"""Kills of commands at random moments, each followed by the same command again.

    python -m tests.kill_suite --kills 20 --commands run,sweep

After a kill the same command must end as documented, write what an unbroken command writes (but for seconds), and
leave no unfinished file in the output and in the cache.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15, 130}, signal.SIGINT: {130, -2}}
"""Exit codes of a process that a signal ended."""
PATIENCE = 600
"""Seconds until a command counts as hanging."""
VOLATILE = re.compile(
    r"(log\.jsonl|timings\.json|report\.html|manifest\.json|bench\.json|\.lock|.*\.lock|events\.out.*)"
)
"""Files with times or seconds, which differ between two runs."""
SECONDS = re.compile(r"seconds|.*_seconds|peak_mb|time|stamp|inputs")
"""Keys of JSON files that hold times."""
UNFINISHED = re.compile(r"\..*\.part|.*\.part")

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
SWEEP = RECIPE + "sweep: {over: {models.0.lr: [0.001, 0.01, 0.1]}, select: ndcg@3}\n"
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
    """Command line whose results are compared. after: commands whose output it reads, run once."""

    line: Sequence[str]
    after: Sequence[Sequence[str]] = ()


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
    "collect": Command(("collect", "collect.yaml"), ()),
    "convert": Command(("data", "convert", "lists.csv", "out", "--to", "recbole")),
    "export": Command(("export", "begun", "--out", "out", "--system", "sasrec-multimodal"), (BEGUN,)),
    "report": Command(("report", "begun"), (BEGUN,)),
    "preview": Command(("encoders", "preview", "r.yaml", "--json"), ()),
    "continue": Command(("continue", "begun", "--tracks", "local:t1,local:t2", "--format", "json"), (BEGUN,)),
    "submit": Command(
        ("submit", "begun", "--challenge", "challenge.json", "--team", "x", "--email", "x@x.org", "--out", "out.csv"),
        (("run", "many.yaml", "--out", "begun"),),
    ),
}  # fmt: skip


@dataclass
class Outcome:
    """Result of a series. kills: number of processes that a signal ended. faults: descriptions."""

    tries: int = 0
    kills: int = 0
    faults: list[str] = field(default_factory=list)


def series(name: str, kills: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Kill a command `kills` times at random moments, and compare what it then writes with an unbroken command."""
    command, drawn, outcome = COMMANDS[name], random.Random(f"{name} {seed}"), Outcome()
    with _services(folder, name) as urls:
        begun = _prepared(folder / "begun", command, urls)
        whole = folder / "whole"
        shutil.copytree(begun, whole)
        started = time.monotonic()
        code, printed = _finish(_start(command.line, whole))
        length, expected = time.monotonic() - started, (code, _results(whole, printed))
        if code:
            outcome.faults.append(f"{name}: the unbroken command ends with {code}: {printed[-300:]!r}")
        for turn in range(kills if not code else 0):
            place = folder / f"{turn}"
            shutil.copytree(begun, place)
            outcome.tries += 1
            number = drawn.choice(list(SIGNALS))
            delay = drawn.uniform(0.05, 1.0) * length
            process = _start(command.line, place)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
            running = process.poll() is None
            process.send_signal(number)
            code, printed = _finish(process)
            outcome.kills += running and code != 0
            about = f"{name} {turn}, {number.name} after {delay:.2f} s"
            if code not in SIGNALS[number] | {0}:
                outcome.faults.append(f"{about}: exit code {code}: {printed[-300:]!r}")
            code, printed = _finish(_start(command.line, place))
            outcome.faults += [
                f"{about}: {fault}" for fault in _differences(expected, (code, _results(place, printed)))
            ]
            outcome.faults += [f"{about}: {path} is left over" for path in _unfinished(place)]
            shutil.rmtree(place)
    return outcome


def _prepared(place: Path, command: Command, urls: Mapping[str, str]) -> Path:
    """Return a folder with the input of a command."""
    place.mkdir()
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
    return place


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


def _results(place: Path, printed: str) -> dict[str, object]:
    """Return the content of every output file without seconds, by path, and what the command printed."""
    results: dict[str, object] = {"printed": re.sub(r"\d+\.\d+ s|\b\d+(\.\d+)?\b", "", printed)}
    for path in sorted(place.rglob("*")):
        inside = path.relative_to(place)
        if path.is_dir() or VOLATILE.fullmatch(path.name) or inside.parts[0] == "cache" or "sqlite" in path.suffix:
            continue
        # recipes hold absolute paths
        data = path.read_bytes().replace(str(place.resolve()).encode(), b"")
        if path.suffix == ".safetensors":  # its header holds seconds
            data = data[8 + int.from_bytes(data[:8], "little") :]
        results[str(inside)] = _without_seconds(json.loads(data)) if path.suffix == ".json" else data
    return results


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(inner) for key, inner in value.items() if not SECONDS.fullmatch(key)}
    return [_without_seconds(inner) for inner in value] if isinstance(value, list) else value


def _differences(expected: tuple[int, dict[str, object]], reached: tuple[int, dict[str, object]]) -> Iterator[str]:
    if expected[0] != reached[0]:
        yield f"the same command ends with {reached[0]} and not {expected[0]}: {str(reached[1]['printed'])[-300:]!r}"
        return
    for name in sorted({*expected[1], *reached[1]} - {"printed"}):
        if expected[1].get(name) != reached[1].get(name):
            what = "is missing" if name not in reached[1] else "is left over" if name not in expected[1] else "differs"
            yield f"{name} {what}"


def _unfinished(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if UNFINISHED.fullmatch(path.name))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="kills of each command")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="names separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults = 0
    for name in given.commands.split(","):
        with tempfile.TemporaryDirectory() as folder:
            outcome = series(name, given.kills, Path(folder), seed=given.seed)
        print(f"{name}: {outcome.kills} kills of {outcome.tries}, {len(outcome.faults)} faults", flush=True)
        for fault in outcome.faults:
            print(f"  {fault}", flush=True)
        faults += len(outcome.faults)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()

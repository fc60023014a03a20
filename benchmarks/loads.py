"""Peak memory and processor time of commands on inputs that are large in one direction.

    python benchmarks/loads.py --quick
    python benchmarks/loads.py --save
    python benchmarks/loads.py --only placements library
    python benchmarks/loads.py --checkout OTHER --cap-gb 8

Inputs: one playlist of 1,000,000 tracks; 1,000,000 playlists of one track; 5,000,000 placements of 300,000 tracks in
100,000 playlists; 10,000 ids of 10 kB; 300,000 titled tracks with two encoders; a library of 200,000 tracks that is
filled from a table. Every command has a process of its own and an empty cache. `--quick` makes a twentieth of each.
`--checkout` measures the code of another working tree, to compare two versions on the same inputs. There is no peer
and no bar: docs/scale.md has the table. Tests hold the bounds. The last line is JSON.
"""

from __future__ import annotations

import common  # isort: skip

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FEATURES = ("danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness", "instrumentalness")
FEATURES += ("liveness", "valence", "tempo")
WORDS = ("amber", "blue", "cold", "dance", "early", "fire", "golden", "heart", "island", "july", "kind", "light")

MEASURED = """
import json, os, resource, subprocess, sys
limit = int(sys.argv[1])
cap = (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None
with open(sys.argv[2], "wb") as log:
    code = subprocess.call(sys.argv[3:], stdout=log, stderr=subprocess.STDOUT, preexec_fn=cap)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({"rc": code, "mb": used.ru_maxrss * unit / 1e6, "user_s": used.ru_utime, "system_s": used.ru_stime}))
"""
"""A small parent of a command, because a child's peak memory starts at its parent's size."""


@dataclass(frozen=True)
class Load:
    """Input and the commands that read it. Arguments contain `{input}`, `{recipe}` and `{out}`."""

    write: Callable[[Path, float], None]
    commands: dict[str, tuple[str, ...]]
    recipe: str = ""


INFO = ("data", "info", "{input}")
CONVERT = ("data", "convert", "{input}", "{out}/atomic", "--to", "recbole")
RUN = ("run", "{recipe}", "--out", "{out}/run")
LIBRARY = ("--library", "{library}")


def write_long(path: Path, share: float) -> None:
    _write_rows(path, [("p0", "local:t", int(1_000_000 * share))])


def write_short(path: Path, share: float) -> None:
    n = int(1_000_000 * share)
    with (path / "input.csv").open("w") as file:
        file.write("playlist_id,track_id\n")
        file.writelines(f"p{number},local:t{number % 1000}\n" for number in range(n))


def write_placements(path: Path, share: float) -> None:
    """Uniform tracks: as many different pairs share a playlist as placements allow."""
    lists, tracks, length = int(100_000 * share), int(300_000 * share), 50
    random = np.random.default_rng(0)
    with (path / "input.csv").open("w") as file:
        file.write("playlist_id,track_id\n")
        for number in range(lists):
            drawn = np.unique(random.integers(0, tracks, length))
            random.shuffle(drawn)
            file.writelines(f"p{number},local:t{track}\n" for track in drawn)


def write_ids(path: Path, share: float) -> None:
    n, random = int(10_000 * share), np.random.default_rng(0)
    with (path / "input.csv").open("w") as file:
        file.write("playlist_id,track_id\n")
        order = random.permutation(n)
        for number in range(n // 10):
            for track in order[number * 10 : number * 10 + 10]:
                file.write(f"p{number},local:{track:07d}{'x' * 9_987}\n")


def write_titles(path: Path, share: float) -> None:
    """Every track has a title, an artist and tags, in playlists of 30."""
    n, random = int(300_000 * share), np.random.default_rng(0)
    with (path / "input.csv").open("w") as file:
        file.write("playlist_id,track_id,title,artist\n")
        order = random.permutation(n)
        for number in range(n // 30):
            for track in order[number * 30 : number * 30 + 30]:
                words = " ".join(WORDS[word] for word in random.integers(0, len(WORDS), 4))
                file.write(f"p{number},local:t{track},{words} {track},artist {track % 20_000}\n")


def write_library(path: Path, share: float) -> None:
    """Playlists, and the table from which features are collected."""
    n, random = int(200_000 * share), np.random.default_rng(0)
    with (path / "input.csv").open("w") as file, (path / "features.csv").open("w") as table:
        file.write("playlist_id,track_id,title,artist\n")
        table.write("track_id," + ",".join(FEATURES) + "\n")
        for track in range(n):
            file.write(f"p{track // 20},local:t{track},title {track},artist {track % 20_000}\n")
            table.write(f"local:t{track}," + ",".join(f"{value:.4f}" for value in random.random(len(FEATURES))) + "\n")


def _write_rows(path: Path, playlists: Sequence[tuple[str, str, int]]) -> None:
    with (path / "input.csv").open("w") as file:
        file.write("playlist_id,track_id\n")
        for playlist, track, n in playlists:
            file.writelines(f"{playlist},{track}{number}\n" for number in range(n))


RECIPE = """
name: loads
data: {{reader: csv, path: {input}{options}}}
{more}
baselines: [{baselines}]
evaluation: {{split: {{min_tracks: {min_tracks}, shown: 0.7}}, k: [10, 50]}}
threads: 1
"""


def recipe(baselines: str, *, more: str = "", options: str = "", min_tracks: int = 10) -> str:
    return RECIPE.format(input="{input}", more=more, options=options, baselines=baselines, min_tracks=min_tracks)


ENCODERS = "encoders: {words: {encoder: tfidf, field: title}, letters: {encoder: char-ngrams, field: title}}"
NAMED = ", options: {title: title, artist: artist}, permission: {allowed: true, reason: generated}"
COLLECT = "collect: {library: {library}, sources: [{source: feature-table, params: {path: {features}}}]}"
READ = {"info": INFO, "convert": CONVERT, "run": RUN}
LOADS = {
    "long": Load(write_long, READ, recipe("popularity", min_tracks=2)),
    "short": Load(write_short, READ, recipe("popularity", min_tracks=2)),
    "placements": Load(write_placements, READ, recipe("popularity, item-knn")),
    "ids": Load(write_ids, READ, recipe("popularity", min_tracks=2)),
    "titles": Load(
        write_titles, {"info": INFO, "run": RUN}, recipe("popularity, content-centroid", more=ENCODERS, options=NAMED)
    ),
    "library": Load(
        write_library,
        {
            "dry run": ("collect", "{recipe}", "--dry-run"),
            "collect": ("collect", "{recipe}"),
            "status": ("library", "status", *LIBRARY),
            "coverage": ("library", "coverage", *LIBRARY),
            "export": ("library", "export", *LIBRARY, "--field", "audio_features", "--out", "{out}/features.parquet"),
        },
        recipe("popularity", more=COLLECT, options=NAMED),
    ),
}
"""Inputs by name."""


def measured(
    name: str, load: Load, folder: Path, *, share: float, checkout: Path, cap: int
) -> Iterator[tuple[str, dict[str, float | int | str]]]:
    """Yield each command of a load with its exit code, MB and seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "input.csv").exists():
        load.write(folder, share)
    places = {"input": folder / "input.csv", "library": folder / "library", "features": folder / "features.csv"}
    text = load.recipe
    for key, place in places.items():
        text = text.replace(f"{{{key}}}", str(place))
    (folder / "recipe.yaml").write_text(text)
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(dir=folder) as work:
        shutil.rmtree(places["library"], ignore_errors=True)
        for command, arguments in load.commands.items():
            out = Path(work) / "out" / command.replace(" ", "-")
            out.mkdir(parents=True)
            filled = [part.format(**places, recipe=folder / "recipe.yaml", out=out) for part in arguments]
            environment["SEGUE_CACHE"] = str(out / "cache")
            log = folder / f"{command.replace(' ', '-')}.log"
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, str(cap), str(log), sys.executable, "-m", "segue", *filled],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout)
            last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
            yield command, {**found, "last_line": last[0][:200] if last and found["rc"] else ""}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="a twentieth of each input; its result cannot be saved")
    options.add_argument("--only", nargs="+", choices=LOADS, default=list(LOADS), metavar="NAME", help="inputs to run")
    options.add_argument("--work", type=Path, help="folder for the inputs, which are kept; default: a temporary one")
    options.add_argument("--checkout", type=Path, default=ROOT, help="working tree whose commands are measured")
    options.add_argument("--cap-gb", type=float, default=0, help="address space of each command; 0 for no limit")
    options.add_argument("--save", action="store_true", help="keep the result under benchmarks/results")
    given = options.parse_args()
    if given.quick and given.save:
        options.error("--quick and --save exclude each other: a quick result is no result to keep")
    share = 0.05 if given.quick else 1.0
    rows: dict[str, dict[str, dict[str, float | int | str]]] = {}
    with tempfile.TemporaryDirectory(prefix="segue-loads-") as scratch:
        for name in given.only:
            folder = (given.work or Path(scratch)) / (f"{name}-quick" if given.quick else name)
            rows[name] = {}
            for command, found in measured(
                name, LOADS[name], folder, share=share, checkout=given.checkout.resolve(), cap=int(given.cap_gb * 1e9)
            ):
                rows[name][command] = found
                print(
                    f"  {name:>12} {command:<9} {found['mb']:>7,.0f} MB {found['user_s']:>7.1f} s"
                    f"  rc {found['rc']} {found['last_line']}",
                    flush=True,
                )
    result = {"race": "loads", "inputs": rows, "share": share, "machine": common.machine()}
    if given.save:
        common.RESULTS.mkdir(exist_ok=True)
        (common.RESULTS / "loads-cpu.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()

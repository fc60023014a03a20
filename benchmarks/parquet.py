"""From Parquet to a finished corpus: rows a second, and memory beyond the corpus's own arrays and names.

    python benchmarks/parquet.py --quick
    python benchmarks/parquet.py --clock processor --save

20,000,000 synthetic placements (300,000 playlists, 680,000 tracks, sizes and popularity as in the Million Playlist
Dataset) in four
forms: whole-number ids and texts of 36 characters in the order of the playlists, whole numbers in random order, and one
list a playlist. Each build has a process of its own, whose peak memory is measured; the file is in the page cache.
Reading and numbering are two threads; `--clock processor` adds both up. Bars: 5,000,000 rows a second (4 s for all),
and 200 MB. There is no peer.
Check: a small part gives the corpus of the same rows through CSV. The last line is JSON.
"""

from __future__ import annotations

import common  # isort: skip

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from synthetic import Synthetic

from toolkit.catalogue.readers.csv import CsvReader
from toolkit.catalogue.readers.parquet import ParquetReader
from toolkit.corpus.build import build

WHOLE = (300_000, 680_000, 20_000_000)
QUICK = (15_000, 60_000, 1_000_000)
SMALL = (300, 2_000, 20_000)
FORMS = ("numbers", "texts", "shuffled", "lists")
ROWS = 1 << 20
"""Rows of a group, as most writers make them."""
BAR = 5_000_000
REPETITIONS = 3


def write(data: Synthetic, folder: Path) -> None:
    """The same placements in every form."""
    folder.mkdir(parents=True, exist_ok=True)
    names = pa.array([f"spotify:track:{bytes(code).decode()}" for code in data.codes("track", np.arange(data.tracks))])
    order = np.random.default_rng(0).permutation(data.placements)
    owners = np.repeat(np.arange(data.playlists), np.diff(data.offsets))
    tracks = data.items(0, data.placements).astype(np.int64)
    places = (np.arange(data.placements) - data.offsets[owners]).astype(np.int32)
    for form in ("numbers", "texts", "shuffled"):
        chosen = order if form == "shuffled" else np.arange(data.placements)
        writer = None
        for start in range(0, data.placements, ROWS):
            rows = chosen[start : start + ROWS]
            playlist, track = pa.array(owners[rows]), pa.array(tracks[rows])
            if form == "texts":
                playlist, track = pc.binary_join_element_wise("mpd:", playlist.cast(pa.string()), ""), names.take(track)
            table = pa.table({"playlist_id": playlist, "track_id": track, "position": places[rows]})
            writer = writer or pq.ParquetWriter(folder / f"{form}.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
    lists = pa.ListArray.from_arrays(pa.array(data.offsets, pa.int32()), pa.array(tracks))
    pq.write_table(pa.table({"playlist_id": np.arange(data.playlists), "track_id": lists}), folder / "lists.parquet")


def same_as_csv(folder: Path) -> str:
    """Raises `SystemExit` where a small part gives another corpus through CSV."""
    write(Synthetic(*SMALL), folder)
    for form in ("numbers", "texts", "shuffled"):
        pyarrow.csv.write_csv(pq.read_table(folder / f"{form}.parquet"), folder / f"{form}.csv")
        expected = build(CsvReader(folder / f"{form}.csv"), None, folder / "csv").digest()
        if build(ParquetReader(folder / f"{form}.parquet"), None, folder / "parquet").digest() != expected:
            raise SystemExit(f"Parquet and CSV give different corpora of {form}")
        if (
            form == "numbers"
            and build(ParquetReader(folder / "lists.parquet"), None, folder / "parquet").digest() != expected
        ):
            raise SystemExit("lists give another corpus than rows")
    return f"the same corpus as through CSV for {SMALL[2]:,} placements in each form"


def one(path: Path, clock: str) -> dict[str, float]:
    """One build in this process: seconds, MB beyond what it starts with and what the corpus is made of, and rows."""
    import scipy.sparse  # noqa: F401 (loaded before memory is looked at, as all that is imported above)

    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        before, begin = _memory("VmRSS"), common.CLOCKS[clock]()
        corpus = build(ParquetReader(path), None, Path(work) / "corpus")
        seconds = common.CLOCKS[clock]() - begin
        own = sum(file.stat().st_size for file in (Path(work) / "corpus").iterdir()) / 2**20
        return {
            "seconds": seconds,
            "beyond_mb": _memory("VmHWM") - before - own,
            "own_mb": own,
            "items": len(corpus.items),
        }


def _memory(name: str) -> float:
    """MB of this process, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--one", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(one(Path(given.one), given.clock)))
        return
    common.start(given)
    sizes = QUICK if given.quick else WHOLE
    with tempfile.TemporaryDirectory(prefix="segue-parquet-") as work:
        check = same_as_csv(Path(work) / "small")
        begin = time.perf_counter()
        write(Synthetic(*sizes), Path(work))
        print(f"written in {time.perf_counter() - begin:.0f} s", flush=True)
        runs: dict[str, list[dict[str, Any]]] = {form: [] for form in FORMS}
        for _ in range(REPETITIONS):
            for form in FORMS:
                command = [
                    sys.executable,
                    __file__,
                    "--one",
                    str(Path(work) / f"{form}.parquet"),
                    "--clock",
                    given.clock,
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
                runs[form].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"  {form:>8}: {runs[form][-1]}", flush=True)
    medians = {form: statistics.median(run["seconds"] for run in found) for form, found in runs.items()}
    common.report(
        "parquet",
        given,
        ours=[run["seconds"] for run in runs["numbers"]],
        peer=None,
        check=check,
        unit=f"seconds for {sizes[2]:,} rows of whole-number ids",
        million_rows_a_second={form: round(sizes[2] / seconds / 1e6, 2) for form, seconds in medians.items()},
        seconds={form: round(seconds, 2) for form, seconds in medians.items()},
        bar_seconds=sizes[2] / BAR,
        beyond_mb={form: round(max(run["beyond_mb"] for run in found), 1) for form, found in runs.items()},
        bar_beyond_mb=200,
    )


if __name__ == "__main__":
    main()

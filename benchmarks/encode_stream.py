"""Memory and time of encoding many texts and covers, and of reading them back from the cache.

    python benchmarks/encode_stream.py [--quick] [--texts N] [--covers N]

Each kind is encoded twice as many times over in a process of its own: a tenth of the inputs, then all of them, through
`toolkit.encoders.contract.encode`. Covers are made when they are asked for, as a catalogue's are read. Printed: peak
memory of both, what an input more costs, seconds, and seconds of the second run, which reads the cache (bar: 1 s at the
size of the tenth).
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np

WORDS = 20_000


class Covers(Sequence[bytes]):
    """Pictures of 64 x 64, each another one, made on demand."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: Any) -> bytes:
        from PIL import Image

        fields = np.random.default_rng(int(place)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(fields).resize((64, 64)).save(out, "JPEG", quality=80)
        return out.getvalue()


def texts(count: int) -> list[str]:
    words = np.random.default_rng(0).zipf(1.3, (count, 6)) % WORDS
    return [f"{number} " + " ".join(f"w{word}" for word in row) for number, row in enumerate(words)]


def one(kind: str, count: int) -> dict[str, float]:
    """One encoding in this process: peak memory in MB, seconds, seconds from the cache."""
    from toolkit.encoders.contract import registry
    from toolkit.encoders.contract.encode import FitOn, encode
    from toolkit.encoders.contract.field_values import FieldValues

    given: Any = texts(count) if kind == "texts" else Covers(count)
    params = (
        {"dim": 64} if kind == "texts" else {"epochs": 1, "size": 64, "patch": 8, "channels": [16, 16], "latent": 64}
    )
    name = "tfidf" if kind == "texts" else "image-ae"
    ids, present = [f"local:{place}" for place in range(count)], np.ones(count, bool)
    learn = np.arange(count) < 2_000
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        before = _peak()
        for _ in range(2):
            begin = time.perf_counter()
            encoder, values = registry.create(name, params, device="cpu"), FieldValues(kind, ids, present, given)
            made = encode(encoder, values, cache=Path(folder), fit_on=FitOn(tracks=learn))
            seconds.append(time.perf_counter() - begin)
        assert made.matrix.shape == (count + 1, 64)
    return {
        "before_mb": before,
        "peak_mb": _peak(),
        "seconds": seconds[0],
        "cached": seconds[1],
        "output_mb": made.matrix.nbytes / 1e6,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--texts", type=int, help="default: 1,000,000, with --quick 50,000")
    options.add_argument("--covers", type=int, help="default: 100,000, with --quick 3,000")
    options.add_argument("--one", nargs=2, metavar=("KIND", "N"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], int(given.one[1]))))
        return
    common.start(given)
    counts = {
        "texts": given.texts or (50_000 if given.quick else 1_000_000),
        "covers": given.covers or (3_000 if given.quick else 100_000),
    }
    rows = {}
    for kind, count in counts.items():
        for part in (count // 10, count):
            done = subprocess.run(
                [sys.executable, __file__, "--one", kind, str(part)],
                capture_output=True,
                text=True,
                check=True,
                timeout=7200,
            )
            rows[f"{kind}-{part}"] = found = json.loads(done.stdout.splitlines()[-1])
            print(kind, part, {name: round(value, 1) for name, value in found.items()}, flush=True)
    grown = {kind: _grown(rows, kind, count) for kind, count in counts.items()}
    common.report(
        "encode_stream",
        given,
        ours=[rows[f"texts-{counts['texts']}"]["seconds"]],
        peer=None,
        check="memory an input more, its output of 256 bytes included: "
        + ", ".join(f"{kind} {value:.0f} bytes" for kind, value in grown.items()),
        unit=f"seconds for {counts['texts']:,} texts by tfidf",
        rows=rows,
    )


def _grown(rows: dict[str, dict[str, float]], kind: str, count: int) -> float:
    """Bytes of peak memory for each input more."""
    less, more = rows[f"{kind}-{count // 10}"], rows[f"{kind}-{count}"]
    return (more["peak_mb"] - less["peak_mb"]) * 2**20 / (count - count // 10)


if __name__ == "__main__":
    main()

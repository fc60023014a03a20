"""RecTools' side of `rectools_sasrec.py`, in its own environment: trains its SASRec, recommends, writes the lists.

    PYTHON benchmarks/rectools_peer.py PLAYLISTS.npz LISTS.npy SETTINGS SEED CLOCK THREADS

PLAYLISTS: `items`, `offsets` (training playlists) and `seeds`, `seed_offsets` (what is shown of each when asked);
LISTS: int64 [n, 10], best first, 0 for nothing. SETTINGS: of `SASRecModel`, as JSON. Needs nothing of this toolkit;
prints one JSON line last.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def dataset(items: np.ndarray, offsets: np.ndarray) -> Dataset:
    """RecTools orders a user's interactions by their time: here the place in the playlist, in seconds."""
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    places = np.arange(len(items)) - offsets[users]
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(places, unit="s")
    columns = {Columns.User: users, Columns.Item: items, Columns.Weight: 1.0, Columns.Datetime: times}
    return Dataset.construct(pd.DataFrame(columns))


def peak_mb() -> int:
    """Largest resident size in MB of 10^6 bytes; `getrusage` would count that of the process which started this one."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) * 1024 / 1e6)


def main(playlists: str, lists: str, settings: str, seed: int, clock: str, threads: int) -> None:
    torch.set_num_threads(threads)
    pytorch_lightning.seed_everything(seed)
    now, data = CLOCKS[clock], np.load(playlists)
    train, asked = dataset(data["items"], data["offsets"]), dataset(data["seeds"], data["seed_offsets"])
    count = len(data["seed_offsets"]) - 1
    model = SASRecModel(**json.loads(settings), recommend_torch_device="cpu")
    begin = now()
    model.fit(train)
    about = {"seconds": now() - begin, "peak_mb": peak_mb()}
    found = model.recommend(np.arange(count), asked, k=10, filter_viewed=True, on_unsupported_targets="ignore")
    top = np.zeros((count, 10), np.int64)
    top[found[Columns.User], found[Columns.Rank] - 1] = found[Columns.Item]
    np.save(lists, top)
    print(
        json.dumps(
            about | {"versions": {name: version(name) for name in ("rectools", "torch", "numpy", "pytorch-lightning")}}
        )
    )


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    warnings.filterwarnings("ignore")
    main(*sys.argv[1:4], int(sys.argv[4]), sys.argv[5], int(sys.argv[6]))

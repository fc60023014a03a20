"""Load and split: our corpus against RecBole's create_dataset and data_preparation, on the same playlists.

    python benchmarks/load.py --quick

Both begin with what lies on disk (RecBole: its text file, ours: the arrays) and end with everything that a first batch
of training, validation and test needs. Bytes are those that stay in memory for the splits. Check: every playlist's
validation and test track are the same, and so is the number of training targets. The last line is JSON.
"""

from __future__ import annotations

import common  # isort: skip

import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from synthetic import Synthetic
from synthetic_files import write_arrays

from toolkit.catalogue.readers.recbole_atomic import write_atomic
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import leave_last_out
from toolkit.sequential.recbole import bridge
from toolkit.sequential.training.batches import windows

MAX_LENGTH = 50
SIZES = {True: (1_500, 20_000, 100_000), False: (14_000, 160_000, 930_000)}
"""Playlists, tracks, placements of the quick and of the whole race; RecBole takes 18 s a run of the whole."""


@dataclass(frozen=True)
class Loaded:
    """valid, test: the hidden track of each playlist, in the file's order. targets: training rows. bytes: what is
    held."""

    valid: np.ndarray
    test: np.ndarray
    targets: int
    bytes: int


def ours(directory: Path) -> Loaded:
    corpus = Corpus.load(directory)
    split = leave_last_out(corpus)
    _, offsets = split.train.flat()
    cut = windows(offsets, MAX_LENGTH)
    for part in (split.valid, split.test):
        part.queries()
    # what is mapped, and what says which spans are whose; batches and queries are made anew for each epoch and
    # evaluation
    held = [corpus.items, corpus.offsets, *(getattr(split.train, name) for name in ("rows", "starts", "ends"))]
    held += [array for part in (split.valid, split.test) for array in (part.starts, part.cuts, part.ends)]
    size = sum(array.nbytes for array in {id(array): array for array in held}.values())
    targets = int((cut.lengths - 1 - cut.scored).sum())
    return Loaded(corpus.items[split.valid.cuts], corpus.items[split.test.cuts], targets, size)


def recbole(directory: Path) -> Loaded:
    """Stock: its own file reader, its own augmentation, its own leave-one-out split, its own loaders."""
    from recbole.data import create_dataset, data_preparation

    # its code writes to copies that pandas 3 does not carry over; the files hold no blanks, so nothing is lost
    warnings.simplefilter("ignore")
    settings = {
        "USER_ID_FIELD": "playlist_id",
        "ITEM_ID_FIELD": "track_id",
        "TIME_FIELD": "position",
        "load_col": {"inter": ["playlist_id", "track_id", "position"]},
        "MAX_ITEM_LIST_LENGTH": MAX_LENGTH,
    }
    config = bridge.config("SASRec", settings=settings)
    config["data_path"] = str(directory / bridge.DATASET)
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    parts = [loader._dataset for loader in loaders]
    size = sum(_bytes(part.inter_feat) for part in parts)
    valid, test = (_targets(part) for part in parts[1:])
    return Loaded(valid, test, len(parts[0]), size)


def _bytes(interaction: Any) -> int:
    return sum(
        tensor.element_size() * tensor.nelement()
        for tensor in interaction.interaction.values()
        if isinstance(tensor, torch.Tensor)
    )


def _targets(part: Any) -> np.ndarray:
    """The track asked for of each playlist, as our item id: tokens are made of it."""
    order = np.argsort(
        np.array([int(name) for name in part.id2token("playlist_id", part.inter_feat["playlist_id"].numpy())])
    )
    tracks = part.id2token("track_id", part.inter_feat["track_id"].numpy())
    return np.array([int(name) for name in tracks])[order]


def write_both(folder: Path, sizes: tuple[int, int, int]) -> None:
    write_arrays(Synthetic(*sizes), folder / "arrays")
    corpus = Corpus.load(folder / "arrays")
    # numbers for names, so that the sides can be compared
    tracks = corpus.tracks.set_column(0, "id", [[str(item) for item in range(1, corpus.n_items + 1)]])
    playlists = corpus.playlists.set_column(0, "id", [[str(row) for row in range(len(corpus))]])
    write_atomic(Corpus(corpus.items, corpus.offsets, tracks, playlists), folder, bridge.DATASET)


def main() -> None:
    given = common.parser(__doc__).parse_args()
    common.start(given)
    logging.disable(logging.INFO)
    sizes = SIZES[given.quick]
    with tempfile.TemporaryDirectory(prefix="segue-load-") as work:
        write_both(Path(work), sizes)
        a, b = ours(Path(work) / "arrays"), recbole(Path(work))
        same = (a.valid == b.valid) & (a.test == b.test)
        if not same.all() or a.targets != b.targets:
            raise SystemExit(
                f"the splits differ: {int(same.sum())} of {len(same)} playlists are the same, "
                f"{a.targets} and {b.targets} training targets"
            )
        sides = {"ours": lambda: ours(Path(work) / "arrays"), "RecBole": lambda: recbole(Path(work))}
        seconds = common.alternate(sides, repetitions=3 if given.quick else 5, warm=False, clock=given.clock)
    placements = sizes[2]
    common.report(
        "load",
        given,
        ours=seconds["ours"],
        peer=seconds["RecBole"],
        check=f"same validation and test track for {len(same):,} of {len(same):,} playlists, "
        f"same {a.targets:,} training targets",
        bar=100,
        bytes_a_placement={
            "ours": round(a.bytes / placements, 2),
            "peer": round(b.bytes / placements, 1),
            "ratio": round(b.bytes / a.bytes, 1),
            "bar": 100,
        },
        placements=placements,
    )


if __name__ == "__main__":
    main()

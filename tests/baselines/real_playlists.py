"""Real playlists as corpora in memory, read directly from the files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split, playlist_disjoint


def spa(shared_data: Path) -> Split:
    """Return playlists-spa with its own split, for test playlists of at least 10 tracks with the first 70 % shown."""
    folder = shared_data / "playlists-spa"
    known = pd.read_csv(folder / "tracks.csv.gz", usecols=["track_id"])["track_id"]
    item_of = {track: item for item, track in enumerate(known, start=1)}
    with gzip.open(folder / "playlists.jsonl.gz", "rt", encoding="utf-8") as file:
        lists = [json.loads(line) for line in file]
    items = [[item_of[track] for track in each["tracks"]] for each in lists]
    about = {"id": [str(each["list_id"]) for each in lists], "title": [each["name"] for each in lists]}
    about |= {"group": [str(each["playlist_id"]) for each in lists], "split": [each["split"] for each in lists]}
    return playlist_disjoint(_corpus(items, list(known), pa.table(about)), shown=0.7, min_tracks=10, by="column")


def spa_labels(shared_data: Path) -> dict[str, sp.csr_matrix]:
    """Return artists and genres of the tracks of playlists-spa, by item: float32 [V + 1, L]."""
    tracks = pd.read_csv(
        shared_data / "playlists-spa" / "tracks.csv.gz", usecols=["artists", "artist_genres"], dtype=str
    ).fillna("")
    return {
        "artist": _matrix(tracks["artists"].str.split("; ")),
        "genre": _matrix(tracks["artist_genres"].str.split("|")),
    }


def _matrix(names: pd.Series) -> sp.csr_matrix:
    """Return the matrix of items (row + 1) and distinct non-empty names."""
    pairs = names.explode().loc[lambda one: one != ""].rename("name").reset_index().drop_duplicates()
    codes, known = pd.factorize(pairs["name"])
    return sp.csr_matrix((np.ones(len(codes), np.float32), (pairs["index"] + 1, codes)), (len(names) + 1, len(known)))


def mpd5k(shared_data: Path) -> Split:
    """Return playlists-mpd5k with every fifth playlist by hash in the test and all others in training."""
    plays = pd.read_csv(shared_data / "playlists-mpd5k" / "playlists.csv.gz").sort_values(["playlist_id", "pos"])
    codes, known = pd.factorize(plays["track_id"])
    lists = [(number, codes[index] + 1) for number, index in plays.groupby("playlist_id").indices.items()]
    label = ["test" if number * 2654435761 % 2**32 % 5 == 0 else "train" for number, _ in lists]
    names = [str(number) for number, _ in lists]
    table = pa.table(
        {
            "id": names,
            "title": pa.nulls(len(lists), pa.string()),
            "group": pa.nulls(len(lists), pa.string()),
            "split": label,
        }
    )
    corpus = _corpus([tracks for _, tracks in lists], [str(track) for track in known], table)
    test = [
        row
        for row, (part, (_, tracks)) in enumerate(zip(label, lists, strict=True))
        if part == "test" and len(tracks) >= 10
    ]
    train = np.flatnonzero(np.array(label) == "train")
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    cuts = starts + (ends - starts) * 7 // 10
    nobody = np.array([], np.int64)
    parts = [HeldOut(corpus, rows, starts[rows], cuts[rows], ends[rows]) for rows in (nobody, np.array(test))]
    return Split(PlaylistSet(corpus, train, starts[train], ends[train]), *parts)


def _corpus(lists: list[list[int]], tracks: list[str], playlists: pa.Table) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return Corpus(np.concatenate(lists).astype(np.int32), offsets, pa.table({"id": tracks}), playlists)

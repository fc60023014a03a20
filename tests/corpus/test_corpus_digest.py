"""Tests that the corpus digest does not depend on the data format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.readers.jsonl import JsonlReader
from toolkit.catalogue.readers.parquet import ParquetParams, ParquetReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.arrow_tables import ArrowParams, ArrowReader
from toolkit.catalogue.readers.tables.dataframes import table_of
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.recipe import Filters

SMALL = pd.DataFrame(
    {
        "playlist_id": ["m", "m", "m", "e", "e", "s", "s"],
        "track_id": ["a", "b", "isrc:GBAAA0000001", "b", "c", "a", "a"],
        "playlist_title": ["Morning"] * 3 + [None] * 2 + ["Spät"] * 2,
        "title": ["Ay", "Bee", None, "Bee", "See", "Ay", "Ay"],
        "artist": ["Ann", "Bo; Cy", "Dé", "Bo; Cy", None, "Ann", "Ann"],
        "album": ["First", None, None, None, "Last", "First", "First"],
    }
)
NAMES = ["title", "artist", "album"]


def json_lines(frame: pd.DataFrame, path: Path, **more: str) -> None:
    names = [name for name in NAMES if name in frame]
    lines = []
    for playlist, rows in frame.groupby("playlist_id", sort=False):
        cells = rows.astype(object).where(rows.notna(), None).to_dict("records")
        tracks = [
            {"id": row["track_id"], **{name: row[name] for name in names}} if names else row["track_id"]
            for row in cells
        ]
        lines.append({"id": playlist, "title": cells[0].get("playlist_title"), "tracks": tracks})
    path.write_text("".join(json.dumps(line, default=str) + "\n" for line in lines))


def whole_lists(frame: pd.DataFrame) -> pa.Table:
    grouped = [rows for _, rows in frame.groupby("playlist_id", sort=False)]
    once = [name for name in ("playlist_id", "playlist_title") if name in frame]
    columns = {
        name: [rows[name].astype(object).where(rows[name].notna(), None).iloc[0] for rows in grouped] for name in once
    }
    each = [name for name in ("track_id", *NAMES) if name in frame]
    columns |= {
        name: [rows[name].astype(object).where(rows[name].notna(), None).tolist() for rows in grouped] for name in each
    }
    return pa.table(columns)


def readers(frame: pd.DataFrame, folder: Path) -> dict[str, Reader]:
    """Return readers of the same playlists in every format."""
    frame.to_csv(folder / "lists.csv", index=False)
    json_lines(frame, folder / "lists.jsonl")
    frame.to_parquet(folder / "lists.parquet", row_group_size=max(3, len(frame) // 7))
    pq.write_table(whole_lists(frame), folder / "whole.parquet", row_group_size=2)
    return {
        "csv": CsvReader(folder / "lists.csv"),
        "jsonl": JsonlReader(folder / "lists.jsonl"),
        "parquet": ParquetReader(folder / "lists.parquet"),
        "parquet lists": ParquetReader(folder / "whole.parquet"),
        "pandas": ArrowReader(table_of(frame)),
        "polars": ArrowReader(table_of(polars.from_pandas(frame))),
        "hugging face": ArrowReader(table_of(datasets.Dataset.from_pandas(frame))),
    }


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("catalogued", [True, False])
def test_corpus_digest_is_the_same_for_every_format(described: bool, catalogued: bool, tmp_path: Path) -> None:
    frame = SMALL if described else SMALL.drop(columns=NAMES)
    digests = {}
    for name, reader in readers(frame, tmp_path).items():
        with Catalogue.open(tmp_path / f"{name}.db") as catalogue:
            digests[name] = build(
                reader, catalogue if catalogued else None, tmp_path / name, filters=Filters(repeats="keep")
            ).digest()

    assert digests == dict.fromkeys(digests, digests["csv"])


@pytest.mark.data
@pytest.mark.parametrize("described", [True, False])
def test_corpus_digest_of_mpd5k_is_the_same_for_every_format(
    shared_data: Path, described: bool, tmp_path: Path
) -> None:
    folder = shared_data / "playlists-mpd5k"
    frame = pd.read_csv(folder / "playlists.csv.gz")
    if described:
        tracks = pd.read_csv(folder / "tracks.csv.gz").set_index("track_id")
        frame["title"] = "Song " + frame["track_id"].astype(str)
        frame["artist"] = tracks["artist_id"].reindex(frame["track_id"]).astype("Int64").astype("string").to_numpy()
        frame["album"] = None
    digests = {name: build(reader, None, tmp_path / name).digest() for name, reader in readers(frame, tmp_path).items()}

    assert digests == dict.fromkeys(digests, digests["csv"])


@pytest.mark.data
def test_corpus_digest_of_mpd5k_with_a_track_table_is_the_same_for_every_format(
    shared_data: Path, tmp_path: Path
) -> None:
    folder, side = shared_data / "playlists-mpd5k", {"track": "track_id", "artist": "artist_id"}
    frame, tracks = pd.read_csv(folder / "playlists.csv.gz"), pd.read_csv(folder / "tracks.csv.gz")
    frame.to_parquet(tmp_path / "lists.parquet")
    tracks.to_parquet(tmp_path / "tracks.parquet")
    made: list[Callable[[], Reader]] = [
        lambda: CsvReader(folder / "playlists.csv.gz", CsvParams(tracks={"file": "tracks.csv.gz", **side})),
        lambda: ParquetReader(tmp_path / "lists.parquet", ParquetParams(tracks={"file": "tracks.parquet", **side})),
        lambda: ArrowReader(table_of(frame), table_of(tracks), ArrowParams(artist="artist_id")),
        lambda: ArrowReader(
            table_of(polars.from_pandas(frame)), table_of(polars.from_pandas(tracks)), ArrowParams(tracks=side)
        ),
    ]

    assert len({build(make(), None, tmp_path / "corpus").digest() for make in made}) == 1


def test_corpus_digest_ignores_row_order(tmp_path: Path) -> None:
    frame = SMALL.assign(pos=range(len(SMALL)), added=range(10**9, 10**9 + len(SMALL))).sample(frac=1, random_state=3)
    frame.to_csv(tmp_path / "lists.csv", index=False)
    frame.to_parquet(tmp_path / "lists.parquet", row_group_size=2)
    csv = CsvReader(tmp_path / "lists.csv", CsvParams(time="added"))
    parquet = ParquetReader(tmp_path / "lists.parquet", ParquetParams(time="added"))

    assert build(csv, None, tmp_path / "a").digest() == build(parquet, None, tmp_path / "b").digest()


def test_corpus_digest_depends_on_all_arrays_but_not_on_chunks(tmp_path: Path) -> None:
    frame = SMALL.assign(added=range(10**9, 10**9 + len(SMALL)))
    corpus = build(ArrowReader(table_of(frame), None, ArrowParams(time="added")), None, tmp_path / "corpus")
    assert corpus.times is not None
    items = np.array(corpus.items)
    items[[0, 1]] = items[[1, 0]]
    shorter = np.array(corpus.offsets)
    shorter[1] -= 1
    changed = [
        replace(corpus, items=items),
        replace(corpus, offsets=shorter),
        replace(corpus, times=np.array(corpus.times) + 1),
        replace(corpus, times=None),
        replace(corpus, plays=np.ones(len(items), np.float32)),
        replace(corpus, tracks=corpus.tracks.set_column(1, "title", [["Ay", "Be", None, "See"]])),
        replace(corpus, playlists=corpus.playlists.set_column(2, "group", [[None, "g"]])),
    ]

    assert len({corpus.digest(), *(each.digest() for each in changed)}) == len(changed) + 1
    cut = pa.concat_tables([corpus.tracks.slice(0, 1), corpus.tracks.slice(1)])
    assert replace(corpus, tracks=cut).digest() == corpus.digest() == Corpus.load(tmp_path / "corpus").digest()

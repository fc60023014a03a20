"""Tests that columns and records give identical corpus files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables.arrow_tables import ArrowReader
from toolkit.catalogue.readers.tables.record_blocks import Block, Placements, Playlists, Tracks, records
from toolkit.corpus import column_indexer, placement_spool
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.placement_spool import PlacementSpool, counting_order
from toolkit.errors import DataError, InputError
from toolkit.recipe import Filters


class Blocks(Reader):
    """Reader that returns the same rows as column blocks or as records."""

    name = "blocks"
    needs_path = False

    def __init__(self, blocks: list[Block], *, columns: bool, on_error: str = "stop") -> None:
        super().__init__(Path("blocks"), on_error=on_error)  # type: ignore[arg-type]
        self.all, self.columns = blocks, columns

    def read(self) -> Iterator:
        return records(self.all)

    def blocks(self) -> Iterator[Block] | None:
        return iter(self.all) if self.columns else None

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False


def texts(values: list, draw: random.Random) -> pa.Array:
    """Return a text column, sometimes dictionary-encoded with unsorted and unused values."""
    if draw.random() < 0.5 or None in values:
        return pa.array(values, pa.string())
    each = [*dict.fromkeys(values), "unused"]
    draw.shuffle(each)
    return pa.DictionaryArray.from_arrays(pa.array([each.index(value) for value in values], pa.int32()), pa.array(each))


def any_blocks(draw: random.Random, *, adjacent: bool) -> list[Block]:
    n, lists, kinds = draw.randrange(1, 120), draw.randrange(1, 12), draw.randrange(1, 40)
    split = {each: draw.choice([None, None, "train", "test", "dev"]) for each in range(lists)}
    owners = [draw.randrange(lists) for _ in range(n)]
    owners = sorted(owners) if adjacent else owners
    tracks = [f"local:{'x' * draw.choice([0, 60])}{draw.randrange(kinds)}" for _ in range(n)]
    position = draw.choice([None, lambda: draw.randrange(4), lambda: draw.random(), lambda: draw.randrange(2**40)])
    timed = draw.random() < 0.5
    fields = draw.choice([(), ("mood",), ("mood", "owner")])
    blocks: list[Block] = []
    if draw.random() < 0.5:
        side = [f"local:{draw.randrange(2 * kinds)}" for _ in range(draw.randrange(1, 30))]
        blocks.append(
            Tracks(
                *(
                    pa.array(each, pa.string())
                    for each in (side, [f"T{draw.random()}" for _ in side], [None] * len(side), side)
                )
            )
        )
    described = draw.random() < 0.5
    cuts = sorted({0, n, *(draw.randrange(n + 1) for _ in range(4))})
    for start, stop in pairwise(cuts):
        held = tracks[start:stop]
        if described:
            names = [draw.choice([None, f"N{track}{draw.random()}"]) for track in held]
            blocks.append(
                Tracks(
                    texts(held, draw).cast(pa.string()),
                    pa.array(names, pa.string()),
                    pa.array(names, pa.string()),
                    pa.nulls(len(held), pa.string()),
                    1,
                )
            )
        blocks.append(
            Placements(
                texts([f"p{owner}" for owner in owners[start:stop]], draw),
                texts(held, draw),
                None if position is None else np.array([position() for _ in held], np.float64),
                np.array([draw.randrange(10**9) for _ in held]) if timed else None,
                pa.array([draw.choice(["a", "b", None]) for _ in held], pa.string()),
                split=pa.array([split[owner] for owner in owners[start:stop]], pa.string()),
                fields={name: pa.array([draw.choice(["x", "y", None]) for _ in held], pa.string()) for name in fields},
            )
        )
    return blocks


def whole(draw: random.Random) -> list[Block]:
    blocks: list[Block] = []
    fields = draw.choice([(), ("mood",), ("mood", "owner")])
    for _ in range(draw.randrange(1, 4)):
        lengths = [draw.randrange(6) for _ in range(draw.randrange(1, 6))]
        held = [f"local:{draw.randrange(12)}" for _ in range(sum(lengths))]
        ids = pa.array([f"p{draw.randrange(8)}" for _ in lengths])
        blocks.append(
            Playlists(
                ids,
                np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                texts(held, draw) if held else pa.array([], pa.string()),
                time=np.array([draw.randrange(10**9) for _ in lengths]),
                split=pa.array([draw.choice([None, "train", "dev"]) for _ in lengths], pa.string()),
                fields={name: pa.array([draw.choice(["x", None]) for _ in lengths], pa.string()) for name in fields},
            )
        )
    return blocks


FILTERS = [
    Filters(min_playlist_length=1),
    Filters(repeats="keep", min_playlist_length=1),
    Filters(),
    Filters(min_track_plays=2, unplayed="drop", min_playlist_length=1),
]


def same(blocks: list[Block], folder: Path, filters: Filters) -> None:
    """Assert that columns and records give identical files, errors and skipped records."""
    found = []
    for columns in (False, True):
        reader = Blocks(blocks, columns=columns, on_error="skip")
        try:
            corpus = build(reader, None, folder / str(columns), filters=filters)
            assert corpus.path is not None
            files = {path.name: path.read_bytes() for path in corpus.path.iterdir() if path.suffix == ".npy"}
            found.append(
                (
                    files,
                    corpus.tracks.to_pydict(),
                    corpus.playlists.to_pydict(),
                    corpus.digest(),
                    sorted(reader.skipped.examples),
                )
            )
        except (InputError, DataError) as error:
            found.append((str(error),))  # type: ignore[arg-type]
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", range(120))
def test_blocks_of_rows_give_the_same_corpus_as_records(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(placement_spool, "BLOCK", draw.choice([1, 7, 1000]))
    monkeypatch.setattr(column_indexer, "AT_ONCE", draw.choice([1, 9, 1000]))
    blocks = any_blocks(draw, adjacent=draw.random() < 0.4)
    if draw.random() < 0.3:  # rows of a playlist together and their positions as they come, but for the end
        blocks.append(
            Placements(
                pa.array(["p0"]),
                pa.array(["local:0"]),
                *(None if each is None else each[:1] for each in (blocks[-1].position, blocks[-1].time)),
                fields={name: column[:1] for name, column in blocks[-1].fields.items()},
            )
        )  # type: ignore[union-attr]

    same(blocks, tmp_path, FILTERS[seed % len(FILTERS)])


@pytest.mark.parametrize("seed", range(40))
def test_blocks_of_playlists_give_the_same_corpus_as_records(seed: int, tmp_path: Path) -> None:
    same(whole(random.Random(seed)), tmp_path, FILTERS[seed % len(FILTERS)])


def test_temporary_files_are_removed(tmp_path: Path) -> None:
    table = pa.table({"playlist_id": ["a", "b", "a", "b"], "track_id": [1, 2, 3, 4], "pos": [1, 1, 2, 2]})
    build(ArrowReader(table), None, tmp_path / "corpus")

    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_column_indexer_progress_counts_rows(tmp_path: Path) -> None:
    table, seen = pa.table({"playlist_id": ["a"] * 5, "track_id": [1, 2, 3, 4, 5]}), list[int]()
    build(ArrowReader(table), None, tmp_path / "corpus", progress=seen.append)

    assert seen == [5]


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_bad_row_in_a_block_raises_or_is_skipped_and_counted(on_error: str, tmp_path: Path) -> None:
    table = pa.table({"playlist_id": ["a", "a", "a"], "track_id": [1, None, 3]})
    reader = ArrowReader(table, on_error=on_error)  # type: ignore[arg-type]
    if on_error == "stop":
        with pytest.raises(DataError, match=r"placements, row 1: must have a value for track_id"):
            build(reader, None, tmp_path / "corpus")
        assert not any(tmp_path.iterdir())
    else:
        assert build(reader, None, tmp_path / "corpus").tracks["id"].to_pylist() == ["local:1", "local:3"]
        assert reader.skipped.count == 1


@pytest.mark.parametrize("n", [1, 3, 50])
def test_counting_order_equals_a_stable_sort(n: int) -> None:
    keys = np.random.default_rng(n).integers(0, n, 1000)

    assert counting_order(keys, n).tolist() == np.argsort(keys, kind="stable").tolist()
    assert counting_order(keys[:0], n).tolist() == []


def test_integer_positions_keep_their_order_after_fractional_positions(tmp_path: Path) -> None:
    spool = PlacementSpool(tmp_path)
    spool.add(np.array([0, 1], np.int32), np.array([1, 2], np.int32), np.array([2.0, 5.0]), None)
    spool.add(np.array([0, 1], np.int32), np.array([3, 4], np.int32), np.array([1.5, 2.0**40]), None)

    stretches = list(spool.stretches())

    assert [stretch.tracks.tolist() for stretch in stretches] == [[3, 1, 2, 4]]
    assert not any(tmp_path.iterdir())


def test_corpus_rebuilt_from_corpus_columns_is_identical(tmp_path: Path) -> None:
    table = pa.table({"playlist_id": ["a", "b", "a"], "track_id": ["x", "y", "z"], "title": ["X", None, "Z"]})
    built = build(ArrowReader(table), None, tmp_path / "corpus")

    assert Corpus.load(tmp_path / "corpus").digest() == built.digest()
    assert built.items.tolist() == [1, 3]
    assert built.tracks["title"].to_pylist() == ["X", None, "Z"]

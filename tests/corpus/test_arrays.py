from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus.arrays import Corpus
from toolkit.errors import DataError


def corpus(group: list[str | None]) -> Corpus:
    tracks = pa.table(
        {
            "id": ["t:a", "t:b"],
            "title": ["A", None],
            "artist": pa.nulls(2, pa.string()),
            "album": pa.nulls(2, pa.string()),
        }
    )
    n = len(group)
    lists = pa.table(
        {
            "id": [f"p{i}" for i in range(n)],
            "title": [f"P{i}" for i in range(n)],
            "group": pa.array(group, pa.string()),
            "split": pa.nulls(n, pa.string()),
        }
    )
    return Corpus(np.array([1, 2] * n, np.int32), np.arange(0, 2 * n + 1, 2, dtype=np.int64), tracks, lists)


def test_saved_corpus_loads_unchanged(tmp_path: Path) -> None:
    before = corpus(["g", None, "g"])
    before.save(tmp_path / "c")
    after = Corpus.load(tmp_path / "c")

    assert after.items.tolist() == before.items.tolist()
    assert after.offsets.tolist() == before.offsets.tolist()
    assert after.tracks.equals(before.tracks)
    assert after.playlists.equals(before.playlists)
    assert after.item_of == {"t:a": 1, "t:b": 2}
    assert isinstance(after.items, np.memmap)
    assert after.titles(np.array([2, 0])) == ["P2", "P0"]


@pytest.mark.parametrize(
    ("group", "numbers"), [(["g", None, "g", "p1"], [0, 1, 0, 2]), ([None, None], [0, 1]), (["x", "x"], [0, 0])]
)
def test_playlists_of_a_group_share_a_group_number(group: list[str | None], numbers: list[int]) -> None:
    assert corpus(group).groups.tolist() == numbers


def test_spellings_of_the_same_artists_share_a_number() -> None:
    names = ["DMA’s", None, "Beyoncé feat. JAY-Z", "DMA's", "beyonce, Jay‐Z", "Beyoncé", " ", "!!!"]
    made = replace(corpus([None]), tracks=pa.table({"id": list("abcdefgh"), "artist": pa.array(names, pa.string())}))
    assert made.artists.tolist() == [-1, 0, -1, 1, 0, 1, 2, -1, 3]


def test_recordings_are_decided_by_names_unless_they_are_set() -> None:
    names = {"title": ["Song", "song!", "Song"], "artist": ["A", "A", "B"], "album": [None, "X", None]}
    tracks = pa.table({"id": list("abc"), **{name: pa.array(texts, pa.string()) for name, texts in names.items()}})
    made = replace(corpus([None]), tracks=tracks)
    assert made.recordings.tolist() == [0, 1, 1, 3]
    assert made.with_own_recordings().recordings.tolist() == [0, 1, 2, 3]
    assert replace(made, tracks=tracks.select(["id"])).recordings.tolist() == [0, 1, 2, 3]


def test_missing_or_damaged_corpus_file_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a readable corpus"):
        Corpus.load(tmp_path / "nowhere")
    corpus([None, None]).save(tmp_path / "c")
    np.save(tmp_path / "c" / "items.npy", np.array([1], np.int32))
    with pytest.raises(DataError, match="c must have arrays of .*'placements': 4.*delete the folder"):
        Corpus.load(tmp_path / "c")

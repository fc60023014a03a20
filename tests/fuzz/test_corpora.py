"""Damaged corpora and caches: one clear line, or a rebuilt cache with the right content. Never other numbers."""

from __future__ import annotations

import json
import random
import shutil
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import segue
from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.ingest.read_data import Ingested, ingest
from toolkit.progress import Reporter
from toolkit.recipe import Data

pytestmark = pytest.mark.fuzz

DEMO = {"tracks": 200, "artists": 30, "playlists": 100, "fields": ["lyrics"]}


def corpus() -> Corpus:
    """Return a corpus with all files: plays, times and a field of playlists."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(2, 9, 50)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    count, names = int(offsets[-1]), pa.array([f"n{place}" for place in range(50)])
    tracks = {"id": pa.array([f"local:t{place}" for place in range(80)])}
    tracks |= {name: pa.array([f"{name} {place}" for place in range(80)]) for name in ("title", "artist", "album")}
    lists = dict.fromkeys(("id", "title", "group", "field:mood"), names) | {"split": pa.nulls(50, pa.string())}
    return Corpus(
        draw.integers(1, 81, count).astype(np.int32),
        offsets,
        pa.table(tracks),
        pa.table(lists),
        plays=draw.integers(1, 5, count).astype(np.float32),
        times=draw.integers(0, 10**9, count),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sign(folder: Path) -> None:
    """Write the checksums of the files that are there, as somebody would who made the files."""
    try:
        about = json.loads((folder / "corpus.json").read_text())
        about["crc32"] = {name: zlib.crc32((folder / name).read_bytes()) for name in about["crc32"]}
    except (ValueError, TypeError, KeyError, OSError):
        return
    (folder / "corpus.json").write_text(json.dumps(about))


def use(made: Corpus) -> None:
    """Read everything that a corpus has."""
    made.digest()
    made.recordings.sum()
    made.groups.sum()
    made.artists.sum()
    np.bincount(made.items, minlength=made.n_items + 1)
    for first, last, low, high in made.blocks(50):
        made.placement_times(first, last)
        assert 0 <= low <= high <= len(made.items)


def test_damaged_corpus_is_refused_and_never_other_numbers(tmp_path: Path, tries: Callable[[int], int]) -> None:
    whole = corpus()
    whole.save(tmp_path / "whole")
    samples, right = contents(tmp_path / "whole"), whole.digest()

    def act(given: tuple[str, bytes]) -> None:
        name, data = given
        shutil.copytree(tmp_path / "whole", tmp_path / "damaged", dirs_exist_ok=True)
        (tmp_path / "damaged" / name).write_bytes(data)
        assert Corpus.load(tmp_path / "damaged").digest() == right

    inputs = [(name, (name.split(" ")[0], data)) for name, data in mutations(samples, tries(300))]
    result = attempt(act, inputs)

    assert not result.faults, f"{result}\n{result.faults[0]}"
    assert result.counts["refused"] > len(inputs) * 0.9


@pytest.mark.parametrize("mapped", [True, False])
def test_made_up_corpus_with_right_checksums_is_refused_or_usable(
    mapped: bool, tmp_path: Path, tries: Callable[[int], int]
) -> None:
    corpus().save(tmp_path / "whole")
    samples = contents(tmp_path / "whole")
    numbers = [np.array(n, kind).tobytes() for n in (-1, 0, 81, 2**31 - 1) for kind in ("<i4", "<i8")]

    def act(given: tuple[str, bytes]) -> None:
        name, data = given
        folder = tmp_path / f"made {mapped}"
        shutil.copytree(tmp_path / "whole", folder, dirs_exist_ok=True)
        (folder / name).write_bytes(data)
        sign(folder)
        use(Corpus.load(folder, mapped=mapped))
        if not mapped:
            assert sum(1 for _ in CorpusReader(folder).read()) == 130

    inputs = [
        (name, (name.split(" ")[0], data)) for name, data in mutations(samples, tries(300), seed=1, extra=numbers)
    ]
    result = attempt(act, inputs)

    assert not result.faults, f"{result}\n{result.faults[0]}"
    assert result.counts["refused"] > len(inputs) // 3 and result.counts["passed"] > len(inputs) // 50


class Quiet(Reporter):
    """Reporter that keeps notes, which must be one line."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        assert text and "\n" not in text
        self.notes.append(text)


def seen(ingested: Ingested) -> list[object]:
    """Return everything of a corpus and its catalogue."""
    ids = ingested.corpus.tracks["id"].to_pylist()
    with ingested.open() as catalogue:
        fields = {name: catalogue.field_values(name, ids) for name in ("title", "lyrics", "cover", "sound")}
        rows = [[name, present.tolist(), *map(str, values)] for name, (present, values) in fields.items()]
    return [ingested.corpus.digest(), ingested.skipped, ingested.doubles, rows]


def lists(folder: Path) -> Data:
    """Write playlists, and tracks with texts, features and covers."""
    folder.mkdir()
    rows = [f"p{number // 3},t{number % 7}" for number in range(30)]
    (folder / "lists.csv").write_text("\n".join(["playlist_id,track_id", *rows]))
    tracks = [f"t{number},Title {number},some words,{number},c{number % 3}.bmp" for number in range(7)]
    (folder / "tracks.csv").write_text("\n".join(["track_id,title,lyrics,energy,cover", *tracks]))
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"c{number}.bmp")
    about = {"fields": {"lyrics": "lyrics"}, "features": {"sound": ["energy"]}, "images": {"cover": "cover"}}
    return Data(reader="csv", path=folder / "lists.csv", options={"tracks": {"file": "tracks.csv", **about}})


def test_damaged_cache_of_data_is_rebuilt_with_the_same_content(tmp_path: Path, tries: Callable[[int], int]) -> None:
    data = lists(tmp_path / "data")
    right = seen(ingest(data, tmp_path / "cache", reporter=Reporter()))
    samples = {name: content for name, content in contents(tmp_path / "cache").items() if not name.endswith(".lock")}
    shutil.copytree(tmp_path / "cache", tmp_path / "whole")

    def act(given: tuple[str, bytes]) -> None:
        name, content = given
        notes = Quiet()
        (tmp_path / "cache" / name).write_bytes(content)
        try:
            assert seen(ingest(data, tmp_path / "cache", reporter=notes)) == right
        finally:
            shutil.rmtree(tmp_path / "cache")
            shutil.copytree(tmp_path / "whole", tmp_path / "cache")

    inputs = [(name, (name.rsplit(" ", 2)[0], content)) for name, content in mutations(samples, tries(40), seed=2)]
    result = attempt(act, inputs)

    assert not result.faults, f"{result}\n{result.faults[0]}"
    assert result.counts["passed"] > len(inputs) * 0.7


def test_damaged_cache_of_encodings_is_rebuilt_with_the_same_vectors(
    tmp_path: Path, tries: Callable[[int], int]
) -> None:
    data = segue.read_playlists(None, reader="demo", cache=tmp_path / "cache", progress=Reporter(), **DEMO)
    train = data.split().train

    def vectors() -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return segue.encode(
                data, "lyrics", "tfidf", dim=8, fit_on=train, device="cpu", progress=lambda *_: None
            ).matrix

    right = vectors()
    shutil.copytree(tmp_path / "cache" / "encodings", tmp_path / "whole")
    samples = {name: content for name, content in contents(tmp_path / "whole").items()}

    def act(given: tuple[str, bytes]) -> None:
        name, content = given
        (tmp_path / "cache" / "encodings" / name).write_bytes(content)
        try:
            assert np.array_equal(vectors(), right)
        finally:
            shutil.rmtree(tmp_path / "cache" / "encodings")
            shutil.copytree(tmp_path / "whole", tmp_path / "cache" / "encodings")

    inputs = [(name, (name.rsplit(" ", 2)[0], content)) for name, content in mutations(samples, tries(30), seed=3)]
    random.Random(0).shuffle(inputs)
    result = attempt(act, inputs)

    assert not result.faults, f"{result}\n{result.faults[0]}"
    assert result.counts["passed"] == len(inputs)

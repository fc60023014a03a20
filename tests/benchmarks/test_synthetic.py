"""Tests of the synthetic Million Playlist Dataset: sizes, distributions, formats, memory, and interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import synthetic_files
from synthetic import MPD_TRACKS, Synthetic, lengths_of, popularity
from synthetic_files import BYTES_A_JSON_PLACEMENT, write_arrays, write_slices

from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.records import PlaylistRecord
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.errors import InputError
from toolkit.recipe import Filters

SMALL = Synthetic(playlists=2500, tracks=7000, placements=165_000, seed=3)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "arrays"
    write_arrays(SMALL, path)
    return path


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "slices"
    write_slices(SMALL, path)
    return path


def test_playlist_lengths_match_the_million_playlist_dataset() -> None:
    lengths = lengths_of(1_000_000, 66_346_428)

    assert lengths.sum() == 66_346_428
    assert (lengths.min(), lengths.max()) == (5, 250)
    assert np.median(lengths) == pytest.approx(49, abs=1)


@pytest.mark.parametrize(("playlists", "placements"), [(10, 50), (10, 2500), (7, 60), (1000, 249_000), (3, 500)])
def test_playlist_lengths_sum_correctly_at_limits(playlists: int, placements: int) -> None:
    lengths = lengths_of(playlists, placements)

    assert lengths.sum() == placements
    assert lengths.min() >= 5
    assert lengths.max() <= 250


def test_popularity_matches_the_million_playlist_dataset() -> None:
    counts = popularity(MPD_TRACKS, 66_346_428)

    assert counts.sum() == 66_346_428
    assert counts.min() == 1
    assert (np.diff(counts) <= 0).all()
    assert counts[0] == pytest.approx(45_394, rel=0.01)
    # different tracks in a tenth of the playlists: 681,805 are published
    assert (1 - 0.9**counts).sum() == pytest.approx(681_805, rel=0.01)


@pytest.mark.parametrize(("kinds", "total"), [(1, 1), (1, 50), (5, 5), (100, 101), (3, 100_000)])
def test_popularity_sums_correctly_for_few_and_many_tracks(kinds: int, total: int) -> None:
    counts = popularity(kinds, total)

    assert counts.sum() == total
    assert counts.min() >= 1


def test_generated_sizes_match_options(arrays: Path) -> None:
    corpus = Corpus.load(arrays)
    plays = np.bincount(corpus.items, minlength=corpus.n_items + 1)

    assert (len(corpus), corpus.n_items, len(corpus.items)) == (2500, 7000, 165_000)
    assert plays[0] == 0
    assert np.sort(plays[1:])[::-1].tolist() == popularity(7000, 165_000).tolist()
    assert np.sort(np.diff(corpus.offsets)).tolist() == np.sort(lengths_of(2500, 165_000)).tolist()
    assert len(set(corpus.tracks["id"].to_pylist())) == 7000
    # 295,860 and 734,684 for 2,262,292
    assert len(np.unique(SMALL.artists(np.arange(7000)))) == 915
    assert len(np.unique(SMALL.albums(np.arange(7000)))) == 2273


def test_album_has_one_artist() -> None:
    tracks = np.arange(SMALL.tracks)
    pairs = np.unique(np.stack([SMALL.albums(tracks), SMALL.artists(tracks)]), axis=1)

    assert len(np.unique(pairs[0])) == pairs.shape[1]


def test_popular_track_is_spread_over_all_playlists(arrays: Path) -> None:
    corpus = Corpus.load(arrays)
    most = np.bincount(corpus.items).argmax()
    where = np.flatnonzero(corpus.items == most) / len(corpus.items)

    # uniform on 0…1: mean .5 and standard deviation .289, here with standard errors below .02
    assert where.mean() == pytest.approx(0.5, abs=0.06)
    assert where.std() == pytest.approx(0.289, abs=0.04)


def test_output_depends_on_seed_but_not_block_size(arrays: Path, tmp_path: Path) -> None:
    write_arrays(Synthetic(2500, 7000, 165_000, seed=3), tmp_path / "again", memory_mb=1)
    write_arrays(Synthetic(2500, 7000, 165_000, seed=4), tmp_path / "other")

    for name in ("items.npy", "offsets.npy"):
        assert (tmp_path / "again" / name).read_bytes() == (arrays / name).read_bytes()
    same, again, other = Corpus.load(arrays), Corpus.load(tmp_path / "again"), Corpus.load(tmp_path / "other")
    assert again.tracks.equals(same.tracks)
    assert again.playlists.equals(same.playlists)
    assert (other.items == same.items).mean() < 0.01


def test_both_formats_contain_same_playlists(arrays: Path, slices: Path, tmp_path: Path) -> None:
    assert [(r.id, r.title, r.tracks) for r in _playlists(CorpusReader(arrays))] == [
        (r.id, r.title, r.tracks) for r in _playlists(MpdReader(slices))
    ]
    known = {row["id"]: row for row in Corpus.load(arrays).tracks.to_pylist()}
    built = build(MpdReader(slices), None, tmp_path / "corpus", filters=Filters(repeats="keep"))
    assert len(built.items) == 165_000
    assert {row["id"]: row for row in built.tracks.to_pylist()} == known


def _playlists(reader: Reader) -> list[PlaylistRecord]:
    return [record for record in reader.read() if isinstance(record, PlaylistRecord)]


def test_corpus_rebuilt_from_files_is_identical(arrays: Path, tmp_path: Path) -> None:
    built = build(CorpusReader(arrays), None, tmp_path / "corpus", filters=Filters(repeats="keep"))
    given = Corpus.load(arrays)

    assert built.items.tolist() == given.items.tolist()
    assert built.tracks.to_pylist() == given.tracks.to_pylist()
    assert built.playlists.to_pylist() == given.playlists.to_pylist()


def test_json_layout_matches_the_million_playlist_dataset(slices: Path) -> None:
    text = (slices / "mpd.slice.2000-2499.json").read_text()
    content = json.loads(text)
    playlist = content["playlists"][0]

    assert sorted(path.name for path in slices.iterdir()) == [
        "mpd.slice.0-999.json",
        "mpd.slice.1000-1999.json",
        "mpd.slice.2000-2499.json",
    ]
    assert json.dumps(content, indent=4) == text
    assert content["info"]["slice"] == "2000-2499"
    assert (playlist["pid"], playlist["num_tracks"]) == (2000, len(playlist["tracks"]))
    assert [track["pos"] for track in playlist["tracks"]] == list(range(playlist["num_tracks"]))
    for count, key in (("num_albums", "album_uri"), ("num_artists", "artist_uri")):
        assert playlist[count] == len({track[key] for track in playlist["tracks"]})
    assert playlist["duration_ms"] == sum(track["duration_ms"] for track in playlist["tracks"])


def test_first_slices_are_identical_without_later_slices(slices: Path, tmp_path: Path) -> None:
    write_slices(SMALL, tmp_path / "first", slices=1)

    assert [path.name for path in (tmp_path / "first").iterdir()] == ["mpd.slice.0-999.json"]
    assert (tmp_path / "first" / "mpd.slice.0-999.json").read_bytes() == (slices / "mpd.slice.0-999.json").read_bytes()


def test_memory_is_independent_of_number_of_entries(tmp_path: Path) -> None:
    peaks = []
    for placements in (2_000_000, 6_000_000):
        data = Synthetic(playlists=40_000, tracks=20_000, placements=placements)
        data.offsets, data.items(0, 1)  # what is kept throughout is made before
        tracemalloc.start()
        write_arrays(data, tmp_path / str(placements), memory_mb=16)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()

    assert max(peaks) < 20
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((10, 5, 49), "placements=49 must be 5 to 250 per playlist"),
        ((10, 5, 2501), "placements=2501 must be 5 to 250 per playlist"),
        ((10, 101, 100), "placements=100 must be >= tracks=101"),
        ((0, 5, 100), "playlists=0 and tracks=5 must be >= 1"),
        ((10, 2**31, 2500), "tracks=2147483648 must be <= 2147483646: the arrays hold 32-bit ids"),
    ],
)
def test_contradictory_sizes_raise(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Synthetic(*sizes)


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="exists and is not empty"):
        write_arrays(SMALL, tmp_path)
    with pytest.raises(InputError, match="exists and is not empty"):
        write_slices(SMALL, tmp_path)
    with pytest.raises(InputError, match="slices=4 must be 1 to 3"):
        write_slices(SMALL, tmp_path / "new", slices=4)

    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_too_large_arrays_raise_before_writing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs 48,000\.0 GB and .* are free"):
        write_arrays(Synthetic(10**12, 10, 10**13), tmp_path / "new")
    assert not any(tmp_path.iterdir())


def test_too_large_slices_raise_before_writing(tmp_path: Path) -> None:
    huge = Synthetic(10**12, 10, 10**13)
    with pytest.raises(InputError, match=r"needs 4,800,000\.0 GB and .* are free: "):
        write_slices(huge, tmp_path / "new")
    with pytest.raises(InputError, match=r"needs 480,000\.0 GB"):
        write_slices(huge, tmp_path / "new", slices=10**8)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("sizes", [(2000, 1000, 60_000), (3000, 300_000, 300_000)])
def test_slices_use_estimated_disk_space(sizes: tuple[int, int, int], tmp_path: Path) -> None:
    write_slices(Synthetic(*sizes), tmp_path / "new")
    written = sum(file.stat().st_size for file in (tmp_path / "new").iterdir())
    assert 1 <= written / (BYTES_A_JSON_PLACEMENT * sizes[2]) < 1.1


@pytest.mark.parametrize("form", ["arrays", "mpd"])
def test_killed_generation_leaves_no_finished_output(form: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sizes = ["--playlists", "200000", "--tracks", "50000", "--placements", "12000000", "--memory-mb", "1"]
    command = [sys.executable, synthetic_files.__file__, *sizes, "--format", form, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    while not any(file.stat().st_size for file in tmp_path.glob(".out.*.part/*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert not out.exists()
    write_slices(Synthetic(5, 10, 100), out)  # what is left does not stand in the way of the next
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

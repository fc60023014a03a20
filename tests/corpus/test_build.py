from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from toolkit.catalogue.readers.archive import ArchiveReader
from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.readers.jsonl import JsonlReader
from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.placement_filters import filtered
from toolkit.corpus.splits import playlist_disjoint
from toolkit.errors import DataError, InputError, SegueError
from toolkit.recipe import Filters

READERS = Path(__file__).parents[1] / "fixtures" / "readers"


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "catalogue.db") as opened:
        yield opened


def lists(corpus: Corpus) -> list[list[str]]:
    """Return playlists as lists of external ids."""
    ids = corpus.tracks["id"].to_pylist()
    return [
        [ids[item - 1] for item in corpus.items[start:end]]
        for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
    ]


def written(folder: Path, text: str) -> JsonlReader:
    path = folder / "lists.jsonl"
    path.write_text(text)
    return JsonlReader(path)


def test_build_from_mpd_slices_gives_expected_arrays(catalogue: Catalogue, tmp_path: Path) -> None:
    corpus = build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "corpus")

    a, b, c, d = (f"spotify:track:{letter}" for letter in "abcd")
    assert lists(corpus) == [[a, b], [b, c], [c, d], [a, d]]
    assert corpus.items.tolist() == [1, 2, 2, 3, 3, 4, 1, 4]
    assert corpus.items.dtype == np.int32
    assert corpus.tracks.to_pylist()[2] == {"id": c, "title": "Song C", "artist": "Bo", "album": "Second"}
    assert corpus.playlists.to_pylist()[1] == {
        "id": "mpd:1",
        "title": "Späti",
        "group": None,
        "split": None,
        "time": 1493424000,
    }
    assert catalogue.counts()["playlists"] == 4


def test_filter_keep_keeps_repeated_tracks(catalogue: Catalogue, tmp_path: Path) -> None:
    corpus = build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "corpus", filters=Filters(repeats="keep"))

    assert lists(corpus)[0] == ["spotify:track:a", "spotify:track:b", "spotify:track:a"]


def test_build_from_archive_keeps_groups_splits_and_unplayed_tracks(catalogue: Catalogue, tmp_path: Path) -> None:
    corpus = build(ArchiveReader(READERS / "archive"), catalogue, tmp_path / "corpus")

    assert corpus.tracks["id"].to_pylist() == [f"spotify:track:{name}" for name in ("t1", "t2", "t3", "t9")]
    assert corpus.tracks.to_pylist()[3] == {"id": "spotify:track:t9", "title": None, "artist": None, "album": None}
    assert lists(corpus)[2] == ["spotify:track:t2", "spotify:track:t9"]
    assert corpus.playlists["group"].to_pylist() == ["AAA", "AAA", "BBB"]
    assert corpus.playlists["split"].to_pylist() == ["train", "train", "test"]
    assert corpus.groups.tolist() == [0, 0, 1]
    dropped = build(
        ArchiveReader(READERS / "archive"), catalogue, tmp_path / "corpus", filters=Filters(unplayed="drop")
    )
    assert dropped.tracks["id"].to_pylist() == [f"spotify:track:{name}" for name in ("t1", "t2", "t9")]


def test_min_track_plays_removes_rare_but_not_unplayed_tracks(catalogue: Catalogue, tmp_path: Path) -> None:
    corpus = build(
        ArchiveReader(READERS / "archive"), catalogue, tmp_path / "corpus", filters=Filters(min_track_plays=2)
    )

    # t9 is in one list and goes; list BBB falls below two tracks with it; t3 is in none and stays
    assert corpus.tracks["id"].to_pylist() == ["spotify:track:t1", "spotify:track:t2", "spotify:track:t3"]
    assert lists(corpus) == [["spotify:track:t1", "spotify:track:t2"], ["spotify:track:t2", "spotify:track:t1"]]


def test_equal_input_gives_identical_corpus_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Catalogue.open(tmp_path / f"{name}.db") as catalogue:
            build(ArchiveReader(READERS / "archive"), catalogue, tmp_path / name)

    for file in ("items.npy", "offsets.npy", "tracks.arrow", "playlists.arrow", "corpus.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def slow_filter(
    playlists: list[list[int]], n_tracks: int, filters: Filters
) -> tuple[list[list[int]], list[int], list[int]]:
    """Return filtered playlists, kept playlists and kept tracks, found by repeating one rule at a time."""
    played = {track for tracks in playlists for track in tracks}
    kept = dict(enumerate(playlists))
    while True:
        plays = {track: sum(track in tracks for tracks in kept.values()) for track in range(1, n_tracks + 1)}
        trimmed = {
            row: [track for track in tracks if plays[track] >= filters.min_track_plays] for row, tracks in kept.items()
        }
        trimmed = {row: tracks for row, tracks in trimmed.items() if len(tracks) >= filters.min_playlist_length}
        if trimmed == kept:
            break
        kept = trimmed
    there = {track for tracks in kept.values() for track in tracks}
    alone = {
        track
        for track in range(1, n_tracks + 1)
        if track not in there and (track not in played or filters.min_track_plays == 1)
    }
    return list(kept.values()), list(kept), sorted(there | (alone if filters.unplayed == "keep" else set()))


@pytest.mark.parametrize("seed", range(60))
def test_repeated_filters_equal_a_slow_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n_tracks = int(draw.integers(1, 25))
    playlists = [draw.integers(1, n_tracks + 1, draw.integers(0, 9)).tolist() for _ in range(draw.integers(0, 25))]
    filters = Filters(
        min_track_plays=int(draw.integers(1, 5)),
        min_playlist_length=int(draw.integers(1, 6)),
        unplayed=str(draw.choice(["keep", "drop"])),  # type: ignore[arg-type]
    )
    signed = [
        track if track not in tracks[:place] else -track for tracks in playlists for place, track in enumerate(tracks)
    ]

    got = filtered(
        np.array(signed, np.int32), np.array([len(tracks) for tracks in playlists], np.int64), n_tracks, filters
    )

    kept, rows, tracks = slow_filter(playlists, n_tracks, filters)
    new = {old: number for number, old in enumerate(tracks, start=1)}
    assert got.items.tolist() == [new[track] for tracks in kept for track in tracks]
    assert got.lengths.tolist() == [len(tracks) for tracks in kept]
    assert got.rows.tolist() == rows
    assert (got.tracks + 1).tolist() == tracks


def test_filter_that_removes_everything_raises_with_the_filter(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the filters remove all 4 playlists: min_playlist_length=3 removes 4"):
        build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "corpus", filters=Filters(min_playlist_length=3))
    with pytest.raises(InputError, match="min_playlist_length=2 removes 0 and min_track_plays=9 the other 4"):
        build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "corpus", filters=Filters(min_track_plays=9))
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "1", "tracks": ["a", "b"]}', "lists.jsonl, playlist '1': the id must be unique"),
        ('{"id": "2", "tracks": ["a"], "split": "dev"}', "playlist '2': split 'dev' must be train, valid or test"),
    ],
)
def test_bad_playlists_raise_or_are_skipped_and_counted(
    line: str, message: str, catalogue: Catalogue, tmp_path: Path
) -> None:
    reader = written(tmp_path, f'{{"id": "1", "tracks": ["a", "b"]}}\n{line}\n')

    with pytest.raises(DataError, match=message):
        build(reader, catalogue, tmp_path / "corpus")
    reader.on_error = "skip"
    assert lists(build(reader, catalogue, tmp_path / "corpus")) == [["local:a", "local:b"]]
    assert reader.skipped.count == 1


@pytest.mark.parametrize("filters", [Filters(), Filters(repeats="keep"), Filters(min_track_plays=2)])
@pytest.mark.parametrize("reader", [MpdReader(READERS / "mpd"), ArchiveReader(READERS / "archive")])
def test_corpus_does_not_depend_on_a_catalogue(
    reader: Reader, filters: Filters, catalogue: Catalogue, tmp_path: Path
) -> None:
    whole = build(reader, catalogue, tmp_path / "whole", filters=filters)
    brief = build(reader, None, tmp_path / "brief", filters=filters)

    for name in ("items.npy", "offsets.npy", "tracks.arrow", "playlists.arrow"):
        assert (tmp_path / "brief" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    # and the names are those the catalogue tells
    for field in ("title", "artist", "album"):
        present, values = catalogue.field_values(field, whole.tracks["id"].to_pylist())
        assert [name for name in brief.tracks[field].to_pylist() if name is not None] == list(values)
        assert [name is not None for name in brief.tracks[field].to_pylist()] == present.tolist()


@pytest.mark.parametrize("described", [True, False])
def test_skip_reports_a_bad_playlist_and_keeps_others(described: bool, catalogue: Catalogue, tmp_path: Path) -> None:
    folder = tmp_path / "mpd"
    shutil.copytree(READERS / "mpd", folder)
    slice_ = folder / "mpd.slice.0-1.json"
    slice_.write_text(slice_.read_text().replace('"track_uri": "spotify:track:c"', '"track_uri": 7'))
    goal, target = catalogue if described else None, tmp_path / "corpus"

    with pytest.raises(
        DataError,
        match=r"mpd\.slice\.0-1\.json, playlist 1: Expected `str`, got `int` - at `\$\.tracks\[\d\]\.track_uri`",
    ):
        build(MpdReader(folder), goal, target)
    reader = MpdReader(folder, on_error="skip")
    assert build(reader, goal, target).playlists["id"].to_pylist() == ["mpd:0", "mpd:2", "mpd:10"]
    assert reader.skipped.count == 1


def test_failed_build_keeps_the_old_corpus(catalogue: Catalogue, tmp_path: Path) -> None:
    build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "corpus")
    broken = written(tmp_path, '{"id": "1", "tracks": ["a", "b"]}\n{"id"\n')

    with pytest.raises(DataError):
        build(broken, catalogue, tmp_path / "corpus")

    assert len(Corpus.load(tmp_path / "corpus")) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_full_disk_error_during_build_is_one_line(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Corpus, "save", full)

    with pytest.raises(SegueError, match=r"^the corpus cannot be written to .*corpus \(No space left on device\)"):
        build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "corpus")


def test_building_into_a_folder_with_other_files_raises(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")

    with pytest.raises(InputError, match="home must be empty, missing or a corpus"):
        build(MpdReader(READERS / "mpd"), catalogue, tmp_path / "home")


class Wide(Reader):
    """Reader of 20,000 records that are not in a file."""

    name = "wide"

    def read(self) -> Iterator:
        from toolkit.catalogue.records import PlaylistRecord, TrackRecord

        for number in range(10_000):
            yield TrackRecord(f"t:{number}", f"T{number}")
            yield PlaylistRecord(f"p{number}", [f"t:{number}", f"t:{number // 2}", f"t:{number + 1}"])

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False


def test_build_reports_progress_per_batch(catalogue: Catalogue, tmp_path: Path) -> None:
    seen: list[int] = []

    corpus = build(Wide(Path("wide")), catalogue, tmp_path / "corpus", progress=seen.append)

    assert seen == [5_000, 10_000, 15_000, 20_000]
    assert corpus.n_items == 10_001
    assert len(corpus.items) == 30_000 - 1
    assert corpus.tracks["title"][9_999].as_py() == "T9999"
    assert corpus.tracks["title"][10_000].as_py() is None


MPD5K = {
    "position": "pos",
    "source": "mpd",
    "tracks": {"file": "tracks.csv.gz", "artist_id": "artist_id", "album_id": "album_id", "duration": "duration_sec"},
}


@pytest.mark.data
def test_build_of_mpd5k_with_csv_options_has_known_counts(
    shared_data: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    reader = CsvReader(shared_data / "playlists-mpd5k" / "playlists.csv.gz", CsvParams(**MPD5K))

    corpus = build(reader, catalogue, tmp_path / "corpus")

    assert len(corpus) == 5_000
    assert corpus.n_items == 20_635
    assert len(corpus.items) == 115_553
    assert len(np.unique(corpus.items)) == 13_536
    assert catalogue.field_values("duration", ["local:0"])[1] == [167.0]
    assert catalogue.field_values("artist_id", ["local:0"])[1] == ["local:artist:449"]
    split = playlist_disjoint(corpus, min_tracks=10, folds=5, test_fold=0, by="hash")
    assert len(split.test) == 927


@pytest.mark.data
def test_build_of_the_playlist_archive_has_known_counts(
    shared_data: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    corpus = build(ArchiveReader(shared_data / "playlists-spa"), catalogue, tmp_path / "corpus")

    assert (len(corpus), corpus.n_items, len(corpus.items)) == (5_874, 13_157, 244_967)
    split = playlist_disjoint(corpus, min_tracks=10)
    assert len(split.test) == 854
    assert len(np.unique(split.test.groups())) == 37
    present, vectors = catalogue.field_values("audio_features", corpus.tracks["id"].to_pylist())
    assert present.all()
    assert np.asarray(vectors).shape == (13_157, 11)
    assert {row["train_allowed"] for row in catalogue.provenance("{title} by {artist}: {genres}")} == {False}


def chosen_slowly(
    playlists: list[list[int]], n_tracks: int, allowed: list[bool], most_tracks: int, most_playlists: int
) -> tuple[set[int], set[int]]:
    """Return the tracks and the playlists that the content and both maxima keep."""
    good = {track for track in range(1, n_tracks + 1) if allowed[track - 1]}
    plays = {track: sum(track in tracks for tracks in playlists) for track in good}
    good = {track for track in sorted(good, key=lambda track: (-plays[track], track))[:most_tracks] if plays[track]}
    sizes = [len({*tracks} & good) for tracks in playlists]
    order = sorted(range(len(playlists)), key=lambda row: (-sizes[row], row))
    return good, {row for row in order[:most_playlists] if sizes[row]}


@pytest.mark.parametrize("seed", range(60))
def test_most_played_and_most_active_equal_a_slow_choice_before_the_minimum_counts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n_tracks = int(draw.integers(2, 25))
    playlists = [draw.integers(1, n_tracks + 1, draw.integers(0, 9)).tolist() for _ in range(draw.integers(1, 25))]
    allowed = (draw.random(n_tracks) < 0.8).tolist()
    most_tracks, most_playlists = int(draw.integers(1, 12)), int(draw.integers(1, 12))
    filters = Filters(
        most_played_tracks=most_tracks,
        most_active_playlists=most_playlists,
        min_track_plays=int(draw.integers(1, 3)),
        min_playlist_length=int(draw.integers(1, 4)),
    )
    signed = [
        track if track not in tracks[:place] else -track for tracks in playlists for place, track in enumerate(tracks)
    ]

    got = filtered(
        np.array(signed, np.int32),
        np.array([len(tracks) for tracks in playlists], np.int64),
        n_tracks,
        filters,
        allowed=np.array(allowed),
    )

    good, active = chosen_slowly(playlists, n_tracks, allowed, most_tracks, most_playlists)
    rest = [[t for t in tracks if t in good] if row in active else [] for row, tracks in enumerate(playlists)]
    kept, rows, _ = slow_filter(rest, n_tracks, filters)
    # every track was in some playlist, so that a minimum of plays removes those that are in none now
    tracks = good if filters.min_track_plays == 1 else {track for each in kept for track in each}
    assert [(got.tracks + 1)[item - 1] for item in got.items.tolist()] == [track for each in kept for track in each]
    assert got.rows.tolist() == rows
    assert (got.tracks + 1).tolist() == sorted(tracks)


def test_ties_of_the_most_played_tracks_go_to_the_first_in_the_data(catalogue: Catalogue, tmp_path: Path) -> None:
    rows = ('"1", "tracks": ["c", "a"]', '"2", "tracks": ["a", "b", "c"]', '"3", "tracks": ["b", "d"]')
    text = "".join(f'{{"id": {row}}}\n' for row in rows)

    def kept(**filters: int) -> list[list[str]]:
        reader = written(tmp_path, text)
        return lists(build(reader, None, tmp_path / "c", filters=Filters(min_playlist_length=1, **filters)))

    assert kept(most_played_tracks=2) == [["local:c", "local:a"], ["local:a", "local:c"]]
    assert kept(most_played_tracks=3, most_active_playlists=1) == [["local:a", "local:b", "local:c"]]
    assert kept(most_active_playlists=2) == [["local:c", "local:a"], ["local:a", "local:b", "local:c"]]

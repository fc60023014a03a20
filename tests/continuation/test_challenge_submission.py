"""Tests of writing and checking submissions to the RecSys Challenge 2018."""

from __future__ import annotations

import csv
import gzip
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from toolkit.baselines.popularity import Popularity
from toolkit.baselines.session.session_knn import SessionKNN
from toolkit.continuation import Continuation
from toolkit.continuation.challenge_submission import challenge_set, verify, write
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import DataError, InputError
from toolkit.ranker import TrainingData


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def track(at: int) -> dict[str, object]:
        names = {
            "track_name": "t",
            "artist_name": "a",
            "album_name": "b",
            "artist_uri": "a",
            "album_uri": "b",
            "duration_ms": 1,
        }
        return {"track_uri": f"spotify:track:{at}", **names}

    playlists = [
        {"pid": 1000, "name": "chill", "num_holdouts": 9, "tracks": [], "num_samples": 0},
        {"pid": 1001, "num_holdouts": 9, "tracks": [{"pos": at, **track(at + 1)} for at in range(5)], "num_samples": 5},
        {"pid": 1002, "num_holdouts": 9, "tracks": [{"pos": 0, **track(99_999)}], "num_samples": 1},
    ]
    path = tmp_path_factory.mktemp("challenge") / "challenge_set.json"
    path.write_text(json.dumps({"version": "v1", "playlists": playlists}))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory with session-knn and popularity over 700 tracks, in the files that `continue` reads."""
    import pyarrow as pa
    import pyarrow.feather as feather

    generator = np.random.default_rng(0)
    lists = [generator.permutation(700)[:30] + 1 for _ in range(80)]
    names = [f"spotify:track:{at}" for at in range(1, 701)]
    tracks = pa.table(
        {"id": names, **{name: pa.array([None] * 700, pa.string()) for name in ("title", "artist", "album")}}
    )
    none = pa.array([None] * 80, pa.string())
    playlists = pa.table({"id": [f"p{row}" for row in range(80)], "title": none, "group": none, "split": none})
    corpus = Corpus(np.concatenate(lists).astype(np.int32), np.arange(81) * 30, tracks, playlists)
    data = TrainingData(PlaylistSet(corpus, np.arange(80), corpus.offsets[:-1], corpus.offsets[1:]))
    root = tmp_path_factory.mktemp("run")
    (root / "recipe.yaml").write_text("name: run\n")
    for ranker in (SessionKNN(), Popularity()):
        ranker.fit(data).save(root / "model" / ranker.name)
    feather.write_feather(tracks, root / "model" / "tracks.arrow")
    systems = [
        {"system": name, "ranker": name, "modalities": [], "oracle": False} for name in ("session-knn", "popularity")
    ]
    (root / "model" / "systems.json").write_text(json.dumps({"systems": systems}))
    return root


def test_submission_follows_the_challenge_rules(run: Path, challenge: Path, tmp_path: Path) -> None:
    playlists, asked = challenge_set(challenge), Continuation.load(run)
    filled = write(asked, playlists, tmp_path / "s.csv.gz", team="Team, one", email="a@b.c")
    assert filled == 3 and verify(tmp_path / "s.csv.gz", playlists) == []
    lines = gzip.decompress((tmp_path / "s.csv.gz").read_bytes()).decode().splitlines()
    assert lines[0] == 'team_info,"Team, one",a@b.c' and [line.split(",")[0] for line in lines[1:]] == [
        "1000",
        "1001",
        "1002",
    ]
    best = [track.id for track in asked.continue_playlist(playlists[1].tracks, k=10)]
    assert lines[2].split(",")[1:11] == best
    popular = [track.id for track in Continuation.load(run, "popularity").continue_playlist(["spotify:track:700"], k=5)]
    assert [track for track in lines[1].split(",")[1:7] if track != "spotify:track:700"][:5] == popular


def test_ranking_shorter_than_500_tracks_raises_without_popularity(run: Path, challenge: Path, tmp_path: Path) -> None:
    asked = Continuation.load(run)
    asked.others = []
    with pytest.raises(InputError, match="session-knn ranks fewer than 500 tracks after playlist 1000: add popularity"):
        write(asked, challenge_set(challenge), tmp_path / "s.csv", team="t", email="e")


def test_unreadable_submission_error_is_one_line(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(
        partial(csv.field_size_limit, csv.field_size_limit(100_000))
    )  # readers of other tests have raised it
    zipped = gzip.compress(b"team_info,a,b\n" * 100)
    for content, message in (
        (zipped[:30] + b"\xff\xff\xff" + zipped[33:], r"cannot be read \(Error -3"),
        (b"team_info,a,b\n1," + b"x" * 200_000, r"line 2 must be CSV text in UTF-8 \(field larger than field limit"),
    ):
        (tmp_path / "s").write_bytes(content)
        with pytest.raises(DataError, match=message):
            verify(tmp_path / "s", [])


def test_submission_check_reports_each_broken_rule(run: Path, challenge: Path, tmp_path: Path) -> None:
    playlists, path = challenge_set(challenge), tmp_path / "s.csv"
    write(Continuation.load(run), playlists, path, team="t", email="e")
    head, *rows = path.read_text().splitlines()
    cells = [row.split(",") for row in rows]

    def faults(lines: list[str]) -> list[str]:
        path.write_text("\n".join(lines))
        return verify(path, playlists)

    assert faults(["# made here", "", head, *rows]) == []
    assert faults(rows[:1] + rows) == ["line 1: must be team_info, team name, e-mail"]
    assert faults([head, *rows[:2]]) == ["1 playlists are missing, the first of them 1002"]
    assert faults([head, *rows, rows[0]]) == ["line 5: playlist 1000 is listed twice"]
    assert faults([head, *rows, "7,a"]) == ["line 5: playlist 7 is not in the challenge set"]
    assert faults([head, ",".join(cells[0][:-1]), *rows[1:]]) == ["line 2: playlist 1000 has 499 tracks, not 500"]
    assert faults([head, ",".join([*cells[0][:-1], cells[0][1]]), *rows[1:]]) == [
        "line 2: playlist 1000 lists a track twice"
    ]
    assert faults([head, rows[0], ",".join([*cells[1][:-1], "spotify:track:3"]), rows[2]]) == [
        "line 3: playlist 1001 names its seed spotify:track:3"
    ]
    assert faults([head, ",".join([*cells[0][:-1], "x"]), *rows[1:]]) == [
        "line 2: playlist 1000 names 'x', which does not begin with spotify:track:"
    ]

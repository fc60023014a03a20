"""Tests of continuing playlists from a run directory, and of the output formats."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.command import segue
from toolkit import run_directory
from toolkit.continuation import Continuation, Next
from toolkit.continuation.playlist_formats import WRITERS, to_csv, to_jspf, to_m3u
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError, RunDirectoryError
from toolkit.ranker import Ranker, Scorer, TrainingData

SEEDS = ["demo:track:3", "demo:track:8"]

TRACKS = [
    Next("spotify:track:1", "Blue Monday", "New Order", "Power, Corruption & Lies", 2.5),
    Next("local:#2", None, None, None, -0.125),
    Next("local:3", "Ünder\nthe “Line”", "A, B", "", 1e-09),
]


class Falling(Ranker):
    """Ranker that gives item i the score −i."""

    name = "falling"

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items

    def fit(self, data: TrainingData) -> Falling:
        return self

    def scorer(self, queries: Queries) -> Scorer:
        return lambda items: np.repeat(-items[None].astype(np.float32), len(queries), axis=0)

    def save(self, directory: Path) -> None: ...

    @classmethod
    def load(cls, directory: Path) -> Falling:
        return cls(0)

    @property
    def n_items(self) -> int:
        return self._n_items


@pytest.fixture
def asked() -> Continuation:
    names = ["Yesterday", "Blue Monday", "Hurt", None]
    tracks = pa.table(
        {"id": ["t:1", "t:2", "t:3", "t:4"], "title": names, "artist": ["a", "b", "c", None], "album": [None] * 4}
    )
    return Continuation(Falling(4), tracks, system="falling")


def test_continuation_excludes_seeds_and_excluded_tracks(asked: Continuation) -> None:
    assert [track.id for track in asked.continue_playlist(["t:2"], k=3)] == ["t:1", "t:3", "t:4"]
    assert asked.continue_playlist(["t:2"], k=1, exclude=["t:1", "unheard"]) == [Next("t:3", "Hurt", "c", None, -3.0)]
    assert [track.id for track in asked.continue_playlist(["t:2"], k=2, allow_repeats=True)] == ["t:1", "t:2"]


def test_unknown_tracks_are_skipped_with_a_warning(asked: Continuation) -> None:
    with pytest.warns(UserWarning, match="2 of 3 tracks are not in the catalogue and left out: x, y"):
        assert [track.id for track in asked.continue_playlist(["x", "t:1", "y"], k=1)] == ["t:2"]


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        (["blue mondey"], r"nearest to 'blue mondey' are t:2 \(Blue Monday by b\)"),
        (["4"], r"nearest to '4' are t:4 \(no title by unknown\)"),
        (["T:3"], r"nearest to 'T:3' are t:3 \(Hurt by c\)"),
        (["t:44", "zz"], r"nearest to 't:44' are t:4 \(no title by unknown\)"),
        (["qqqqqqqqqqqqqqqqqqq"], "nothing looks like .*; its ids look like t:1, t:2, t:3"),
        ([], "pass at least one id"),
    ],
)
def test_only_unknown_tracks_raise_with_the_nearest_id(asked: Continuation, tracks: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        asked.continue_playlist(tracks)


def test_k_that_is_not_positive_raises(asked: Continuation) -> None:
    with pytest.raises(InputError, match="k=0 must be >= 1"):
        asked.continue_playlist(["t:1"], k=0)


def test_default_system_is_the_best_on_validation(tiny_run: Path) -> None:
    systems = json.loads((tiny_run / run_directory.SYSTEMS).read_text())
    assert systems["systems"][-1]["system"] == "upper-bound" and systems["systems"][-1]["oracle"]
    values = [entry["value"] for entry in systems["systems"][:-1]]
    assert values == sorted(values, reverse=True)
    assert Continuation.load(tiny_run).system == systems["systems"][0]["system"]


@pytest.mark.parametrize("system", ["sasrec-multimodal", "popularity", "content-centroid"])
def test_continuation_does_not_need_data_or_cache(tiny_run: Path, tmp_path: Path, system: str) -> None:
    moved = tmp_path / "moved"
    for name in (run_directory.RECIPE, run_directory.MODEL):
        source = tiny_run / name
        (shutil.copytree if source.is_dir() else shutil.copy)(
            source, moved / name if source.is_dir() else _folder(moved) / name
        )
    found = Continuation.load(moved, system).continue_playlist(SEEDS, title="Night drive", k=7)
    assert len({track.id for track in found}) == 7 and not {track.id for track in found} & set(SEEDS)
    assert [track.score for track in found] == sorted((track.score for track in found), reverse=True)
    assert all(track.title and track.artist and track.album for track in found)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_k_larger_than_the_catalogue_warns_and_ranks_all_tracks(tiny_run: Path) -> None:
    with pytest.warns(UserWarning, match="popularity can rank no more than 197 tracks here, fewer than k=1000"):
        found = Continuation.load(tiny_run, "popularity").continue_playlist(SEEDS, k=1000, exclude=["demo:track:0"])
    assert len(found) == 200 - len(SEEDS) - 1


def test_title_replaces_tracks_for_systems_that_read_titles(tiny_run: Path) -> None:
    by_title = Continuation.load(tiny_run, "sasrec-multimodal").continue_playlist([], title="electric night", k=3)
    assert len(by_title) == 3
    with pytest.raises(InputError, match="popularity does not read titles and no track is given: pass at least one id"):
        Continuation.load(tiny_run, "popularity").continue_playlist([], title="electric night")


def test_continuation_with_an_unknown_or_oracle_system_raises(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="is not a run directory: create a run with `segue run"):
        Continuation.load(tmp_path)
    with pytest.raises(InputError, match="has no system 'popularty': did you mean 'popularity'"):
        Continuation.load(tiny_run, "popularty")
    with pytest.raises(InputError, match="has no system 'upper-bound': "):
        Continuation.load(tiny_run, "upper-bound")
    shutil.copy(tiny_run / run_directory.RECIPE, tmp_path / run_directory.RECIPE)
    with pytest.raises(RunDirectoryError, match="is not a finished run: repeat the same `segue run` command"):
        Continuation.load(tmp_path)


def test_damaged_run_raises(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / run_directory.TRACKS).write_bytes(b"ARROW1 and then nothing")
    with pytest.raises(RunDirectoryError, match=r"tracks\.arrow cannot be read"):
        Continuation.load(tmp_path / "run")
    (tmp_path / "run" / run_directory.SYSTEMS).write_text('{"systems": [')
    with pytest.raises(RunDirectoryError, match=r"systems\.json is damaged"):
        Continuation.load(tmp_path / "run")


def test_json_has_all_fields() -> None:
    assert json.loads(WRITERS["json"](TRACKS))[0] == {
        "id": "spotify:track:1",
        "title": "Blue Monday",
        "artist": "New Order",
        "album": "Power, Corruption & Lies",
        "score": 2.5,
    }


def test_csv_of_a_continuation_round_trips() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(TRACKS), newline="")))
    assert rows[2] == {
        "rank": "3",
        "id": "local:3",
        "title": "Ünder\nthe “Line”",
        "artist": "A, B",
        "album": "",
        "score": "1e-09",
    }


def test_m3u_has_one_entry_per_track() -> None:
    more = [
        Next("#hash", "x\x1b[2J\u009by", None, None, 0.0),
        Next("local:two  spaces\u2028a\nb.mp3", None, None, None, 0.0),
    ]
    assert to_m3u([*TRACKS, *more], title="My\nlist") == (
        "#EXTM3U\n#PLAYLIST:My list\n"
        "#EXTINF:-1,New Order - Blue Monday\n#EXTALB:Power, Corruption & Lies\nspotify:track:1\n"
        "#EXTINF:-1,local:#2\nlocal:#2\n"
        "#EXTINF:-1,A, B - Ünder the “Line”\nlocal:3\n"
        "#EXTINF:-1,x [2J y\n%23hash\n"
        "#EXTINF:-1,local:two spaces a b.mp3\nlocal:two  spaces a b.mp3\n"
    )


def test_jspf_omits_unknown_metadata() -> None:
    found = json.loads(to_jspf(TRACKS, title="Mine"))["playlist"]
    assert found["title"] == "Mine" and found["track"][1] == {"identifier": ["local:#2"]}
    assert found["track"][0] == {
        "identifier": ["spotify:track:1"],
        "title": "Blue Monday",
        "creator": "New Order",
        "album": "Power, Corruption & Lies",
    }


@pytest.mark.parametrize(
    ("content", "message"), [("{}", "is damaged"), ("[]", "is damaged"), ('{"systems": []}', "only oracles")]
)
def test_systems_json_without_a_usable_system_raises(
    tiny_run: Path, tmp_path: Path, content: str, message: str
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / run_directory.SYSTEMS).write_text(content)
    with pytest.raises(InputError, match=message):
        Continuation.load(tmp_path / "run")


def test_continue_suggests_a_system_for_new_releases(tiny_run: Path, tmp_path: Path) -> None:
    systems = json.loads((tiny_run / run_directory.SYSTEMS).read_text())
    by_name = {entry["system"]: entry for entry in systems["systems"]}
    assert by_name["popularity"]["cold"] == 0 and isinstance(by_name["sasrec-multimodal"]["cold"], float)
    shutil.copytree(tiny_run, tmp_path / "run")
    # two epochs of so small a model find none either
    found = [
        {**by_name[name], "cold": cold}
        for name, cold in (("popularity", 0.002), ("content-centroid", 0.03), ("sasrec-multimodal", 0.1))
    ]
    (tmp_path / "run" / run_directory.SYSTEMS).write_text(json.dumps({**systems, "systems": found}))
    close = [{**entry, "cold": min(entry["cold"], 0.015)} for entry in found]
    shutil.copytree(tmp_path / "run", tmp_path / "close")
    (tmp_path / "close" / run_directory.SYSTEMS).write_text(json.dumps({**systems, "systems": close}))

    def asked(run: Path, *more: str) -> str:
        found = segue("continue", str(run), "--tracks", SEEDS[0], "-k", "2", *more)
        assert found.exit_code == 0 and "new releases" not in found.stdout
        return found.stderr

    told = "popularity, the best system on validation, hardly ranks tracks without training playlists: add --system "
    assert f"{told}sasrec-multimodal" in asked(tmp_path / "run")
    assert "new releases" not in asked(tmp_path / "run", "--system", "popularity")
    assert "new releases" not in asked(tmp_path / "close")

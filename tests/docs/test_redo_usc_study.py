"""Every command of the page about the USC study, on a small set in the form of the Million Playlist Dataset."""

from __future__ import annotations

import csv
import json
import random
import re
import shlex
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.command import segue
from toolkit.constants import AUDIO_FEATURES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "redo_usc_study.md").read_text(encoding="utf-8")
FIELDS = {"audio": "audio_features", "lyrics": "lyrics", "cover": "cover", "biography": "biography"}
ENCODERS = {
    "audio": {"encoder": "features", "field": "audio_features"},
    "lyrics": {"encoder": "tfidf", "field": "lyrics", "params": {"dim": 8}},
    "cover": {"encoder": "image-vae", "field": "cover", "params": {"latent": 4, "epochs": 1}},
    "biography": {"encoder": "tfidf", "field": "biography", "params": {"dim": 8}},
}
TINY = [
    f"encoders={json.dumps(ENCODERS)}",
    f"models={json.dumps([{'name': 'four', 'modalities': list(ENCODERS)}])}",
    "baselines=[popularity]",
    "defaults.epochs=1",
    "defaults.hidden_size=16",
    "evaluation.bootstrap=20",
    "threads=1",
]
"""The page's recipe with one row and quick encoders."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that the page names: 60 tracks in 50 playlists, two of them too short."""
    folder = tmp_path_factory.mktemp("usc")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    mpd = folder / "mpd"
    (mpd / "covers").mkdir(parents=True)
    draw = random.Random(0)
    tracks = [f"spotify:track:{number:022d}" for number in range(60)]
    lists = []
    for pid in range(50):
        chosen = draw.sample(range(60), {0: 0, 1: 1}.get(pid, draw.randrange(5, 12)))
        entries = [
            {
                "pos": pos,
                "artist_name": f"Artist {n // 3}",
                "track_uri": tracks[n],
                "artist_uri": f"spotify:artist:{n // 3}",
                "track_name": f"Song {n}",
                "album_uri": f"spotify:album:{n // 3}",
                "duration_ms": 200_000,
                "album_name": f"Album {n // 3}",
            }
            for pos, n in enumerate(chosen)
        ]
        about = {"num_holdouts": 5, "num_samples": len(entries), "num_tracks": len(entries) + 5}
        lists.append({"name": f"mix {pid}", "pid": 10**6 + pid, **about, "tracks": entries})
    (mpd / "challenge_set.json").write_text(json.dumps({"date": "2018-01-16", "version": "v1", "playlists": lists}))
    rows = []
    for number, uri in enumerate(tracks):
        Image.new("RGB", (64, 64), (4 * number, 90, 255 - 4 * number)).save(mpd / "covers" / f"{number:04d}.jpg")
        rows.append(
            {
                "track_uri": uri,
                "features": [draw.random() for _ in AUDIO_FEATURES],
                "lyrics": " ".join(draw.choices(["love", "night", "road", "rain", "sun"], k=20)),
                "biography": f"Artist {number // 3} is a {draw.choice(['band', 'singer', 'choir'])} from the north.",
                "cover": f"covers/{number:04d}.jpg",
            }
        )
    written(
        mpd / "features.csv", ["track_uri", *AUDIO_FEATURES], [[row["track_uri"], *row["features"]] for row in rows]
    )
    written(mpd / "artists.csv", ["track_uri", "biography"], [[row["track_uri"], row["biography"]] for row in rows])
    written(mpd / "covers.csv", ["track_uri", "file"], [[row["track_uri"], row["cover"]] for row in rows])
    lyrics = (json.dumps({"track_uri": row["track_uri"], "text": row["lyrics"]}) + "\n" for row in rows)
    (mpd / "lyrics.jsonl").write_text("".join(lyrics))
    pq.write_table(pa.Table.from_pylist(rows), mpd / "all.parquet")
    (recipe,) = blocks("yaml")
    (folder / "usc.yaml").write_text(recipe)
    return folder


def written(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def run(place: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    return place


@pytest.mark.parametrize("command", COMMANDS, ids=[command[:60] for command in COMMANDS])
def test_command_of_the_page_works_as_it_stands(command: str, run: Path) -> None:
    name, *arguments = shlex.split(command)
    assert name == "segue"
    # a run is made quick, everything else is the page's
    tiny = [part for setting in TINY for part in ("--set", setting)] if arguments[0] == "run" else []

    result = segue(*arguments, *tiny)

    assert result.exit_code == 0, result.output
    if arguments[0] == "run":
        out = run / ("runs/usc-one" if "--out" in arguments else "runs/usc")
        coverage = {row["field"]: row["coverage"] for row in json.loads((out / "coverage.json").read_text())}
        assert coverage == dict.fromkeys(FIELDS.values(), 1.0)
        systems = {row["system"] for row in json.loads((out / "metrics.json").read_text())}
        assert systems == {"four", "popularity"}
        assert "four" in result.output


def test_sizes_are_those_of_playlists_of_two_tracks_or_more_and_of_the_frequent_ones(run: Path) -> None:
    small = json.loads(segue("data", "info", "usc.yaml", "--json").stdout)
    arguments = shlex.split(COMMANDS[3])[1:]
    frequent = json.loads(segue(*arguments, "--json").stdout)["filtered"]

    assert (small["playlists"], small["filtered"]["playlists"]) == (50, 48)
    cells = small["filtered"]["playlists"] * small["filtered"]["tracks"]
    assert small["filtered"]["sparsity"] == pytest.approx(1 - small["filtered"]["placements"] / cells, abs=1e-8)
    assert "min_track_plays=3" in COMMANDS[3] and frequent["tracks"] <= small["filtered"]["tracks"]
    assert {row["field"] for row in small["fields"]} >= set(FIELDS.values())

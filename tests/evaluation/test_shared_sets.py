"""On every real set, clean splits raise no alarm, and two equal systems are not called different."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import segue
from segue.playlist_data import Playlists
from toolkit.report.claims import shown


def yardstick(folder: Path, name: str) -> Playlists:
    """Return users with the items of LastFM or Beauty, each with its first attribute as a field of the track."""
    lines = [line.split() for line in (folder / "yardstick-s3rec" / f"{name}.txt").read_text().splitlines()]
    frame = pd.DataFrame(
        [(user, item) for user, *items in lines for item in items], columns=["playlist_id", "track_id"]
    )
    attributes = json.loads((folder / "yardstick-s3rec" / f"{name}_item2attributes.json").read_text())
    frame["attribute"] = [str(attributes[item][0]) for item in frame.track_id]
    return segue.from_dataframe(frame, fields={"attribute": "attribute"}, permission="test")


def large(folder: Path) -> Playlists:
    """Return the lists of spa-large, with the names and albums of tracks as columns of the placements."""
    path = folder / "playlists-spa-large" / "playlists_jaccard050.jsonl.gz"
    lists = pd.read_json(path, lines=True)[["list_id", "playlist_id", "tracks"]].explode("tracks")
    tracks = pd.read_csv(folder / "playlists-spa-large" / "tracks.csv.gz").set_index("track_id")
    frame = lists.join(tracks[["title", "artists", "album", "duration_s"]], on="tracks").astype({"list_id": str})
    return segue.from_dataframe(
        frame,
        playlist="list_id",
        track="tracks",
        group="playlist_id",
        artist="artists",
        duration="duration_s",
        features={"duration": ["duration_s"]},
        fields={"record": "album", "name": "title"},
        permission="test",
    )


SETS: dict[str, Callable[[Path], Playlists]] = {
    "spa": lambda folder: segue.read_playlists(folder / "playlists-spa", permission="test"),
    "spa-large": large,
    "mpd5k": lambda folder: segue.read_playlists(folder / "playlists-mpd5k" / "playlists.csv.gz", position="pos"),
    "LastFM": lambda folder: yardstick(folder, "LastFM"),
    "Beauty": lambda folder: yardstick(folder, "Beauty"),
}


@pytest.fixture(scope="module", params=SETS)
def playlists(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Playlists:
    """Return one of the sets, with its catalogue, whose columns have passed the check for labels of playlists."""
    data = SETS[request.param](shared_data)
    assert data.described.label_notes == ()
    return data


@pytest.mark.parametrize("protocol", ["playlist_disjoint", "leave_last_out", "item_cold", "artist_disjoint"])
def test_clean_split_raises_no_alarm(playlists: Playlists, protocol: str) -> None:
    if protocol == "artist_disjoint" and not playlists.corpus.tracks["artist"].null_count < playlists.corpus.n_items:
        pytest.skip("the tracks of this set have no artists")
    # copies of test playlists are in these sets, and a run stops for them by default
    split = playlists.split(protocol, **({"equal_lists": "drop"} if protocol == "playlist_disjoint" else {}))
    assert len(split.train) and len(split.valid) and len(split.test)


def test_equal_systems_are_not_called_different(playlists: Playlists) -> None:
    split = playlists.split(equal_lists="drop")
    results = [
        segue.evaluate(
            segue.RandomOrder(seed=seed, name=f"random-{seed}").fit(split.train),
            split.test,
            ["recall@500", "ndcg@500"],
            rankings=0,
        )
        for seed in (1, 2)
    ]
    rows = segue.compare(*results).to_dict("records")
    rows = [row for row in rows if row["slice"] == "all"]
    assert len(rows) == 2 and not any(shown(row) for row in rows)

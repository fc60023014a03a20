from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from toolkit.catalogue.readers.auto import detect
from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.errors import DataError


def test_mpd_slices_are_read_in_playlist_order_and_tracks_by_position(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(MpdReader(files / "mpd").read()))

    assert playlists == [
        PlaylistRecord(
            "mpd:0", ["spotify:track:a", "spotify:track:b", "spotify:track:a"], "Throwbacks", time=1493424000
        ),
        PlaylistRecord("mpd:1", ["spotify:track:b", "spotify:track:c"], "Späti", "corner shop", time=1493424000),
        PlaylistRecord("mpd:2", ["spotify:track:c", "spotify:track:d"], time=1493424000),
        PlaylistRecord("mpd:10", ["spotify:track:a", "spotify:track:d"], "Last", time=1493424000),
    ]
    assert list(tracks) == [f"spotify:track:{letter}" for letter in "abcd"]
    assert tracks["spotify:track:c"] == TrackRecord(
        "spotify:track:c",
        "Song C",
        ("Bo",),
        ("spotify:artist:bo",),
        "Second",
        "spotify:album:second",
        299.0,
        source="mpd",
    )


def test_challenge_set_playlists_have_only_seeds(files: Path, sorted_out) -> None:
    _, playlists = sorted_out(list(MpdReader(files / "challenge").read()))

    assert playlists == [
        PlaylistRecord("mpd:1000000", [], "title only"),
        PlaylistRecord("mpd:1000001", ["spotify:track:a", "spotify:track:e"]),
    ]


@pytest.mark.parametrize("cut", [20, 600, 1500])
def test_truncated_slice_raises_with_file_and_byte(cut: int, files: Path, tmp_path: Path) -> None:
    whole = (files / "mpd" / "mpd.slice.0-1.json").read_bytes()
    (tmp_path / "mpd.slice.0-1.json").write_bytes(whole[:cut])

    with pytest.raises(DataError, match=rf"mpd\.slice\.0-1\.json: is not a slice \(.*truncated at byte {cut}\)"):
        list(MpdReader(tmp_path).read())


def test_skip_drops_broken_slices_and_playlists(files: Path, tmp_path: Path, sorted_out) -> None:
    for file in (files / "mpd").iterdir():
        shutil.copy(file, tmp_path)
    broken = json.loads((tmp_path / "mpd.slice.0-1.json").read_text())
    del broken["playlists"][0]["tracks"][1]["track_uri"]
    (tmp_path / "mpd.slice.0-1.json").write_text(json.dumps(broken))
    (tmp_path / "mpd.slice.10-10.json").write_text("{")
    reader = MpdReader(tmp_path, on_error="skip")

    _, playlists = sorted_out(list(reader.read()))

    assert [playlist.id for playlist in playlists] == ["mpd:1", "mpd:2"]
    assert reader.skipped.count == 2
    assert (
        "mpd.slice.0-1.json, playlist 0: Object missing required field `track_uri` - at `$.tracks[1]`"
        in reader.skipped.examples[0]
    )


def test_truncated_gzipped_slice_is_recognised(files: Path, tmp_path: Path) -> None:
    whole = gzip.compress(next(files.rglob("mpd.slice.0-1.json")).read_bytes())
    cut = tmp_path / "mpd.slice.0-1.json.gz"
    cut.write_bytes(whole[: len(whole) - 20])
    assert detect(cut) == "mpd"
    with pytest.raises(DataError, match="truncated gzip file"):
        list(MpdReader(cut).read())

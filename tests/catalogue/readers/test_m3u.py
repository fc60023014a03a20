from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from toolkit.catalogue.readers.m3u import M3uParams, M3uReader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.errors import DataError, InputError


def test_m3u_directives_give_metadata_and_ids(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(M3uReader(files / "m3u").read()))

    assert playlists == [
        PlaylistRecord("nested/caf.m3u", ["local:music/go.ogg", "local:/abs/else.ogg"], "caf"),
        PlaylistRecord(
            "road.m3u8",
            ["local:music/go.ogg", "local:music/stop.ogg", "spotify:track:3n3Ppam7vgaVa1iaRUc9Lp"],
            "Road trip",
        ),
    ]
    assert tracks["local:music/go.ogg"] == TrackRecord(
        "local:music/go.ogg", "Déjà", ("Beyoncé",), duration_s=10.0, source="m3u"
    )
    assert tracks["local:music/stop.ogg"] == TrackRecord(
        "local:music/stop.ogg", "Stop", ("Bo",), (), "Wheels", source="m3u"
    )


def test_m3u_title_keeps_further_dashes(files: Path, sorted_out) -> None:
    tracks, _ = sorted_out(list(M3uReader(files / "m3u" / "road.m3u8").read()))

    assert tracks["local:music/go.ogg"] == TrackRecord(
        "local:music/go.ogg", "Go - Live", ("Ann",), (), "Wheels", None, 215.0, source="m3u"
    )


def test_option_audio_stores_m3u_audio_files(tmp_path: Path) -> None:
    (tmp_path / "x.ogg").write_bytes(b"OggS")
    (tmp_path / "x.m3u").write_text("x.ogg\ngone.ogg\n")

    tracks = list(M3uReader(tmp_path, M3uParams(audio=True)).read())[:2]

    assert [sorted(track.fields) for track in tracks] == [["audio"], []]
    assert tracks[0].fields["audio"].value == tmp_path / "x.ogg"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.m3u", b"#EXTINF:soon,Ann - Go\na.ogg\n", r"x\.m3u, line 1: #EXTINF:soon,Ann - Go must start with a number"),
        (
            "x.m3u",
            b"#EXTINF:" + b"9" * 400 + b",Ann - Go\na.ogg\n",
            r"x\.m3u, line 1: #EXTINF:9{80} must start with a number",
        ),
        ("x.m3u8", b"caf\xe9.ogg\n", r"x\.m3u8: must be UTF-8 because of the suffix \.m3u8 \(byte 3\)"),
        ("x.m3u8", b"#EXTM3U\n#EXT-X-VERSION:3\nseg0.ts\n", r"x\.m3u8: must be a playlist and not an HLS stream"),
        ("x.m3u", b"#EXTM3U\n", r"x\.m3u: must contain a track"),
    ],
)
def test_bad_m3u_file_raises(name: str, text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text)

    with pytest.raises(DataError, match=message):
        list(M3uReader(tmp_path).read())


def test_unreadable_folder_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.m3u").write_text("a.mp3\n")
    scandir = os.scandir

    def refused(path: Path) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(
        InputError,
        match=r"locked cannot be read \(Permission denied\): allow reading it, or set `path`",
    ):
        list(M3uReader(tmp_path).read())


def test_invalid_url_in_m3u_is_kept_as_id(tmp_path: Path) -> None:
    (tmp_path / "a.m3u").write_text("http://[x\nhttp://x]/y\n//[z\n")
    ids = [record.id for record in M3uReader(tmp_path).read() if isinstance(record, TrackRecord)]
    assert ids == ["http://[x", "http://x]/y", "local://[z"]


def test_skip_continues_with_the_next_m3u_file(tmp_path: Path) -> None:
    (tmp_path / "a.m3u8").write_bytes(b"caf\xe9.ogg\n")
    (tmp_path / "b.m3u8").write_bytes(b"#EXTINF:soon,Ann - Go\nb.ogg\n")
    reader = M3uReader(tmp_path, on_error="skip")

    records = list(reader.read())

    assert records == [TrackRecord("local:b.ogg", source="m3u"), PlaylistRecord("b.m3u8", ["local:b.ogg"], "b")]
    assert reader.skipped.count == 2

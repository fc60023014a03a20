"""Tests of the XSPF and JSPF readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.catalogue.readers.jspf import JspfReader
from toolkit.catalogue.readers.xspf import XspfReader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.errors import DataError

BOMB = """<?xml version="1.0"?>
<!DOCTYPE playlist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<playlist xmlns="http://xspf.org/ns/0/"><title>&b;</title>
<trackList><track><title>x</title></track></trackList></playlist>"""


def test_jspf_gives_tracks_and_ids(files: Path) -> None:
    assert list(JspfReader(files / "jspf").read()) == [
        TrackRecord(
            "mbid:e97f805a-ab48-4c52-855e-07049142113d", "Rain", ("Ann",), (), "First", None, 201.0, source="jspf"
        ),
        TrackRecord("spotify:track:abc123", "Sun", source="jspf"),
        TrackRecord("local:bo - only named", "Only  Named", ("Bo",), source="jspf"),
        PlaylistRecord(
            "mix.jspf",
            ["mbid:e97f805a-ab48-4c52-855e-07049142113d", "spotify:track:abc123", "local:bo - only named"],
            "Mix",
            "two songs",
        ),
    ]


def test_xspf_gives_tracks_and_ids(files: Path) -> None:
    assert list(XspfReader(files / "xspf" / "mix.xspf").read()) == [
        TrackRecord("local:/music/go now.ogg", "Go", ("Ann",), (), "First", None, 271.066, source="xspf"),
        TrackRecord("isrc:GBAAA0000001", source="xspf"),
        TrackRecord("https://example.org/sun.ogg", source="xspf"),
        PlaylistRecord(
            "mix.xspf", ["local:/music/go now.ogg", "isrc:GBAAA0000001", "https://example.org/sun.ogg"], "Mix & more"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "must not declare a DOCTYPE"),
        ('<!DOCTYPE p SYSTEM "file:///etc/hostname"><p/>', "must not declare a DOCTYPE"),
        ("<playlist", "is not XML"),
        ("<rss/>", "must have the root element playlist .* has 'rss'"),
        (
            '<playlist xmlns="http://xspf.org/ns/0/"><trackList><track/></trackList></playlist>',
            "track 0: must have an identifier, location or title",
        ),
        (
            '<playlist xmlns="http://xspf.org/ns/0/"><trackList>'
            "<track><title>x</title><duration>3:30</duration></track></trackList></playlist>",
            "track 0: duration '3:30' must be a whole number",
        ),
        (
            '<playlist xmlns="http://xspf.org/ns/0/"><trackList>'
            f"<track><duration>{'9' * 400}</duration></track></trackList></playlist>",
            "track 0: duration '9{78}… must be a whole number",
        ),
    ],
)
def test_bad_xspf_raises(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.xspf").write_text(text)

    with pytest.raises(DataError, match=rf"x\.xspf.*{message}"):
        list(XspfReader(tmp_path / "x.xspf").read())


@pytest.mark.parametrize("text", ['{"playlist": {"track": [{"title": 3}]}}', '{"playlist"', '{"list": []}'])
def test_skip_drops_only_bad_jspf_files(text: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jspf").write_text(text)
    (tmp_path / "b.jspf").write_bytes((files / "jspf" / "mix.jspf").read_bytes())
    reader = JspfReader(tmp_path, on_error="skip")

    assert len(list(reader.read())) == 4
    assert reader.skipped.count == 1
    assert "a.jspf: is not JSPF" in reader.skipped.examples[0]

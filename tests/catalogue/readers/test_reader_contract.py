"""What every reader does: stream the same records twice, say ids with schemes, name what is missing or empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import plugins
from toolkit.catalogue.readers.auto import detect
from toolkit.catalogue.records import NamedPlaylist, PlaylistRecord, TrackRecord
from toolkit.errors import DataError, InputError

PLACES = {
    "mpd": "mpd",
    "csv": "csv/described.tsv",
    "jsonl": "jsonl/playlists.jsonl",
    "m3u": "m3u",
    "jspf": "jspf/mix.jspf",
    "xspf": "xspf",
    "recbole": "recbole/tiny.inter",
    "archive": "archive",
    "triplets": "triplets/small_triplets.txt",
}
EMPTY = {
    "mpd": ("mpd.slice.0-0.json", '{"playlists": []}'),
    "csv": ("empty.csv", "playlist_id,track_id\n"),
    "jsonl": ("empty.jsonl", ""),
    "m3u": ("empty.m3u", "#EXTM3U\n"),
    "jspf": ("empty.jspf", '{"playlist": {"track": []}}'),
    "xspf": ("empty.xspf", '<playlist xmlns="http://xspf.org/ns/0/"><trackList/></playlist>'),
    "recbole": ("empty.inter", "playlist_id:token\ttrack_id:token\n"),
    "triplets": ("train_triplets.txt", ""),
}


@pytest.mark.parametrize("name", PLACES)
def test_second_read_is_the_same(name: str, files: Path) -> None:
    reader = plugins.load("segue.readers", name)(files / PLACES[name])

    first, second = list(reader.read()), list(reader.read())

    assert first == second
    assert reader.skipped.count == 0


@pytest.mark.parametrize("name", PLACES)
def test_in_brief_the_playlists_and_names_are_the_same(name: str, files: Path) -> None:
    reader = plugins.load("segue.readers", name)(files / PLACES[name])
    whole = list(reader.read())
    titles = {record.id: record.title for record in whole if isinstance(record, TrackRecord)}
    playlists, named = [], {}
    for record in reader.brief():
        playlist = record.playlist if isinstance(record, NamedPlaylist) else record
        if isinstance(playlist, TrackRecord):
            named[playlist.id] = playlist.title
        else:
            playlists.append(playlist)
        if isinstance(record, NamedPlaylist):
            named |= dict(zip(playlist.tracks, record.names(range(len(playlist.tracks)))[0], strict=True))

    assert playlists == [record for record in whole if isinstance(record, PlaylistRecord)]
    assert {track: title for track, title in named.items() if title} == {track: title for track, title in titles.items() if title}


@pytest.mark.parametrize("name", PLACES)
def test_every_id_carries_a_scheme_and_tracks_come_once(name: str, files: Path) -> None:
    records = list(plugins.load("segue.readers", name)(files / PLACES[name]).read())
    tracks = [record.id for record in records if isinstance(record, TrackRecord)]
    placed = [track for record in records if isinstance(record, PlaylistRecord) for track in record.tracks]

    assert [track for track in tracks + placed if ":" not in track] == []
    assert len(set(tracks)) == len(tracks)


@pytest.mark.parametrize("name", PLACES)
def test_detected(name: str, files: Path) -> None:
    assert detect(files / PLACES[name]) == name


@pytest.mark.parametrize("name", PLACES)
def test_missing_path_is_named(name: str, tmp_path: Path) -> None:
    reader = plugins.load("segue.readers", name)(tmp_path / "nowhere")

    with pytest.raises(InputError, match="nowhere does not exist"):
        list(reader.read())


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("name", EMPTY)
def test_no_playlist_is_an_error(name: str, on_error: str, tmp_path: Path) -> None:
    file, text = EMPTY[name]
    (tmp_path / file).write_text(text)

    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        list(plugins.load("segue.readers", name)(tmp_path / file, on_error=on_error).read())


def test_detect_names_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.csv does not exist"):
        detect(tmp_path / "gone.csv")


def test_detect_lists_the_readers_for_an_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk\n")

    with pytest.raises(InputError, match=r"no reader recognises .*notes\.txt: choose one of archive, corpus, csv"):
        detect(tmp_path / "notes.txt")


def test_detect_refuses_to_choose(tmp_path: Path) -> None:
    (tmp_path / "a.m3u").write_text("a.ogg\n")
    (tmp_path / "a.jspf").write_text("{}")

    with pytest.raises(InputError, match="could be jspf or m3u"):
        detect(tmp_path)

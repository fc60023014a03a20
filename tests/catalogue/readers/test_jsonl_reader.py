from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.catalogue.readers.jsonl import JsonlParams, JsonlReader
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.errors import DataError, InputError


def reader(path: Path, on_error: str = "stop", **options) -> JsonlReader:
    return JsonlReader(path, JsonlParams(**options), on_error=on_error)


def test_jsonl_tracks_can_be_ids_or_objects(files: Path, sorted_out) -> None:
    tracks, playlists = sorted_out(list(reader(files / "jsonl" / "playlists.jsonl", features=["energy"]).read()))

    assert playlists == [
        PlaylistRecord("1", ["local:a", "local:b"], "Morning", None, "g"),
        PlaylistRecord("2", ["mbid:0c8d3ba6-0000-4000-8000-000000000001", "local:12", "local:a"], split="test"),
    ]
    assert tracks["local:b"] == TrackRecord(
        "local:b", "Bee", ("Bo", "Cy"), (), "Hive", None, 61.5, {"features": Field([0.5, 0.25], "jsonl")}, "jsonl"
    )


def test_second_jsonl_file_adds_track_metadata(files: Path, sorted_out) -> None:
    options = {"tracks": {"file": "tracks.jsonl", "features": {"sound": ["vector"]}, "fields": {"lyrics": "words"}}}

    tracks, _ = sorted_out(list(reader(files / "jsonl" / "playlists.jsonl", **options).read()))

    assert tracks["local:a"].fields == {"lyrics": Field("la la", "jsonl"), "sound": Field([1.0, 2.0, 3.0], "jsonl")}
    assert tracks["local:z"].title == "Zed"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "2", "tracks": ["a"', "line 2: is not a JSON object: .*truncated"),
        ("[1]", "line 2: is not a JSON object: Expected `object`, got `array`"),
        (
            '{"id": "2", "tracks": [], "x": ' + "[" * 50_000 + "]" * 50_000 + "}",
            "line 2: is not a JSON object: maximum recursion depth",
        ),
        ('{"tracks": ["a"]}', r"line 2: has no 'id' \(option playlist\)"),
        ('{"id": "", "tracks": ["a"]}', "line 2: has an empty 'id'"),
        ('{"id": "2", "tracks": "a"}', "line 2: 'tracks' must be a list"),
        ('{"id": [2], "tracks": ["a"]}', r"line 2: 'id'=\[2\] must be text or a number"),
        ('{"id": "2", "title": {}, "tracks": ["a"]}', "line 2: 'title'={} must be text or a number"),
    ],
)
def test_bad_jsonl_lines_raise_or_are_skipped_and_counted(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"id": "1", "tracks": ["a"]}}\n{line}\n{{"id": "3", "tracks": ["b"]}}\n')
    skipping = reader(path, "skip")

    with pytest.raises(DataError, match=message):
        list(reader(path).read())
    assert [record.id for record in skipping.read()] == ["1", "3"]
    assert skipping.skipped.count == 1


def test_bad_track_is_dropped_from_the_playlist(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "1", "tracks": ["a", null, {"title": "b"}, {"id": {}}, "c"]}\n')
    skipping = reader(path, "skip")

    assert list(skipping.read()) == [PlaylistRecord("1", ["local:a", "local:c"])]
    assert "line 1, track 1: None must be an id or an object" in skipping.skipped.examples[0]
    assert skipping.skipped.count == 3


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        (
            '"artist": {"name": "Bo"}',
            {},
            r"'artist'={'name': 'Bo'} must be text or a number: set the option to another key",
        ),
        ('"artist": ["Bo", {"name": "Cy"}]', {}, r"'artist'={'name': 'Cy'} must be text"),
        ('"artist_id": [["x"]]', {}, r"'artist_id'=\['x'\] must be text"),
        ('"title": ["Bee"]', {}, r"'title'=\['Bee'\] must be text"),
        ('"album": {}', {}, "'album'={} must be text"),
        ('"album_id": true', {}, "'album_id'=True must be text"),
        ('"duration": [61]', {}, r"'duration'=\[61\] must be text"),
        ('"words": ["la"]', {"fields": {"lyrics": "words"}}, r"'words'=\['la'\] must be text"),
        (
            '"words": {"a": "' + 200 * "b" + '"}',
            {"fields": {"lyrics": "words"}},
            r"'words'={'a': 'b{72}… must be text",
        ),
        ('"cover": {"url": "x"}', {"images": {"cover": "cover"}}, "'cover'={'url': 'x'} must be text"),
    ],
)
def test_nested_value_instead_of_text_is_a_bad_record(cell: str, options: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "1", "tracks": ["a"]}\n{"id": "2", "tracks": [{"id": "b", ' + cell + "}]}\n")
    skipping = reader(path, "skip", **options)

    with pytest.raises(DataError, match=f"x.jsonl, line 2, track 0: {message}.*on_error: skip"):
        list(reader(path, **options).read())
    assert list(skipping.read()) == [
        PlaylistRecord("1", ["local:a"]),
        TrackRecord("local:b", source="jsonl"),
        PlaylistRecord("2", ["local:b"]),
    ]
    assert skipping.skipped.count == 1


def test_integer_too_large_for_a_float_is_a_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "1", "tracks": [{"id": "b", "energy": 1' + 400 * "0" + "}]}\n")
    skipping = reader(path, "skip", features={"sound": ["energy"]})

    with pytest.raises(DataError, match=r"x.jsonl, line 1, track 0: feature 10{78}… of energy must be a finite number"):
        list(reader(path, features={"sound": ["energy"]}).read())
    assert list(skipping.read()) == [TrackRecord("local:b", source="jsonl"), PlaylistRecord("1", ["local:b"])]


def test_key_that_never_occurs_raises(files: Path) -> None:
    with pytest.raises(InputError, match="no key 'nmae' in any line"):
        list(reader(files / "jsonl" / "playlists.jsonl", playlist_title="nmae").read())

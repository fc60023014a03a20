"""Tests of demo records: unique names, valid fields, missing rates, and signal of each modality."""

from __future__ import annotations

import hashlib
import io
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.demo import sound
from segue.datasets.demo.covers import cover
from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_reader import DemoReader
from segue.datasets.demo.lexicon import with_articles
from segue.datasets.demo.random_streams import RESERVED
from segue.datasets.demo.tastes import TASTES, shares
from toolkit import plugins
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.constants import AUDIO_FEATURES

SMALL = {"tracks": 200, "artists": 30, "playlists": 60}
PARTS = ("audio_features", "lyrics", "biography", "cover")


def small(*parts: str) -> list[Record]:
    return list(DemoReader(params=DemoParams(**SMALL, fields=list(parts))).read())


@pytest.fixture(scope="module")
def reader() -> DemoReader:
    return DemoReader(Path("."))


@pytest.fixture(scope="module")
def records(reader: DemoReader) -> list[Record]:
    return list(reader.read())


@pytest.fixture(scope="module")
def tracks(records: list[Record]) -> list[TrackRecord]:
    return [record for record in records if isinstance(record, TrackRecord)]


def test_records_of_seed_0_are_unchanged() -> None:
    """Covers are excluded because their bytes depend on the image library's version."""
    told = [
        [record.id, record.title, record.tracks, record.split]
        if isinstance(record, PlaylistRecord)
        else [
            record.id,
            record.title,
            record.artists,
            record.album,
            record.duration_s,
            [field.value for field in record.fields.values()],
        ]
        for record in small("audio_features", "lyrics", "biography")
    ]
    assert hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest() == "9d34699135bce788d884f37bbe1cd9ac"


def test_field_subset_does_not_change_other_fields() -> None:
    whole = small(*PARTS)
    for count in range(len(PARTS)):
        for chosen in combinations(PARTS, count):
            for full, part in zip(whole, small(*chosen), strict=True):
                if isinstance(full, PlaylistRecord):
                    assert part == full
                    continue
                assert isinstance(part, TrackRecord)
                assert part.fields == {name: field for name, field in full.fields.items() if name in chosen}
                assert (part.id, part.title, part.artists, part.album, part.duration_s) == (
                    full.id,
                    full.title,
                    full.artists,
                    full.album,
                    full.duration_s,
                )


def test_reserved_streams_do_not_change_records() -> None:
    reader = DemoReader(params=DemoParams(**SMALL))
    drawn = [reader.story.streams.of(name, index).random(1000) for name in RESERVED for index in range(3)]
    assert len({row.tobytes() for row in drawn}) == 3 * len(RESERVED)
    assert list(reader.read()) == small(*PARTS)


def test_names_are_unique(tracks: list[TrackRecord]) -> None:
    assert len({track.id for track in tracks}) == len({track.title for track in tracks}) == 2000
    assert len({track.artists for track in tracks}) == len({track.artist_ids for track in tracks}) == 300
    assert len({track.album for track in tracks}) == len({track.album_id for track in tracks})


def test_playlist_records_match_story(reader: DemoReader, records: list[Record]) -> None:
    playlists = [record for record in records if isinstance(record, PlaylistRecord)]
    assert len(playlists) == 3000 and len({playlist.id for playlist in playlists}) == 3000
    story = reader.story
    assert playlists[5].tracks == [f"demo:track:{track}" for track in story.lists.tracks[5]]
    assert [playlist.split for playlist in playlists] == story.lists.split.tolist()
    assert {playlist.group for playlist in playlists} == {None}
    assert 0.15 < np.mean([playlist.title is None for playlist in playlists]) < 0.25


def test_fields_are_missing_at_the_documented_rates(tracks: list[TrackRecord]) -> None:
    share = {part: np.mean([part in track.fields for track in tracks]) for part in PARTS}
    assert share["audio_features"] == 1
    assert share["lyrics"] == pytest.approx(0.9, abs=0.03)
    assert share["biography"] == pytest.approx(0.85, abs=0.06)
    assert share["cover"] == pytest.approx(0.9, abs=0.04)
    assert all(field.source == "demo" and field.train_allowed for track in tracks for field in track.fields.values())


def test_shared_fields_are_equal_within_artist_or_album(tracks: list[TrackRecord]) -> None:
    for part, entity, key in (
        ("biography", "artist", lambda t: t.artist_ids),
        ("cover", "album", lambda t: t.album_id),
    ):
        seen: dict = {}
        for track in tracks:
            value = track.fields.get(part)
            assert seen.setdefault(key(track), value) == value
            assert value is None or value.entity == entity
        assert 100 < len(seen) < 1000


def test_audio_features_are_in_range(tracks: list[TrackRecord]) -> None:
    values = np.array([track.fields["audio_features"].value for track in tracks], dtype=float)
    assert values.shape == (2000, 11) == (2000, len(AUDIO_FEATURES))
    assert (values >= sound.LOW).all() and (values <= sound.HIGH).all()
    assert set(values[:, sound.KEY]) == set(range(12)) and set(values[:, sound.MODE]) == {0, 1}
    tempo, loudness = values[:, AUDIO_FEATURES.index("tempo")], values[:, AUDIO_FEATURES.index("loudness")]
    assert 100 < tempo.mean() < 140 and tempo.std() > 10
    assert -15 < loudness.mean() < -5


def test_covers_are_deterministic_images(tracks: list[TrackRecord]) -> None:
    pictures = {track.album_id: track.fields["cover"].value for track in tracks if "cover" in track.fields}
    assert len(set(pictures.values())) == len(pictures) > 600
    value = next(iter(pictures.values()))
    assert isinstance(value, bytes)
    with Image.open(io.BytesIO(value)) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (128, 128), "RGB")
    taste = np.eye(12)[3]
    assert cover(taste, 0.5, np.random.default_rng(1)) == cover(taste, 0.5, np.random.default_rng(1))
    assert cover(taste, 0.5, np.random.default_rng(1)) != cover(taste, 0.5, np.random.default_rng(2))


def test_sound_with_theme_or_palette_distinguishes_all_tastes() -> None:
    assert len({(taste.family, taste.theme) for taste in TASTES}) == 12
    assert len({(taste.family, taste.palette) for taste in TASTES}) == 12
    assert shares(np.array([0.5, 0.25, 0, 0.25]), "family") == {"acoustic": 0.75, "band": 0.25}


def test_with_articles_uses_an_before_vowels() -> None:
    assert (
        with_articles("A early light and a pale acorn, a electric anchor")
        == "An early light and a pale acorn, an electric anchor"
    )


def test_joint_modalities_predict_tastes_better_than_single_modalities(
    reader: DemoReader, tracks: list[TrackRecord]
) -> None:
    """Main tastes are learned on even artists and tested on odd artists."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeClassifier

    world = reader.story.world
    rows = np.array([row for row, track in enumerate(tracks) if len(track.fields) == 4])
    known, asked = rows[world.track_artist[rows] % 2 == 0], rows[world.track_artist[rows] % 2 == 1]
    features = np.array([track.fields["audio_features"].value for track in tracks], dtype=float)
    inputs = {"audio_features": (features - features.mean(axis=0)) / features.std(axis=0)}
    for part in ("lyrics", "biography"):
        texts = [str(track.fields[part].value) if part in track.fields else "" for track in tracks]
        inputs[part] = 5 * TfidfVectorizer(sublinear_tf=True).fit_transform(texts).toarray()
    inputs["cover"] = 5 * np.array([_colours(track) for track in tracks])
    inputs["sound and words"] = np.hstack([inputs["audio_features"], inputs["lyrics"]])
    inputs["all"] = np.hstack([inputs[part] for part in PARTS])
    taste = world.taste.argmax(axis=1)
    right = {
        name: RidgeClassifier().fit(x[known], taste[known]).score(x[asked], taste[asked]) for name, x in inputs.items()
    }
    assert min(right.values()) > 2 / 12
    assert right["sound and words"] > max(right["audio_features"], right["lyrics"]) + 0.1
    assert right["all"] > max(right[name] for name in inputs if name != "all") + 0.05


def _colours(track: TrackRecord) -> np.ndarray:
    """Return a histogram over 64 colours."""
    if "cover" not in track.fields:
        return np.zeros(64)
    value = track.fields["cover"].value
    assert isinstance(value, bytes)
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(value))) // 64, -1, 0)
    return np.bincount((red * 16 + green * 4 + blue).ravel(), minlength=64) / 128**2


def test_demo_reader_is_entry_point_and_never_auto_detected(tmp_path: Path) -> None:
    assert plugins.load("segue.readers", "demo") is DemoReader
    assert not DemoReader.recognises(tmp_path)


def test_tags_are_shared_by_artist_and_mostly_genres() -> None:
    reader = DemoReader(params=DemoParams(**SMALL, fields=["tags"]))
    world, genres = reader.story.world, [taste.genre for taste in TASTES]
    told: dict[int, set[str]] = {}
    for track, record in enumerate(record for record in reader.read() if isinstance(record, TrackRecord)):
        if "tags" in record.fields:
            told.setdefault(int(world.track_artist[track]), set()).add(str(record.fields["tags"].value))
    assert all(len(texts) == 1 for texts in told.values()) and 20 <= len(told) < 30
    lists = {artist: texts.pop().split(", ") for artist, texts in told.items()}
    assert all(3 <= len(tags) <= 6 and len(set(tags)) == len(tags) for tags in lists.values())
    named = [(world.artist_taste[artist], tag) for artist, tags in lists.items() for tag in tags if tag in genres]
    # of tags drawn at random one in eight would
    assert 0.6 < np.mean([taste[genres.index(tag)] > 0 for taste, tag in named]) < 1

"""Tests of artist fields, which default to the fields of the tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.catalogue.artist_catalogue import ArtistCatalogue
from toolkit.catalogue.records import Field, TrackRecord
from toolkit.errors import InputError


def _track(number: int, artists: dict[str, str], **fields: Field) -> TrackRecord:
    return TrackRecord(
        f"local:{number}",
        f"Title {number}",
        tuple(artists.values()),
        tuple(artists),
        duration_s=100.0 * number,
        fields=fields,
        source="files",
    )


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> ArtistCatalogue:
    made = ArtistCatalogue.open(tmp_path_factory.mktemp("artists") / "c.sqlite")
    ann, bob, cy = {"a:ann": "Ann"}, {"a:bob": "Bob"}, {"a:cy": "Cy, and friends"}
    biography = Field("Ann sings.", source="wiki", entity="artist", train_allowed=True)
    made.add(
        [
            _track(1, ann, biography=biography, sound=Field([1.0, 2.0], source="x", train_allowed=True)),
            _track(
                2, ann | bob, sound=Field([3.0, 6.0], source="x", train_allowed=None), lyrics=Field("la la", source="y")
            ),
            _track(3, bob, sound=Field([5.0, 0.0], source="x", train_allowed=True)),
            _track(4, cy),
        ]
    )
    return made


def test_artist_field_is_not_shared_with_other_artists_of_a_track(catalogue: ArtistCatalogue) -> None:
    present, values = catalogue.field_values("biography", ["a:ann", "a:bob", "a:cy"])
    assert present.tolist() == [True, False, False] and values == ["Ann sings."]


def test_artist_vectors_are_means_and_texts_are_from_the_first_track(catalogue: ArtistCatalogue) -> None:
    present, values = catalogue.field_values("sound", ["a:bob", "a:ann", "a:cy"])
    assert present.tolist() == [True, True, False]
    np.testing.assert_array_equal(np.stack(values), [[4, 3], [2, 4]])
    assert catalogue.field_values("lyrics", ["a:ann", "a:bob"])[1] == ["la la", "la la"]
    assert catalogue.field_values("title", ["a:bob"])[1] == ["Title 3"]  # the first on which Bob is named first
    assert catalogue.field_values("duration", ["a:bob", "a:ann"])[1] == [250.0, 150.0]


def test_artist_mean_has_no_training_permission_unless_all_tracks_have_it(catalogue: ArtistCatalogue) -> None:
    found = catalogue.provenance("sound", ["a:ann"])
    assert found == [{"field": "sound", "source": "x", "train_allowed": None, "n": 1}]


def test_artist_ids_resolve_to_names_and_templates(catalogue: ArtistCatalogue) -> None:
    assert catalogue.field_values("artist", ["a:cy", "a:ann"])[1] == ["Cy, and friends", "Ann"]
    assert catalogue.field_values("artist_id", ["a:cy", "gone"])[1] == ["a:cy"]
    assert catalogue.field_values("{artist}: {biography}", ["a:ann"])[1] == ["Ann: Ann sings."]
    with pytest.raises(InputError, match="no field 'biografy': did you mean 'biography'"):
        catalogue.field_values("biografy", ["a:ann"])


def test_credits_keep_the_order_of_tracks(catalogue: ArtistCatalogue, tmp_path: Path) -> None:
    tracks, of, artists = catalogue.credits(["local:4", "local:2", "local:9", "local:3"])
    assert tracks.tolist() == [0, 1, 1, 3] and of.tolist() == [0, 1, 2, 2]
    assert artists["id"].to_pylist() == ["a:cy", "a:ann", "a:bob"] and artists["artist"].to_pylist() == [
        "Cy, and friends",
        "Ann",
        "Bob",
    ]

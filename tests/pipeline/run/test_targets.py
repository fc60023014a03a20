"""Tests of encoder targets that are built from labels or factors in a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.coldstart.conftest import corpus_of
from toolkit import pipeline, run_directory
from toolkit.catalogue.records import Field, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.coldstart.factorisation import FactorStore
from toolkit.corpus.splits import PlaylistSet
from toolkit.encoders.image.image_classifier import ImageClassifierEncoder
from toolkit.errors import InputError, RecipeError
from toolkit.ingest.encoder_targets import FactorTargets, labels
from toolkit.recipe import FactorSpec, Targets, load

TAGS = ["rock, indie", "jazz", None, "rock , soul,", "jazz, rock", "indie", "metal, metal"]
IDS = [f"local:{row}" for row in range(len(TAGS))]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    made = Catalogue.open(tmp_path_factory.mktemp("labels") / "c.sqlite")
    sound = [Field([0.5, 1.0], source="demo", train_allowed=True)]
    fields = [{} if tags is None else {"tags": Field(tags, source="demo", train_allowed=True)} for tags in TAGS]
    made.add(
        TrackRecord(track, title=track, fields={**own, "sound": sound[0]})
        for track, own in zip(IDS, fields, strict=True)
    )
    return made


def test_labels_are_a_binary_matrix(catalogue: Catalogue) -> None:
    found = labels(catalogue, Targets(field="tags"), IDS, np.ones(7, bool))
    assert found.names == ["indie", "jazz", "rock"]  # soul and metal have one track each
    assert found.matrix.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert found.matrix.dtype == np.float32
    assert found.facts() == {"field": "tags", "labels": 3, "tracks": 5}


def test_only_the_most_frequent_labels_are_kept(catalogue: Catalogue) -> None:
    every = np.ones(7, bool)
    assert labels(catalogue, Targets(field="tags", most=2), IDS, every).names == ["indie", "rock"]
    assert labels(catalogue, Targets(field="tags", min_tracks=1), IDS, every).names == [
        "indie",
        "jazz",
        "metal",
        "rock",
        "soul",
    ]
    assert "rock, indie" in labels(catalogue, Targets(field="tags", separator=None, min_tracks=1), IDS, every).names


def test_only_played_tracks_have_factor_targets() -> None:
    corpus = corpus_of([[1, 1, 1], [1, 3, 3]], 3)
    offsets = corpus.offsets
    store = FactorStore(
        PlaylistSet(corpus, np.arange(2), offsets[:-1], offsets[1:]), FactorSpec(k=9, alpha=2, epsilon=1)
    )
    trained = np.array([True, False, True])
    found = FactorTargets.of(store, Targets(factors=2), trained)
    factors = store(store.spec.model_copy(update={"k": 2}))
    assert np.array_equal(found.matrix, factors.items[1:]) and found.matrix.any(axis=1).tolist() == trained.tolist()
    assert found.facts()["factors"] == 2 and found.facts()["tracks"] == 2
    feedback = found.feedback()
    # of each track the confidence of both users' plays
    expected = [[1 + 2 * np.log(4), 1 + 2 * np.log(2)], [0, 0], [0, 1 + 2 * np.log(3)]]
    assert feedback is not None and np.allclose(feedback.confidence.toarray(), expected)
    assert np.array_equal(feedback.users, factors.users)


def test_held_out_tracks_have_no_labels(catalogue: Catalogue) -> None:
    trained = np.array([True, True, True, True, True, False, True])
    found = labels(catalogue, Targets(field="tags"), IDS, trained)
    assert found.names == ["jazz", "rock"]  # of indie's two tracks one is held out
    assert not found.matrix[5].any()


def test_too_rare_or_missing_labels_raise(catalogue: Catalogue) -> None:
    with pytest.raises(
        InputError, match=r"field 'tags' has 0 labels that at least 2 training tracks have \(of 3\).* reduce min_tracks"
    ):
        labels(catalogue, Targets(field="tags"), IDS, np.array([True, True, *[False] * 5]))
    with pytest.raises(InputError, match="field 'sound' must contain texts, not ndarray"):
        labels(catalogue, Targets(field="sound"), IDS, np.ones(7, bool))
    with pytest.raises(InputError, match="no field 'genre'"):
        labels(catalogue, Targets(field="genre"), IDS, np.ones(7, bool))


COVERS = """\
name: covers
data:
  reader: demo
  options: {tracks: 240, artists: 12, playlists: 120, fields: [cover]}
  permission: {allowed: true, reason: names of artists that were made up}
encoders:
  cover:
    encoder: image-classifier
    field: cover
    params: {size: 32, patch: 4, channels: [8, 16], dim: 8, epochs: 2, bf16: "off"}
    targets: {field: artist_id}
baselines: [content-centroid]
evaluation: {split: {min_tracks: 5}, k: [20], bootstrap: 20}
report: {examples: 0}
threads: 1
"""


@pytest.fixture
def covers(tmp_path: Path) -> Path:
    (tmp_path / "covers.yaml").write_text(COVERS)
    return tmp_path / "covers.yaml"


def test_encoder_is_fitted_only_on_labels_of_training_tracks(
    covers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[tuple[int, np.ndarray]] = []
    fit = ImageClassifierEncoder.fit

    def watched(self, inputs, targets=None, **options):  # type: ignore[no-untyped-def]
        taught.append((len(inputs), targets))
        return fit(self, inputs, targets, **options)

    monkeypatch.setattr(ImageClassifierEncoder, "fit", watched)
    pipeline.run(load(covers, parameters=True), tmp_path / "run", cache=tmp_path / "cache")
    ((n, targets),) = taught
    data = json.loads((tmp_path / "run" / run_directory.DATA).read_text())
    (row,) = json.loads((tmp_path / "run" / run_directory.COVERAGE).read_text())
    # some tracks with a label have no cover to learn from
    assert 0 < n == len(targets) <= row["targets"]["tracks"] <= data["tracks"] - data["tracks_not_in_training"]
    assert row["targets"] | {"tracks": 0} == {"field": "artist_id", "labels": targets.shape[1], "tracks": 0}
    assert data["tracks_not_in_training"] > 0 and (targets.sum(axis=1) == 1).all() and row["dim"] == 8
    assert "image-classifier, on" in (tmp_path / "run" / run_directory.REPORT).read_text()
    # again: from the cache, the encoder fitted no more
    pipeline.run(load(covers), tmp_path / "again", cache=tmp_path / "cache")
    assert len(taught) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    targets: {field: artist_id}\n",
            "",
            "encoders.cover.targets is missing, but image-classifier learns to predict labels",
        ),
        (
            "encoder: image-classifier",
            "encoder: image-ae",
            "encoders.cover.targets requires an encoder that learns to predict labels or factors, unlike image-ae",
        ),
        (
            "{field: artist_id}",
            "{field: artist_id, seperator: null}",
            "encoders.cover.targets.seperator is not a key: did you mean separator?",
        ),
        ("{field: artist_id}", "{}", "encoders.cover.targets: exactly one of field=None and factors=None must be set"),
        ("{field: artist_id}", "{field: genre, factors: 8}", "exactly one of field='genre' and factors=8 must be set"),
        ("{field: artist_id}", "{factors: 8, most: 5}", "`most` can be set only with `field`: remove this key"),
        (
            "{field: artist_id}",
            "{field: genre, most: 0}",
            "encoders.cover.targets.most=0 must be greater than or equal to 1",
        ),
    ],
)
def test_invalid_encoder_targets_raise_with_line_number(covers: Path, old: str, new: str, message: str) -> None:
    text = covers.read_text().replace(old, new)
    if "image-ae" in new:
        text = text.replace("dim: 8", "latent: 8")
    covers.write_text(text)
    with pytest.raises(RecipeError, match="covers.yaml:") as caught:
        load(covers, parameters=True)
    assert message in str(caught.value)

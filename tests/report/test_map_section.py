"""Tests of the track map and the similar tracks in the report."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.report.run_files import files, write_run
from toolkit import pipeline, run_directory
from toolkit.pipeline.figures import track_map as made
from toolkit.recipe import load
from toolkit.report import scatter_plot
from toolkit.report.page import render
from toolkit.report.track_map_section import track_map

HOSTILE = '</title></svg><script>alert(1)</script>"&'


def test_map_dots_have_titles_and_positions() -> None:
    found = track_map(files()["map.json"])
    drawing = ElementTree.fromstring(found["figure"])
    told = [(path.attrib["transform"], path[0].text) for path in drawing.iter("path")]
    assert told == [  # y grows upwards; what is in no group lies below
        ("translate(285.6 468.0)", "local:3 · 0 plays"),
        ("translate(12.0 240.0)", "Harbour · Low Tide · 1,200 plays"),
        ("translate(468.0 12.0)", "A & B · C · 1 play"),
    ]
    assert [group.attrib["fill"] for group in drawing] == ["var(--muted)", "var(--s1)", "var(--s0)"]
    assert [line["name"] for line in found["legend"]] == ["rock", "<i>jazz", "others"]
    assert len({(line["shape"], line["colour"]) for line in found["legend"]}) == 3
    assert found["spaces"] == ["sasrec-multimodal", "audio"] and [
        len(near) for near in found["similar"][0]["near"]
    ] == [1, 0]
    assert track_map({}) == {} and track_map({"vectors": "a", "points": [], "among": 2, "similar": []}) == {}


def test_hostile_titles_are_escaped_in_the_map() -> None:
    (path,) = ElementTree.fromstring(scatter_plot.scatter([(0, 0, 0, HOSTILE)], label=HOSTILE)).iter("path")
    assert path[0].text == HOSTILE and len(path) == 1


def test_map_page_of_5000_tracks_is_below_3_megabytes(tmp_path: Path) -> None:
    point = {
        "id": "spotify:track:0123456789012345678901",
        "title": "<é>" * 20,
        "artist": "&" * 30,
        "plays": 99999,
        "group": 3,
    }
    place = np.random.default_rng(0).uniform(-1, 1, (5000, 2)).round(4).tolist()
    many = files() | {"map.json": files()["map.json"] | {"points": [point | {"x": x, "y": y} for x, y in place]}}
    assert render(write_run(tmp_path / "run", many)).stat().st_size < 3_000_000


def test_map_shows_the_best_model_and_similar_tracks_by_each_vector(tiny_run: Path) -> None:
    found = json.loads((tiny_run / run_directory.MAP).read_text())
    plays = [point["plays"] for point in found["points"]]
    assert (
        found["vectors"] == "sasrec-multimodal"
        and len(plays) == 40
        and plays == sorted(plays, reverse=True)
        and plays[0] > 1
    )
    assert max(max(abs(point["x"]), abs(point["y"])) for point in found["points"]) == 1
    assert [row["track"]["id"] for row in found["similar"]] == [point["id"] for point in found["points"][:3]]
    assert all(list(row["near"]) == ["sasrec-multimodal", "audio", "lyrics"] for row in found["similar"])
    for row in found["similar"]:
        assert all(
            row["track"]["id"] not in [near["id"] for near in each] and len(each) == 5 for each in row["near"].values()
        )
    page = (tiny_run / run_directory.REPORT).read_text()
    assert "Map of tracks" in page and "By lyrics" in page and page.count("<title>") == 41


RECIPE = """\
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 100, fields: [audio_features, lyrics, tags]}}
encoders:
  audio: {encoder: features, field: audio_features}
  lyrics: {encoder: tfidf, field: lyrics, params: {dim: 4}}
baselines: [popularity, content-centroid]
evaluation: {split: {min_tracks: 5}, k: [5], bootstrap: 10, slices: []}
threads: 1
"""


def test_map_of_a_run_without_models_shows_encoder_vectors(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    for name, asked in (
        ("one", "{map: 30, similar: 0}"),
        ("two", "{map: 30, similar: 1}"),
        ("none", "{map: 0, similar: 0}"),
    ):
        pipeline.run(load(path, [f"report={asked}"]), tmp_path / name, cache=tmp_path / "cache")
    one, two, none = (json.loads((tmp_path / name / run_directory.MAP).read_text()) for name in ("one", "two", "none"))
    assert one["vectors"] == "audio, lyrics" and len(one["points"]) == 30 and one["points"] == two["points"]
    told = Counter(one["groups"][point["group"]] for point in one["points"] if point["group"] >= 0)
    assert one["by"] == "tags" and [told[genre] for genre in one["groups"]] == sorted(told.values(), reverse=True)
    assert (one["similar"], len(two["similar"]), none) == ([], 1, {})
    assert "Map of tracks" not in (tmp_path / "none" / run_directory.REPORT).read_text()


PREDICTED = """\
encoders:
  lyrics:
    {encoder: tfidf-mlp, field: lyrics, targets: {factors: 4}, params: {hidden: [8, 4], epochs: 1, output: prediction}}
coldstart: {factor_map: {predicted: lyrics, genre: tags, tracks: 20, queries: 2, similar: 3}}
"""


def test_factor_map_has_track_names_and_genres(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        RECIPE[: RECIPE.index("encoders:")]
        + PREDICTED
        + "baselines: [popularity]\n"
        + RECIPE[RECIPE.index("evaluation:") :]
    )
    pipeline.run(load(path), tmp_path / "run", cache=tmp_path / "cache")
    found = json.loads((tmp_path / "run" / run_directory.FACTOR_MAP).read_text())
    assert len(found["map"]["tracks"]) == len(found["map"]["points"]) == 20 and len(found["similar"]) == 2
    assert {place for _, _, place in found["map"]["points"]} - {-1} <= set(range(len(found["map"]["genres"])))
    page = (tmp_path / "run" / run_directory.REPORT).read_text()
    assert all(f"<title>{track['title']}" in page for track in found["map"]["tracks"])


def test_map_colours_are_genres_or_quartiles_of_plays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracks, plays = np.array([4, 2, 9, 7]), np.array([9, 5, 5, 1])
    bare = SimpleNamespace(catalogue=None)
    assert made._groups(bare, tracks, plays) == ("plays in training", ["9 plays", "5 plays", "1 play"], [0, 1, 1, 2])
    monkeypatch.setattr(made, "_genres", lambda *_: ("genre", {4: "rock", 9: "rock", 7: "folk"}))
    assert made._groups(bare, tracks, plays) == ("genre", ["rock", "folk"], [0, -1, 0, 1])  # type: ignore[arg-type]


def test_concatenated_modalities_have_equal_weight_and_missing_are_zero() -> None:
    one = made.Space("a", np.array([[3.0, 4], [9, 9], [0, 0]], np.float32), np.array([True, False, False]))
    other = made.Space("b", np.array([[2.0], [-5], [1]], np.float32), np.array([True, True, False]))
    (found,) = made._concatenated([one, other])
    assert found.name == "a, b" and found.present.tolist() == [True, True, False]
    np.testing.assert_allclose(found.vectors, [[0.6, 0.8, 1], [0, 0, -1], [0, 0, 0]], atol=1e-6)
    assert made._concatenated([]) == []


def test_overlapping_marks_are_moved_apart_and_others_stay() -> None:
    rng = np.random.default_rng(0)
    # four spots of 3 % of the map, as t-SNE draws tracks of four sounds, and a lone track
    spots = np.array([[-150, -150], [150, -150], [-150, 150], [150, 150]]).repeat(40, 0) + rng.normal(0, 4, (160, 2))
    places = np.concatenate([spots, [[0.0, 0.0]]])
    moved = scatter_plot.spread(places)
    apart = np.linalg.norm(moved[:, None] - moved[None], axis=2)[~np.eye(161, dtype=bool)]
    assert apart.min() > 0.9 * scatter_plot.APART
    np.testing.assert_allclose(moved[-1], [0, 0], atol=0.02)
    # a track stays in its spot
    assert np.array_equal(np.sign(moved[:160]), np.sign(spots)) and np.abs(moved).max() <= 228
    np.testing.assert_array_equal(moved, scatter_plot.spread(places))


def test_equal_places_are_moved_apart() -> None:
    moved = scatter_plot.spread(np.zeros((2, 2)))
    assert np.linalg.norm(moved[0] - moved[1]) >= scatter_plot.APART
    assert scatter_plot.spread(np.zeros((1, 2))).tolist() == [[0, 0]]


def test_10000_marks_of_one_spot_are_spread_within_the_map() -> None:
    moved = scatter_plot.spread(np.random.default_rng(0).normal(0, 20, (10_000, 2)))
    assert np.isfinite(moved).all() and np.abs(moved).max() <= 228 and moved.std() > 30

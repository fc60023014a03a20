"""Tests of the demo's story: draws, probabilities and difficulty."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from pydantic import ValidationError

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_story import Story, inclusion
from segue.datasets.demo.lists import propensities, stations
from segue.datasets.demo.random_streams import RESERVED, USED, Streams
from segue.datasets.demo.world import World
from toolkit.errors import InputError, SegueError

SMALL = DemoParams(tracks=200, artists=30, playlists=60)


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.fixture(scope="module")
def held_out(story: Story) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each test playlist with the first 70 % of its tracks and the rest."""
    cut = [(int(p), story.lists.tracks[p]) for p in np.flatnonzero(story.lists.split == "test")]
    return [(p, tracks[: len(tracks) * 7 // 10], tracks[len(tracks) * 7 // 10 :]) for p, tracks in cut]


def ndcg(scores: np.ndarray, seeds: np.ndarray, hidden: np.ndarray, k: int = 50) -> float:
    scores = scores.astype(float)
    scores[seeds] = -np.inf
    gains = np.isin(np.argsort(-scores, kind="stable")[:k], hidden) / np.log2(np.arange(k) + 2)
    return float(gains.sum() / (1 / np.log2(np.arange(min(k, len(hidden))) + 2)).sum())


def test_story_depends_only_on_parameters_and_seed() -> None:
    assert Story(SMALL).digest == Story(SMALL).digest == "8e43c85a930b7b4f2d23817bbd51f42c"
    assert Story(SMALL.model_copy(update={"seed": 1})).digest != Story(SMALL).digest


def test_random_streams_are_independent_and_repeatable() -> None:
    firsts = [Streams(0).of(name).random() for name in USED + RESERVED]
    assert len(set(firsts)) == len(USED) + len(RESERVED)
    assert (
        Streams(0).of("cover", 3).random() == Streams(0).of("cover", 3).random() != Streams(0).of("cover", 4).random()
    )
    with pytest.raises(SegueError, match="stream 'sound' must be one of"):
        Streams(0).of("sound")


def test_story_sizes_match_parameters(story: Story) -> None:
    world, lists = story.world, story.lists
    assert (world.n_tracks, len(world.artist_style), len(lists)) == (2000, 300, 3000)
    assert set(world.track_artist) == set(range(300))
    assert np.array_equal(world.album_artist[world.track_album], world.track_artist)
    assert {name: int((lists.split == name).sum()) for name in ("train", "valid", "test")} == {
        "train": 2400,
        "valid": 300,
        "test": 300,
    }
    assert 0.15 <= world.new.mean() < 0.153


def test_latent_variables_are_valid_shares_and_indices(story: Story) -> None:
    world, lists = story.world, story.lists
    for rows in (world.taste, world.artist_taste, lists.mix):
        assert np.allclose(rows.sum(axis=1), 1) and rows.min() >= 0
    assert world.style.min() >= 0 and world.style.max() <= 1
    assert world.popularity.sum() == pytest.approx(1)
    assert np.abs(lists.stop - lists.start).min() >= 3


def test_playlists_have_unique_tracks_and_drawn_lengths(story: Story) -> None:
    lengths = [len(tracks) for tracks in story.lists.tracks]
    assert [len(set(tracks.tolist())) for tracks in story.lists.tracks] == lengths
    assert (min(lengths), max(lengths)) == (10, 45)


def test_new_releases_are_only_in_held_out_playlists(story: Story, held_out: list) -> None:
    new, lists = story.world.new, story.lists
    assert not any(
        new[tracks].any() for tracks, split in zip(lists.tracks, lists.split, strict=True) if split == "train"
    )
    share = np.concatenate([new[hidden] for _, _, hidden in held_out]).mean()
    assert 0.10 < share < 0.16


def test_stations_have_even_steps() -> None:
    assert stations(2, 10, 5).tolist() == [2, 4, 6, 8, 10]
    assert stations(10, 2, 3).tolist() == [10, 6, 2]


def test_propensities_match_hand_computed_values() -> None:
    """Two tracks are at the station and one is far off (nearness exp(-50/1.44) = 0). The second is a new release."""
    world = World(
        artist_taste=np.eye(2),
        artist_style=np.zeros(2),
        track_artist=np.array([0, 1, 1]),
        track_album=np.array([0, 1, 1]),
        album_artist=np.array([0, 1]),
        taste=np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
        style=np.array([0.0, 0.0, 1.0]),
        popularity=np.array([0.5, 0.25, 0.25]),
        new=np.array([False, True, False]),
    )
    chance = propensities(world, np.array([0.2, 0.8]), np.array([0]), new=True, off_taste=0.1)
    # liked: 0.5 x 0.2 = 0.1 and 0.25 x 0.8 = 0.2, so a third and two thirds of 0.9; a tenth by popularity
    assert chance[0] == pytest.approx([0.3 + 0.05, 0.6 + 0.025, 0.025], abs=1e-9)
    chance = propensities(world, np.array([0.2, 0.8]), np.array([0]), new=False, off_taste=0.1)
    assert chance[0] == pytest.approx([0.9 + 0.1 * 2 / 3, 0.0, 0.1 / 3], abs=1e-9)


def test_inclusion_equals_full_enumeration() -> None:
    chance = np.random.default_rng(0).gamma(0.7, size=(3, 5))
    exact = np.zeros(5)
    for order in permutations(range(5), 3):
        left, probability = np.ones(5), 1.0
        for weight, track in zip(chance, order, strict=True):
            probability *= weight[track] / (weight @ left)
            left[track] = 0
        exact[list(order)] += probability
    assert exact.sum() == pytest.approx(3)
    estimate = inclusion(chance, samples=200_000, rng=np.random.default_rng(1))
    assert estimate == pytest.approx(exact, abs=0.004)
    assert estimate.sum() == pytest.approx(3)
    one = inclusion(chance[:1], samples=1, rng=np.random.default_rng(1))
    assert one == pytest.approx(chance[0] / chance[0].sum())


def test_inclusion_sums_to_number_of_hidden_tracks_without_seeds(story: Story) -> None:
    tracks = story.lists.tracks[7]
    chances = story.inclusion(7, 5)
    assert chances.sum() == pytest.approx(len(tracks) - 5)
    assert np.abs(chances[tracks[:5]]).max() == 0
    assert story.inclusion(7, len(tracks)).sum() == 0
    with pytest.raises(InputError, match=r"shown=99 must be at most \d+, the length of playlist 7"):
        story.inclusion(7, 99)


def test_chances_are_calibrated(story: Story, held_out: list) -> None:
    """The 10 and next 40 likeliest tracks have the expected number of hidden tracks within 4 standard errors."""
    hits, expected, variance = np.zeros(2), np.zeros(2), np.zeros(2)
    for playlist, seeds, hidden in held_out:
        chances = story.inclusion(playlist, len(seeds), samples=256)
        order = np.argsort(-chances, kind="stable")
        for part, among in enumerate((order[:10], order[10:50])):
            hits[part] += np.isin(among, hidden).sum()
            expected[part] += chances[among].sum()
            variance[part] += (chances[among] * (1 - chances[among])).sum()
    assert np.all(np.abs(hits - expected) < 4 * np.sqrt(variance))


def test_popularity_is_below_item_knn_and_item_knn_below_upper_bound(story: Story, held_out: list) -> None:
    train = [tracks for tracks, split in zip(story.lists.tracks, story.lists.split, strict=True) if split == "train"]
    holds = np.zeros((len(train), story.world.n_tracks), np.float32)
    for row, tracks in zip(holds, train, strict=True):
        row[tracks] = 1
    plays = holds.sum(axis=0)
    alike = holds.T @ holds / np.sqrt(np.maximum(np.outer(plays, plays), 1))
    style, taste = story.world.style, story.world.taste
    found: dict[str, list[float]] = {name: [] for name in ("popularity", "knn", "recent knn", "content", "bound")}
    for playlist, seeds, hidden in held_out:
        recency = 0.85 ** np.arange(len(seeds))[::-1]
        near = np.exp(-0.5 * ((style - np.average(style[seeds], weights=recency)) / 0.2) ** 2)
        scores = {
            "popularity": plays,
            "knn": alike[seeds].sum(axis=0),
            "recent knn": recency @ alike[seeds],
            "content": (taste @ taste[seeds].mean(axis=0)) * near,
            "bound": story.inclusion(playlist, len(seeds), samples=256),
        }
        for name, values in scores.items():
            found[name].append(ndcg(values, seeds, hidden))
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    assert mean["popularity"] < 0.1 < 1.5 * mean["popularity"] < mean["content"]
    assert 0.25 < mean["knn"] < mean["recent knn"] < 0.4
    assert 0.5 < mean["bound"] < 0.65


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"artists": 300, "tracks": 250}, "artists=300 must be <= tracks=250"),
        ({"tastes": 13}, "12"),
        ({"trakcs": 3}, "trakcs"),
    ],
)
def test_invalid_options_raise(options: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DemoParams(**options)

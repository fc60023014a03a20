"""Tests of the upper bound: story probabilities by corpus item, and rejection of other corpora."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_story import Story
from segue.datasets.demo.upper_bound import UpperBound
from toolkit import plugins
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import PlaylistSet, Split, playlist_disjoint
from toolkit.errors import InputError, RunDirectoryError, SegueError
from toolkit.ranker import TrainingData

OPTIONS = {"tracks": 200, "artists": 30, "playlists": 120}


def corpus_of(story: Story, order: np.ndarray, playlists: np.ndarray) -> Corpus:
    """Return the story's `playlists` as a corpus with tracks numbered in `order`. Other tracks are omitted."""
    item = np.zeros(story.world.n_tracks, np.int32)
    item[order] = np.arange(1, len(order) + 1)
    lists = [item[story.lists.tracks[p]] for p in playlists]
    lists = [kept[kept > 0] for kept in lists]
    ids = [story.playlist_id(int(p)) for p in playlists]
    split = [str(story.lists.split[p]) for p in playlists]
    nothing = pa.nulls(len(ids), pa.string())
    return Corpus(
        np.concatenate(lists),
        np.concatenate([[0], np.cumsum([len(kept) for kept in lists])]),
        pa.table({"id": [story.track_id(int(track)) for track in order]}),
        pa.table({"id": ids, "title": nothing, "group": nothing, "split": split}),
    )


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(DemoParams(**OPTIONS))


@pytest.fixture(scope="module")
def corpus(story: Story) -> Corpus:
    """Return a corpus with tracks and playlists in a different order from the story."""
    rng = np.random.default_rng(5)
    return corpus_of(story, rng.permutation(200), rng.permutation(120))


@pytest.fixture(scope="module")
def split(corpus: Corpus) -> Split:
    return playlist_disjoint(corpus)


def bound_on(story: Story, corpus: Corpus) -> UpperBound:
    """Return the bound on all playlists of a corpus read from the demo catalogue of `story`."""
    bound = UpperBound(**story.params.model_dump())
    bound.story = story
    return bound.fit(TrainingData(PlaylistSet(corpus, np.arange(len(corpus)), corpus.offsets[:-1], corpus.offsets[1:])))


@pytest.fixture(scope="module")
def bound(story: Story, corpus: Corpus) -> UpperBound:
    return bound_on(story, corpus)


def test_scores_equal_story_probabilities(story: Story, corpus: Corpus, split: Split, bound: UpperBound) -> None:
    queries = split.test.queries()
    items = np.arange(1, 201)
    scores = bound.score(queries, items)
    assert scores.shape == (len(queries), 200) and scores.dtype == np.float32
    for b, row in enumerate(queries.rows if queries.rows is not None else []):
        playlist = int(corpus.playlists["id"][int(row)].as_py().removeprefix("demo:playlist:"))
        chances = story.inclusion(playlist, int(queries.lengths[b]))
        expected = [chances[int(track.removeprefix("demo:track:"))] for track in corpus.tracks["id"].to_pylist()]
        assert scores[b] == pytest.approx(expected, rel=1e-6)


def test_expected_hits_equal_hits_within_four_standard_errors(story: Story) -> None:
    """Hits among the 20 best over all playlists equal the sum of their scores within 4 standard errors."""
    everything = playlist_disjoint(replace_split(corpus_of(story, np.arange(200), np.arange(120)), "test"))
    bound = bound_on(story, everything.test.corpus)
    queries, (hidden, offsets) = everything.test.queries(), everything.test.hidden()
    ids, scores = bound.rank(queries, 20)
    hits = sum(np.isin(ids[b], hidden[offsets[b] : offsets[b + 1]]).sum() for b in range(len(queries)))
    assert abs(hits - scores.sum()) < 4 * np.sqrt((scores * (1 - scores)).sum())
    famous = np.argsort(-story.world.popularity)[:40] + 1
    assert hits > 1.3 * sum(
        np.isin(famous[:20], hidden[offsets[b] : offsets[b + 1]]).sum() for b in range(len(queries))
    )


def replace_split(corpus: Corpus, label: str) -> Corpus:
    """Assign all playlists to `label` except the first two, which go to the other parts."""
    names = ["train", "valid", *[label] * (len(corpus) - 2)]
    return replace(corpus, playlists=corpus.playlists.set_column(3, "split", pa.array(names)))


def test_ranking_excludes_seeds_and_is_repeatable(split: Split, bound: UpperBound) -> None:
    queries = split.test.queries()
    ids, scores = bound.rank(queries, 200)
    assert np.array_equal(bound.rank(queries, 200)[0], ids)
    for b in range(len(queries)):
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        ranked = ids[b][ids[b] > 0]
        assert sorted([*ranked, *seeds]) == list(range(1, 201))
        assert (np.diff(scores[b][: len(ranked)]) <= 0).all()


def test_fitted_and_loaded_bounds_give_same_ranking(tmp_path: Path, split: Split, bound: UpperBound) -> None:
    fitted = plugins.load("segue.rankers", "upper-bound")(**OPTIONS).fit(TrainingData(split.train))
    fitted.save(tmp_path)
    queries = split.valid.queries()
    expected = bound.rank(queries, 10)
    for ranker in (fitted, UpperBound.load(tmp_path)):
        assert np.array_equal(ranker.rank(queries, 10)[0], expected[0])
        assert np.array_equal(ranker.rank(queries, 10)[1], expected[1])
        assert ranker.n_items == 200 and ranker.capabilities.oracle


def test_tracks_removed_by_filter_are_skipped(story: Story) -> None:
    """A playlist without one of its seeds has the same position in the story."""
    playlist = int(np.flatnonzero(story.lists.split == "test")[0])
    tracks = story.lists.tracks[playlist]
    corpus = corpus_of(story, np.setdiff1d(np.arange(200), tracks[1]), np.array([playlist]))
    bound = bound_on(story, corpus)
    queries = Queries(corpus.items[:3], np.array([0, 3]), rows=np.array([0]))
    scores = bound.score(queries, np.arange(1, 200))[0]
    assert scores == pytest.approx(np.delete(story.inclusion(playlist, 4), tracks[1]), rel=1e-6)


def test_scores_without_seeds_sum_to_playlist_length(story: Story, corpus: Corpus, bound: UpperBound) -> None:
    queries = Queries(np.zeros(0, np.int32), np.array([0, 0]), rows=np.array([3]))
    length = corpus.offsets[4] - corpus.offsets[3]
    assert bound.score(queries, np.arange(1, 201)).sum() == pytest.approx(length, rel=1e-5)


def test_queries_outside_the_corpus_raise(corpus: Corpus, bound: UpperBound) -> None:
    with pytest.raises(InputError, match="upper-bound requires queries with corpus rows"):
        bound.rank(Queries.of([[1, 2]]), 5)
    seeds = corpus.items[:3][::-1].copy()
    with pytest.raises(InputError, match="to be shown in order from the first track"):
        bound.rank(Queries(seeds, np.array([0, 3]), rows=np.array([0])), 5)


def test_corpus_of_another_story_raises(story: Story, corpus: Corpus) -> None:
    with pytest.raises(
        InputError,
        match=r"'demo:playlist:\d+' is not in the demo catalogue with tracks=200, artists=30, playlists=60, seed=0",
    ):
        bound_on(Story(DemoParams(tracks=200, artists=30, playlists=60)), corpus)
    with pytest.raises(InputError, match=r"must have the tracks of the demo catalogue with .* seed=1"):
        bound_on(Story(DemoParams(**OPTIONS, seed=1)), corpus)
    with pytest.raises(InputError, match="upper-bound: track is not a key: did you mean tracks"):
        UpperBound(track=3)
    with pytest.raises(SegueError, match="not fitted"):
        UpperBound(**OPTIONS).rank(Queries(corpus.items[:1], np.array([0, 1]), rows=np.array([0])), 5)


def test_saved_bound_of_another_story_raises(tmp_path: Path, bound: UpperBound) -> None:
    bound.save(tmp_path)
    about = json.loads((tmp_path / "ranker.json").read_text())
    about["params"]["seed"] = 1
    (tmp_path / "ranker.json").write_text(json.dumps(about))
    with pytest.raises(RunDirectoryError, match="a version with a different demo catalogue: run the recipe again"):
        UpperBound.load(tmp_path)

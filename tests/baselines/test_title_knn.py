"""Tests of title-kNN and title-mix against hand-computed values, and by the ranker contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from segue.checks.check_ranker import check_ranker
from toolkit import plugins
from toolkit.baselines.title_knn import WEIGHTS, TitleKNN, TitleMix
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.encoders.text.char_ngrams import CharNgramsEncoder, CharNgramsParams
from toolkit.errors import InputError
from toolkit.ranker import TrainingData

TITLES = ["Chill", "chillin", "Chill ", "metal", None, "workout metal", "chill"]
LISTS = [[1, 2], [2, 3], [1, 4], [5, 6], [7, 1], [5, 8], [1, 6]]


def corpus_of(lists: list[list[int]], titles: list[str | None], n_items: int) -> Corpus:
    none = [None] * len(lists)
    columns = {"id": [f"p{row}" for row in range(len(lists))], "title": titles, "group": none, "split": none}
    playlists = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    tracks = pa.table({"id": [f"t{item}" for item in range(1, n_items + 1)]})
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return Corpus(np.concatenate(lists).astype(np.int32), offsets, tracks, playlists)


def training(corpus: Corpus) -> TrainingData:
    return TrainingData(PlaylistSet(corpus, np.arange(len(corpus)), corpus.offsets[:-1], corpus.offsets[1:]))


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return training(corpus_of(LISTS, TITLES, 9))


@pytest.fixture(scope="module")
def large() -> tuple[TrainingData, HeldOut]:
    """Return playlists of six moods with their own tracks and titles. Some are held out, a quarter of them untitled."""
    generator = np.random.default_rng(0)
    moods = ["chill", "metal", "workout", "summer", "jazz", "party"]
    lists, titles = [], []
    for row in range(240):
        mood = row % 6
        lists.append([*(generator.permutation(20)[:6] + 1 + 20 * mood).tolist(), int(generator.integers(121, 131))])
        titles.append(f"{moods[mood]} {generator.choice(['mix', 'vibes', '2017', ''])}" if row % 5 else None)
    corpus = corpus_of(lists, titles, 130)
    rows = np.arange(len(corpus))
    train, held = rows[rows < 190], rows[rows >= 190]
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    part = HeldOut(corpus, held, starts[held], starts[held] + 2 * (held % 2), ends[held], titled=held % 4 < 3)
    return TrainingData(PlaylistSet(corpus, train, starts[train], ends[train]), part), part


def test_playlists_with_the_same_title_vote_for_their_tracks(data: TrainingData) -> None:
    ranker = TitleKNN(neighbours=1).fit(data)
    queries = Queries.of([[], [], [2]], titles=["CHILL", None, "chill"])
    scores = ranker.score(queries, np.arange(1, 10))
    # three lists are called chill: 1 is in all of them, 2, 4 and 6 in one each
    assert scores[0].tolist() == pytest.approx([3, 1, -np.inf, 1, -np.inf, 1, -np.inf, -np.inf, -np.inf])
    assert np.isneginf(scores[1]).all()
    assert ranker.rank(queries, 4)[0].tolist() == [[1, 2, 4, 6], [0, 0, 0, 0], [1, 4, 6, 0]]


def test_vote_of_similar_title_is_scaled_by_its_cosine(data: TrainingData) -> None:
    ranker = TitleKNN(sharpness=2.0).fit(data)
    encoder = ranker.title_encoder
    assert isinstance(encoder, CharNgramsEncoder)
    known, asked = encoder.terms(["chill", "chillin"]).toarray(), encoder.terms(["chilll"]).toarray()[0]
    near = (known @ asked) ** 2
    assert 0 < near[1] < near[0] < 1
    found = ranker.score(Queries.of([[]], titles=["chilll"]), np.array([1, 2, 3, 9]))[0]
    assert found.tolist() == pytest.approx([3 * near[0], near[0] + near[1], near[1], -np.inf], rel=1e-5)
    assert not ranker.rank(Queries.of([[]], titles=["zzz"]), 3)[0].any()


def test_title_ngrams_stay_within_words() -> None:
    encoder = CharNgramsEncoder(CharNgramsParams(shortest=3, longest=3, dim=0)).fit(["ab  cd"])
    assert encoder.vocabulary == [" ab", " cd", "ab ", "cd "]
    with pytest.raises(ValueError, match="can be set only for tfidf"):
        CharNgramsParams(separator=",")
    with pytest.raises(ValueError, match="shortest=5 must be <= longest=4"):
        CharNgramsParams(shortest=5)


@pytest.mark.parametrize(
    ("name", "params"), [("title-knn", {}), ("title-mix", {}), ("title-mix", {"of": "item-knn", "weight": 0.5})]
)
def test_title_rankers_pass_check_ranker(
    name: str, params: dict[str, object], large: tuple[TrainingData, HeldOut]
) -> None:
    cls = plugins.load("segue.rankers", name)
    assert cls.name == name
    check_ranker(lambda: cls(**params), *large)


def test_title_mix_recall_is_highest_with_title_and_seeds(large: tuple[TrainingData, HeldOut]) -> None:
    data, part = large
    mixed, alone = TitleMix().fit(data), TitleKNN().fit(data)
    queries = part.queries()
    ids = mixed.rank(queries, 10)[0]
    told = np.array([bool(title) for title in queries.titles or []]) | (queries.lengths > 0)
    assert ids[told].any(axis=1).all() and not ids[~told].any() and (~told).any()
    titled_only = np.flatnonzero((queries.lengths == 0) & told)
    assert ids[titled_only].tolist() == alone.rank(queries, 10)[0][titled_only].tolist()
    mood = (part.rows % 6)[titled_only]
    assert (((ids[titled_only] - 1) // 20) == mood[:, None]).mean() > 0.8
    assert any(float(mixed.state["weight"][0]) == pytest.approx(weight) for weight in WEIGHTS)


def test_title_knn_without_training_titles_raises_input_error(data: TrainingData) -> None:
    bare = training(corpus_of(LISTS, [None] * len(LISTS), 9))
    with pytest.raises(InputError, match="title-knn requires titles, but 0 training playlists have one"):
        TitleKNN().fit(bare)


def test_sentence_bert_matches_titles_with_other_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path))
    small = training(corpus_of([[1, 2], [3, 4]], ["gym workout", "sleep"], 4))
    ranker = TitleKNN(encoder="sentence-bert", neighbours=1).fit(replace(small))
    assert ranker.rank(Queries.of([[], []], titles=["exercise training", "calm night rest"]), 2)[0].tolist() == [
        [1, 2],
        [3, 4],
    ]
    ranker.save(tmp_path / "kept")
    assert TitleKNN.load(tmp_path / "kept").rank(Queries.of([[]], titles=["fitness"]), 1)[0].tolist() == [[1]]

"""Tests of the challenge's situations: shown seeds and titles, and an even assignment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.evaluation.situations import SITUATIONS
from toolkit.recipe import Evaluation

Build = Callable[..., Corpus]
NAMES = [situation.name for situation in SITUATIONS]


def titled(corpus: Corpus, titles: list[str | None]) -> Corpus:
    at = corpus.playlists.column_names.index("title")
    return Corpus(
        corpus.items,
        corpus.offsets,
        corpus.tracks,
        corpus.playlists.set_column(at, "title", pa.array(titles, pa.string())),
    )


@pytest.fixture(scope="module")
def corpus(corpus_of: Build) -> Corpus:
    """Return 900 held-out playlists of 12, 40 and 150 tracks. Every fourth playlist has no title."""
    generator = np.random.default_rng(3)
    lengths = [int(generator.choice([12, 40, 150])) for _ in range(900)]
    lists = [generator.permutation(400)[:length] + 1 for length in lengths]
    made = corpus_of([*lists, *([[1, 2, 3]] * 9)], 400, splits=["test"] * 600 + ["valid"] * 300 + ["train"] * 9)
    return titled(made, [None if row % 4 == 3 else f"mix {row}" for row in range(909)])


@pytest.fixture(scope="module")
def test(corpus: Corpus) -> HeldOut:
    return Evaluation(split="mpd_challenge").split.split(corpus).test


def test_each_situation_shows_its_seeds_and_title(corpus: Corpus, test: HeldOut) -> None:
    queries, (hidden, offsets) = test.queries(), test.hidden()
    seen = set()
    for b, name in enumerate(test.labels["situation"].tolist()):
        situation = SITUATIONS[NAMES.index(name)]
        whole = corpus.items[corpus.offsets[test.rows[b]] : corpus.offsets[test.rows[b] + 1]].tolist()
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]].tolist()
        assert len(seeds) == situation.seeds and (queries.titles[b] is not None) == situation.titled
        assert (
            set(seeds) | set(hidden[offsets[b] : offsets[b + 1]].tolist()) == set(whole)
            and len(whole) > situation.seeds
        )
        in_order = [track for track in whole if track in seeds]
        assert seeds == in_order and (situation.random or seeds == whole[: situation.seeds])
        assert not situation.random or seeds != whole[: situation.seeds]
        seen.add(name)
    assert seen == set(NAMES)


def test_playlists_are_assigned_evenly_to_fitting_situations(corpus: Corpus, test: HeldOut) -> None:
    lengths = test.ends - test.starts
    has_title = np.array([title is not None for title in corpus.titles(test.rows)])
    of_long = test.labels["situation"][(lengths == 150) & has_title]
    counts = [int((of_long == name).sum()) for name in NAMES]
    assert (
        sum(counts) == len(of_long) > 120
        and min(counts) > 0.3 * len(of_long) / 10
        and max(counts) < 2.5 * len(of_long) / 10
    )
    assert set(test.labels["situation"][~has_title]) == {"first_5", "first_10"}
    assert not {name for name in set(test.labels["situation"][lengths == 12]) if name.endswith(("25", "100"))}
    assert len(test) == len(set(test.rows.tolist())) == 600


def test_situation_is_independent_of_other_playlists(corpus: Corpus, test: HeldOut) -> None:
    again = Evaluation(split={"type": "mpd_challenge", "min_tracks": 30}).split.split(corpus).test
    first = dict(zip(test.rows.tolist(), test.labels["situation"].tolist(), strict=True))
    assert [first[row] for row in again.rows.tolist()] == again.labels["situation"].tolist()
    queries = test.part(5, 9).queries()
    assert queries.seeds.tolist() == test.queries().part(5, 9).seeds.tolist()


def test_only_chosen_situations_are_used(corpus: Corpus, corpus_of: Build) -> None:
    asked = Evaluation(split={"type": "mpd_challenge", "situations": ["title", "title_random_100"]})
    found = asked.split.split(corpus).test
    assert set(found.labels["situation"]) == {"title", "title_random_100"}
    assert (asked.k, asked.metrics) == ([500], ["rprec_artist", "rprec", "ndcg", "clicks"])
    bare = corpus_of(
        [list(range(1, 13)), list(range(2, 14)), list(range(3, 15))], 20, splits=["train", "valid", "test"]
    )
    with pytest.raises(InputError, match="one of 1 valid playlists must be long enough and titled for title"):
        Evaluation(split={"type": "mpd_challenge", "situations": ["title"]}).split.split(bare)


def test_shuffled_seeds_are_the_same_tracks_in_another_order(corpus: Corpus) -> None:
    plain, other = (Evaluation(split={"shuffle_seeds": shuffle}).split.split(corpus) for shuffle in (False, True))
    for before, after in ((plain.test, other.test), (plain.valid, other.valid)):
        first, second = before.queries(), after.queries()
        assert first.offsets.tolist() == second.offsets.tolist() and first.seeds.tolist() != second.seeds.tolist()
        moved = 0
        for start, stop in zip(first.offsets[:-1], first.offsets[1:], strict=True):
            one, two = first.seeds[start:stop].tolist(), second.seeds[start:stop].tolist()
            assert sorted(one) == sorted(two)
            moved += one != two
        assert moved > 0.9 * len(before)
        assert [each.tolist() for each in before.hidden()] == [each.tolist() for each in after.hidden()]
    assert plain.train.flat()[0].tolist() == other.train.flat()[0].tolist()

"""Every baseline passes the rankers' shared suite and comes in by its entry point; the suite finds broken rankers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import plugins, rankers
from toolkit.baselines.ease import EASE
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.popularity import Popularity
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError, RunDirectoryError, SegueError
from toolkit.ranker import Scorer, TrainingData
from toolkit.ranker_checks import check_ranker

Small = tuple[TrainingData, HeldOut]
NAMES = [
    "popularity", "random", "item-knn", "session-knn", "ease", "content-centroid", "artist-popularity", "genre-popularity",
    "markov", "vsknn", "stan", "vstan", "ials",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_holds(name: str, small: Small) -> None:
    check_ranker(plugins.load("segue.rankers", name), *small)


@pytest.mark.parametrize("params", [{"neighbours": 3}, {"shrink": 2.0}])
def test_the_contract_holds_with_parameters(params: dict[str, float], small: Small) -> None:
    check_ranker(lambda: ItemKNN(**params), *small)


@pytest.mark.parametrize("name", ["content-mix", "transrec-global"])
def test_the_contract_holds_where_validation_chooses(name: str, small: Small) -> None:
    data, held_out = small
    params = {"epochs": 4} if name.startswith("transrec") else {}
    check_ranker(lambda: plugins.load("segue.rankers", name)(**params), replace(data, valid=held_out.part(0, 6)), held_out.part(6, 12))


@pytest.mark.parametrize("params", [{"form": "low-rank", "rank": 9}, {"form": "primal"}])
def test_the_contract_holds_for_the_other_forms_of_ease(params: dict[str, Any], small: Small) -> None:
    check_ranker(lambda: EASE(**params), *small)


@pytest.mark.parametrize("name", [*NAMES, "content-mix", "transrec", "transrec-global", "recbole-gru4rec", "two-stage"])
def test_an_entry_point_gives_the_ranker_of_that_name(name: str) -> None:
    assert plugins.load("segue.rankers", name).name == name


@pytest.mark.parametrize("name", rankers.listed())
def test_a_ranker_is_described_by_one_plain_sentence(name: str) -> None:
    first = (rankers.ranker_class(name).__doc__ or "").splitlines()[0]
    assert first.startswith(("Ranks ", "Re-ranks ")) and first.endswith(".") and len(first) <= 120


class RanksSeeds(Popularity):
    def rank(self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384) -> tuple[np.ndarray, np.ndarray]:
        return super().rank(queries, k, allow_repeats=True, block=block)


class KeepsTheFirstFit(Popularity):
    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        earlier = 0 if self._state is None else self._state["playlists"]
        return {"playlists": super().learn(data)["playlists"] + earlier}


class ReadsTheBlock(Popularity):
    def scorer(self, queries: Queries) -> Scorer:
        score = super().scorer(queries)
        return lambda items: score(items) - score(items).mean()


class ReadsTheBatch(Popularity):
    def scorer(self, queries: Queries) -> Scorer:
        score = super().scorer(queries)
        return lambda items: score(items) * (1 + len(queries))


class Forgets(Popularity):
    def save(self, directory: Path) -> None:
        self.state["playlists"][1] += 1
        super().save(directory)
        self.state["playlists"][1] -= 1


class Draws(Popularity):
    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        return {"playlists": np.random.default_rng().random(data.n_items + 1, np.float32)}


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (RanksSeeds, "rank is not the order of score"),
        (KeepsTheFirstFit, "keeps something of the first"),
        (ReadsTheBlock, "depend on which other items"),
        (ReadsTheBatch, "alone is ranked otherwise"),
        (Forgets, "load does not give back"),
        (Draws, "under the same seed differ"),
    ],
)
def test_a_broken_ranker_is_found(broken: type[Popularity], rule: str, small: Small) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_ranker(broken, *small)


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(InputError, match="item-knn has no parameter 'neighbors': did you mean 'neighbours'?"):
        ItemKNN(neighbors=20)


def test_a_wrong_value_is_one_line() -> None:
    with pytest.raises(InputError, match="item-knn: neighbours=0 is wrong: Input should be greater than or equal to 1") as found:
        ItemKNN(neighbours=0)
    assert "\n" not in str(found.value)


def test_a_ranker_that_takes_no_parameters_says_so() -> None:
    with pytest.raises(InputError, match="popularity has no parameter 'k': it takes none"):
        Popularity(k=3)


def test_scoring_before_fitting_is_an_error() -> None:
    with pytest.raises(SegueError, match="popularity is not fitted: call fit or load first"):
        Popularity().scorer(Queries.of([[1]]))


def test_parameters_survive_saving(small: Small, tmp_path: Path) -> None:
    ItemKNN(neighbours=7, shrink=1.5).fit(small[0]).save(tmp_path)
    assert ItemKNN.load(tmp_path).params == ItemKNN(neighbours=7, shrink=1.5).params


@pytest.mark.parametrize("damage", ["ranker.json", "ranker.safetensors"])
def test_a_damaged_model_is_reported(damage: str, small: Small, tmp_path: Path) -> None:
    Popularity().fit(small[0]).save(tmp_path)
    (tmp_path / damage).write_bytes(b"\xff{")
    with pytest.raises(RunDirectoryError, match="holds no readable popularity ranker"):
        Popularity.load(tmp_path)


def test_another_rankers_model_is_refused(small: Small, tmp_path: Path) -> None:
    Popularity().fit(small[0]).save(tmp_path)
    assert json.loads((tmp_path / "ranker.json").read_text())["ranker"] == "popularity"
    with pytest.raises(RunDirectoryError, match="holds a 'popularity' ranker, not 'item-knn'"):
        ItemKNN.load(tmp_path)

"""Tests that every baseline passes the ranker checks, and that the checks detect broken rankers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from segue.checks.example_data import example_data
from toolkit import plugins, ranker_registry
from toolkit.baselines.ease import EASE
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.popularity import Popularity
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError, RunDirectoryError, SegueError
from toolkit.ranker import Capabilities, FitInputs, Scorer, TrainingData

Small = tuple[TrainingData, HeldOut]
NAMES = [
    "popularity", "random", "item-knn", "session-knn", "ease", "content-centroid", "artist-popularity",
    "genre-popularity", "markov", "vsknn", "stan", "vstan", "ials",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_ranker_passes_check_ranker(name: str, small: Small) -> None:
    check_ranker(plugins.load("segue.rankers", name), *small)


@pytest.mark.parametrize("params", [{"neighbours": 3}, {"shrink": 2.0}])
def test_ranker_with_parameters_passes_check_ranker(params: dict[str, float], small: Small) -> None:
    check_ranker(lambda: ItemKNN(**params), *small)


@pytest.mark.parametrize("name", ["content-mix", "transrec-global"])
def test_ranker_with_tuned_parameters_passes_check_ranker(name: str, small: Small) -> None:
    data, held_out = small
    params = {"epochs": 4} if name.startswith("transrec") else {}
    check_ranker(
        lambda: plugins.load("segue.rankers", name)(**params),
        replace(data, valid=held_out.part(0, 6)),
        held_out.part(6, 12),
    )


@pytest.mark.parametrize("params", [{"form": "low-rank", "rank": 9}, {"form": "primal"}])
def test_all_forms_of_ease_pass_check_ranker(params: dict[str, Any], small: Small) -> None:
    check_ranker(lambda: EASE(**params), *small)


@pytest.mark.parametrize("name", [*NAMES, "content-mix", "transrec", "transrec-global", "recbole-gru4rec", "two-stage"])
def test_entry_point_loads_the_ranker_with_its_name(name: str) -> None:
    assert plugins.load("segue.rankers", name).name == name


@pytest.mark.parametrize("name", ranker_registry.listed())
def test_ranker_docstring_starts_with_a_short_sentence(name: str) -> None:
    first = (ranker_registry.ranker_class(name).__doc__ or "").splitlines()[0]
    assert first.startswith(("Ranks ", "Re-ranks ")) and first.endswith(".") and len(first) <= 120


class RanksSeeds(Popularity):
    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
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


class LoadsWithoutADevice(Popularity):
    @classmethod
    def load(cls, directory: Path) -> Popularity:  # type: ignore[override]
        return super().load(directory)


class Draws(Popularity):
    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        return {"playlists": np.random.default_rng().random(data.n_items + 1, np.float32)}


class DrawsFromTheSeed(Popularity):
    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        return {"playlists": np.random.default_rng(data.seed).random(data.n_items + 1, np.float32)}


class ReadsContent(Popularity):
    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        content = sum(modality.matrix.sum(axis=1) for modality in data.modalities.values())
        return {"playlists": super().learn(data)["playlists"] + np.float32(content)}


class NeedsLabels(Popularity):
    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        if "genre" not in data.labels:
            raise InputError("no genres")
        return super().learn(data)


class ReadsTitles(Popularity):
    def scorer(self, queries: Queries) -> Scorer:
        score, lengths = (
            super().scorer(queries),
            np.array([len(title or "") for title in queries.titles or [None] * len(queries)]),
        )
        return lambda items: (score(items) * (1 + lengths[:, None])).astype(np.float32)


class FitsUnchecked(Popularity):
    def fit(self, data: TrainingData) -> Self:
        self._state, self._n_items = self.learn(data), data.n_items
        return self


class DoesWithoutContent(FitsUnchecked):
    capabilities = Capabilities(content="required")


class DoesWithoutTitles(FitsUnchecked):
    capabilities = Capabilities(titles="required")


class DoesWithoutLabels(FitsUnchecked):
    capabilities = Capabilities(labels=("genre",), labels_required=True)


class DoesWithoutValidation(FitsUnchecked):
    capabilities = Capabilities(validation_groups=2)


class RequiresMore(FitsUnchecked):
    def input_problem(self, inputs: FitInputs) -> str:
        return "1,000 training playlists are required: add playlists"


class NamesNoLabels(Popularity):
    capabilities = Capabilities(labels_required=True)


class KnowsNoColdTrack(ItemKNN):
    name = "no-cold"
    capabilities = Capabilities(content="required", cold_tracks=True)

    def learn(self, data: TrainingData) -> dict[str, np.ndarray]:
        if not data.modalities:
            raise InputError("no content")
        return super().learn(data)


class HasNoVectors(Popularity):
    capabilities = Capabilities(embeds=True)


class HidesItsVectors(Popularity):
    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        return np.zeros((len(items), 2), np.float32)


class HasAPathForAName(Popularity):
    name = "my_ideas:Popularity"


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (DrawsFromTheSeed, "deterministic=True requires the same ranking for every seed"),
        (ReadsContent, "undeclared modalities or labels must not change the ranking"),
        (NeedsLabels, "fit must not require undeclared modalities or labels .*no genres"),
        (ReadsTitles, "titles='none' requires rankings independent of query titles"),
        (DoesWithoutContent, "content='required' requires fit to raise InputError"),
        (DoesWithoutTitles, "titles='required' requires fit to raise InputError"),
        (DoesWithoutLabels, "labels_required=True requires fit to raise InputError"),
        (DoesWithoutValidation, "validation_groups=2 requires fit to raise InputError"),
        (RequiresMore, "1,000 training playlists are required"),
        (NamesNoLabels, "labels_required=True requires labels"),
        (KnowsNoColdTrack, "cold_tracks=True requires a score for tracks without training entries"),
        (HasNoVectors, "embeds=True requires item_vectors to return one row per item"),
        (HidesItsVectors, "embeds=False requires item_vectors to return None"),
        (HasAPathForAName, "name='my_ideas:Popularity' must consist of letters, digits"),
    ],
)
def test_check_ranker_detects_false_capabilities(broken: type[Popularity], rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_ranker(broken)


def test_check_ranker_detects_load_without_device() -> None:
    with pytest.raises(AssertionError, match="load must accept .*unexpected keyword argument 'device'"):
        check_ranker(LoadsWithoutADevice)


def test_example_data_has_every_kind_of_input_with_gaps() -> None:
    data, held_out = example_data()
    played = data.train.counts()[1:] > 0
    assert data.n_items == 90 and 0 < (~played).sum() < 20 and not played[80:].any()
    assert len(data.train) == 60 and data.valid is not None and len(data.valid) == 8 and len(held_out) == 12
    assert set(data.labels) == {"artist", "album", "genre"} and set(data.modalities) == {"audio", "lyrics"}
    assert all(0.5 < modality.coverage < 0.9 for modality in data.modalities.values())
    titles = data.train.titles()
    assert None in titles and any(titles)
    again = example_data()[0]
    assert np.array_equal(again.train.flat()[0], data.train.flat()[0])
    assert np.array_equal(again.modalities["audio"].matrix, data.modalities["audio"].matrix)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (RanksSeeds, "rank must order items by score"),
        (KeepsTheFirstFit, "a second fit must not depend on the first"),
        (ReadsTheBlock, "scores must not depend on the other items"),
        (ReadsTheBatch, "the ranking must not depend on other queries"),
        (Forgets, "a loaded ranker must rank identically"),
        (Draws, "fits with equal seeds must be identical"),
    ],
)
def test_check_ranker_detects_broken_rankers(broken: type[Popularity], rule: str, small: Small) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_ranker(broken, *small)


def test_unknown_parameter_raises_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="item-knn: neighbors is not a key: did you mean neighbours?"):
        ItemKNN(neighbors=20)


def test_invalid_parameter_value_raises_a_one_line_error() -> None:
    with pytest.raises(InputError, match="item-knn: neighbours=0 must be greater than or equal to 1") as found:
        ItemKNN(neighbours=0)
    assert "\n" not in str(found.value)


def test_parameter_of_a_ranker_without_parameters_raises() -> None:
    with pytest.raises(InputError, match="popularity: k is not a key: no names are allowed here"):
        Popularity(k=3)


def test_scoring_before_fit_raises_segue_error() -> None:
    with pytest.raises(SegueError, match="popularity is not fitted: call `fit` or `load` first"):
        Popularity().scorer(Queries.of([[1]]))


def test_loaded_ranker_has_the_saved_parameters(small: Small, tmp_path: Path) -> None:
    ItemKNN(neighbours=7, shrink=1.5).fit(small[0]).save(tmp_path)
    assert ItemKNN.load(tmp_path).params == ItemKNN(neighbours=7, shrink=1.5).params


@pytest.mark.parametrize("damage", ["ranker.json", "ranker.safetensors"])
def test_loading_a_damaged_ranker_raises_run_directory_error(damage: str, small: Small, tmp_path: Path) -> None:
    Popularity().fit(small[0]).save(tmp_path)
    (tmp_path / damage).write_bytes(b"\xff{")
    with pytest.raises(RunDirectoryError, match="is not a readable popularity ranker"):
        Popularity.load(tmp_path)


def test_loading_another_ranker_raises_run_directory_error(small: Small, tmp_path: Path) -> None:
    Popularity().fit(small[0]).save(tmp_path)
    assert json.loads((tmp_path / "ranker.json").read_text())["ranker"] == "popularity"
    with pytest.raises(RunDirectoryError, match="holds the ranker 'popularity', not 'item-knn'"):
        ItemKNN.load(tmp_path)

"""Tests that a sequential network that has not learned more than popularity is flagged, and that others are not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.baselines.real_playlists import mpd5k
from tests.sequential.small_models import fusion, modality, ring, spec
from tests.sequential.training.trainings import DATA, fresh, trainer
from toolkit.contracts.learning import Learning
from toolkit.corpus.splits import PlaylistSet
from toolkit.ranker import TrainingData
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import check_learning

IDS = replace(DATA, modalities={}, valid=None)


def fitted(data: TrainingData, kind: str = "sasrec", fused: dict[str, Any] | None = None, **params: Any) -> Learning:
    ranker = SequentialRanker(spec(kind, **params), fusion(**fused or {})).fit(replace(data, device="cpu"))
    assert ranker.learning is not None
    assert ranker.collapsed == ranker.learning.collapsed
    return ranker.learning


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec", "gru4rec"])
def test_trained_model_is_not_collapsed(kind: str) -> None:
    record = fitted(IDS, kind, epochs=40, lr=0.01)
    assert record.loss is not None and record.constant is not None
    assert record.loss < 0.8 * record.constant
    assert record.collapsed == ""


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_model_after_one_step_is_collapsed_by_its_loss(kind: str) -> None:
    record = fitted(IDS, kind, epochs=1, batch_tokens=100_000)
    assert record.moved is not None and record.moved > 1e-3
    assert "the loss of the best constant prediction" in record.collapsed


def test_model_with_a_learning_rate_of_zero_is_collapsed() -> None:
    for loss in ("full", "sampled"):
        assert fitted(IDS, loss=loss, lr=1e-12).collapsed == "the weights did not change"


def test_match_weights_do_not_count_as_learning() -> None:
    """They are fitted before all others, and then held."""
    assert fitted(replace(DATA, valid=None), match=True, lr=1e-12).collapsed == "the weights did not change"


@pytest.mark.parametrize("loss", [{"type": "sampled", "negatives": 8}, {"type": "gbce", "negatives": 8}])
def test_losses_over_a_sample_are_not_compared(loss: dict[str, Any]) -> None:
    record = fitted(IDS, loss=loss, epochs=1)
    assert (record.loss, record.constant, record.collapsed) == (None, None, "")


def test_constant_loss_is_the_cross_entropy_of_the_shares_of_plays() -> None:
    """The slow way: every target of every playlist, and its share of all placements."""
    made = trainer(fresh("sasrec"), batch_tokens=100_000)
    found = check_learning.learning(made.steps, check_learning.start(made.steps), seed=1)
    shares = DATA.train.counts() / DATA.train.counts().sum()
    items, offsets = DATA.train.flat()
    lists = [items[low:high] for low, high in pairwise(offsets)]
    targets = np.concatenate([tracks[1:] for tracks in lists])
    assert len(items) < check_learning.POSITIONS
    assert found.constant == pytest.approx(-np.log(shares[targets]).mean(), rel=1e-9)
    assert found.moved == 0


def test_check_changes_neither_weights_nor_random_numbers() -> None:
    made = trainer(fresh("bert4rec"))
    start = check_learning.start(made.steps)
    before, state = {name: value.clone() for name, value in made.network.state_dict().items()}, torch.get_rng_state()
    first, second = (check_learning.learning(made.steps, start, seed=3) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in made.network.state_dict().items())


def test_content_with_two_columns_is_not_collapsed() -> None:
    """Vectors of content alone have no more dimensions than the content."""
    data = replace(DATA, modalities={"two": modality("two", DATA.n_items, 2, 0, coverage=1)}, valid=None)
    record = fitted(data, fused={"id_embedding": False}, epochs=30, lr=0.01)
    assert record.rank is not None and record.least_rank == pytest.approx(1, abs=0.05)
    assert record.collapsed == ""
    narrow = replace(record, rank=1.5)
    assert narrow.collapsed == "" and replace(narrow, least_rank=2.0).collapsed


def test_content_of_one_line_is_collapsed_if_it_has_many_columns() -> None:
    """Only weights that make one line of content with many dimensions are at fault, which are planted here."""
    ranker = SequentialRanker(spec("sasrec", epochs=20, lr=0.01), fusion()).fit(replace(IDS, device="cpu"))
    assert ranker.learning is not None and ranker.collapsed == ""
    with torch.no_grad():
        ids = ranker.model.space.ids.weight
        ids.copy_(torch.outer(torch.randn(len(ids)), torch.randn(ids.shape[1])))
    planted = check_learning.of_items(Learning(), ranker.item_vectors(np.flatnonzero(ranker.played)), {}, free_ids=True)
    assert planted.collapsed == "effective rank 1.00 of 16 dimensions is below 2"


def test_resumed_and_loaded_models_have_the_same_record(tmp_path: Path) -> None:
    def once(workdir: Path) -> SequentialRanker:
        return SequentialRanker(spec("sasrec", epochs=1), fusion()).fit(replace(IDS, device="cpu", workdir=workdir))

    ranker, again = once(tmp_path), once(tmp_path)
    assert again.learning == ranker.learning
    ranker.save(tmp_path / "saved")
    loaded = SequentialRanker.load(tmp_path / "saved")
    assert loaded.learning == ranker.learning and loaded.collapsed == ranker.collapsed != ""


def test_held_out_playlists_do_not_enter_the_check() -> None:
    data, held = ring()
    assert fitted(replace(data, modalities={}, valid=held), epochs=1).constant == fitted(IDS, epochs=1).constant


@pytest.mark.data
def test_models_of_real_playlists_are_flagged_only_after_one_step(shared_data: Path) -> None:
    train = mpd5k(shared_data).train
    part = PlaylistSet(train.corpus, train.rows[:1200], train.starts[:1200], train.ends[:1200])
    data = TrainingData(part, device="cpu", seed=2)
    one = fitted(data, epochs=1, batch_tokens=10**9, max_length=50, hidden_size=32, loss="chunked")
    assert "the loss of the best constant prediction" in one.collapsed
    some = fitted(data, epochs=6, batch_tokens=2048, max_length=50, hidden_size=32, loss="chunked", lr=5e-3)
    assert some.collapsed == ""

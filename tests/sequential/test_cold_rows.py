"""Tests of free ids for cold tracks against a slow ridge regression, and of models that use them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, modality, ring, spec
from toolkit.errors import InputError, RecipeError
from toolkit.fusion.concatenated import concatenated_columns
from toolkit.modality import Modality
from toolkit.recipe import load
from toolkit.sequential import cold_rows
from toolkit.sequential.cold_rows import PENALTIES, ColdRows
from toolkit.sequential.sequential_ranker import SequentialRanker

V, H = 60, 5


def _content(seed: int = 0) -> tuple[dict[str, Modality], np.ndarray]:
    modalities = {"audio": modality("audio", V, 4, seed), "lyrics": modality("lyrics", V, 6, seed + 1)}
    played = np.arange(V + 1) <= 45
    played[0] = False
    return modalities, played


def _weights(seed: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (V + 2, H)).astype(np.float32))


def test_cold_rows_equal_slow_ridge_with_best_leave_one_out_penalty() -> None:
    modalities, played = _content()
    columns, present = concatenated_columns(modalities, played)
    taught, cold = np.flatnonzero(played & present), np.flatnonzero(~played & present)
    x, y = columns[taught].astype(np.float64), _weights()[taught].double().numpy()

    def fitted(rows: np.ndarray, penalty: float, asked: np.ndarray) -> np.ndarray:
        # centred on all fitted tracks and penalised alike, whichever is left out, as the closed form has it
        ones = np.column_stack([np.ones(len(x)), x - x.mean(axis=0)])
        gram = ones[rows].T @ ones[rows] + penalty * len(x) * np.diag([0.0, *np.ones(x.shape[1])])
        solved = np.linalg.solve(gram, ones[rows].T @ y[rows])
        return np.column_stack([np.ones(len(asked)), asked - x.mean(axis=0)]) @ solved

    every = np.arange(len(x))
    errors = [
        np.mean(
            [np.square(y[row] - fitted(np.delete(every, row), penalty, x[row : row + 1])[0]).mean() for row in every]
        )
        for penalty in PENALTIES
    ]
    weight = _weights()
    chosen = ColdRows(modalities, played).fill(weight)
    assert chosen == PENALTIES[int(np.argmin(errors))]
    np.testing.assert_allclose(weight[cold].numpy(), fitted(every, chosen, columns[cold].astype(np.float64)), atol=1e-5)
    kept = np.setdiff1d(np.arange(V + 2), cold)
    np.testing.assert_array_equal(weight[kept].numpy(), _weights()[kept].numpy())


def test_cold_rows_are_exact_for_ids_linear_in_content() -> None:
    modalities, played = _content()
    columns, present = concatenated_columns(modalities, played)
    truth = columns @ np.random.default_rng(5).normal(0, 1, (columns.shape[1], H)).astype(np.float32)
    cold = np.flatnonzero(~played & present)
    weight = torch.from_numpy(np.where(played[:, None], truth, 0).astype(np.float32))
    assert ColdRows(modalities, played).fill(weight) == min(PENALTIES)
    np.testing.assert_allclose(weight[cold].numpy(), truth[cold], atol=0.02)


def test_cold_rows_do_not_depend_on_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = _weights(), _weights()
    ColdRows(*_content()).fill(whole)
    monkeypatch.setattr(cold_rows, "BLOCK", 7)
    ColdRows(*_content()).fill(parts)
    np.testing.assert_allclose(parts.numpy(), whole.numpy(), atol=1e-6)


def test_cold_rows_without_played_content_raise_input_error() -> None:
    modalities, played = _content()
    apart = {"audio": replace(modalities["audio"], present=modalities["audio"].present & ~played)}
    with pytest.raises(InputError, match="modality 'audio' must be present for at least one training track"):
        ColdRows(apart, played)


@pytest.mark.parametrize("architecture", ["early", "late"])
def test_model_ranks_cold_tracks_by_content_and_predicted_ids(architecture: str, tmp_path: Path) -> None:
    data, valid = ring()
    cold = np.flatnonzero(data.train.counts() == 0)[1:]
    present = np.any([each.present for each in data.modalities.values()], axis=0)
    made = {
        rows: SequentialRanker(spec(cold_rows=rows), fusion(architecture=architecture)).fit(data)
        for rows in ("content", "predicted")
    }
    ranker, queries = made["predicted"], valid.queries()
    scores, by_content = (each.score(queries, cold) for each in (ranker, made["content"]))
    assert np.isfinite(scores).all() and ranker.predicted.tolist() == cold[present[cold]].tolist()
    # what training gave played tracks is untouched by how cold ones are ranked; the cold ones' ids are the map's
    free = ranker.model.item_embedding.weight.detach()
    torch.testing.assert_close(free[1:43], made["content"].model.item_embedding.weight.detach()[1:43])
    again = free.clone()
    ColdRows(data.modalities, data.train.counts() > 0).fill(again)
    torch.testing.assert_close(again, free)
    assert (np.abs(scores - by_content)[:, present[cold]] > 1e-6).any()
    np.testing.assert_allclose(scores[:, ~present[cold]], by_content[:, ~present[cold]], rtol=1e-5)
    ranker.save(tmp_path / "model")
    np.testing.assert_array_equal(SequentialRanker.load(tmp_path / "model").score(queries, cold), scores)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ("modalities: []", "a modality"),
        ("fusion: {id_embedding: false}", "free ids to predict: set `fusion.id_embedding: true`"),
    ],
)
def test_recipe_with_predicted_cold_rows_requires_ids_and_content(change: str, lacks: str, tiny_recipe: Path) -> None:
    text = tiny_recipe.read_text().replace("titles: true, select", f"cold_rows: predicted, {change}, select")
    tiny_recipe.write_text(text)
    with pytest.raises(RecipeError, match=f"models.0.cold_rows=predicted requires {lacks}"):
        load(tiny_recipe)

"""Tests of AdamW on the rows of a step, against a slow loop over rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.sequential.small_models import fusion, ring, spec
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training.row_adam import RowAdamW, clip, gradients

V, H = 12, 3
SETTINGS: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}


def embedding(sparse: bool) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(V, H, sparse=sparse)


def gradient(made: nn.Embedding, items: list[int], step: int) -> None:
    made.zero_grad()
    (made(torch.tensor(items)) * torch.arange(1.0, H + 1) * (step + 1)).pow(2).sum().backward()


def test_row_adam_equals_adamw_if_every_row_has_gradients() -> None:
    """Lazy and dense Adam are identical if a step contains every row."""
    sparse, dense = embedding(True), embedding(False)
    ours, theirs = RowAdamW(sparse.parameters(), **SETTINGS), torch.optim.AdamW(dense.parameters(), **SETTINGS)
    for step in range(5):
        for made, optimizer in ((sparse, ours), (dense, theirs)):
            gradient(made, list(range(V)), step)
            optimizer.step()
    torch.testing.assert_close(sparse.weight, dense.weight, atol=1e-6, rtol=1e-5)


def test_row_adam_updates_only_rows_with_gradients() -> None:
    made = embedding(True)
    optimizer, before = RowAdamW(made.parameters(), **SETTINGS), made.weight.detach().clone()
    weight, mean, square = before.double(), torch.zeros(V, H).double(), torch.zeros(V, H).double()
    for step, items in enumerate([[1, 2, 2], [2, 5], [1, 5, 5, 5]]):
        gradient(made, items, step)
        grad = made.weight.grad.to_dense().double()  # type: ignore[union-attr]
        optimizer.step()
        for row in set(items):
            mean[row] = 0.9 * mean[row] + 0.1 * grad[row]
            square[row] = 0.999 * square[row] + 0.001 * grad[row] ** 2
            size = (square[row] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            weight[row] = weight[row] * (1 - 0.01 * 0.1) - 0.01 * mean[row] / (1 - 0.9 ** (step + 1)) / size
    torch.testing.assert_close(made.weight.double(), weight, atol=1e-6, rtol=1e-5)
    untouched = [row for row in range(V) if row not in (1, 2, 5)]
    assert torch.equal(made.weight[untouched], before[untouched])


def test_restored_row_adam_takes_identical_steps() -> None:
    straight, broken = embedding(True), embedding(True)
    first, second = RowAdamW(straight.parameters(), **SETTINGS), RowAdamW(broken.parameters(), **SETTINGS)
    for step in range(4):
        if step == 2:
            state, second = second.state_dict(), RowAdamW(broken.parameters(), **SETTINGS)
            second.load_state_dict(state)
        for made, optimizer in ((straight, first), (broken, second)):
            gradient(made, [1, step + 2], step)
            optimizer.step()
    assert torch.equal(straight.weight, broken.weight)


def test_clip_uses_joint_norm_of_sparse_and_dense_gradients() -> None:
    sparse, dense, beside = embedding(True), embedding(False), nn.Parameter(torch.ones(2))
    for made in (sparse, dense):
        gradient(made, [1, 4, 4], 0)
    beside.grad = torch.tensor([3.0, 4.0])
    wanted = math.sqrt(float(dense.weight.grad.pow(2).sum()) + 25)  # type: ignore[union-attr]
    clip([sparse.weight, beside], 1.0)
    torch.testing.assert_close(sparse.weight.grad.to_dense(), dense.weight.grad / wanted)  # type: ignore[union-attr]
    torch.testing.assert_close(beside.grad, torch.tensor([3.0, 4.0]) / wanted)
    assert [tuple(found.shape) for found in gradients([sparse.weight, beside])] == [(2, H), (2,)]


@pytest.mark.parametrize(
    ("kind", "changed"), [("sasrec", {"train": "finetune"}), ("bert4rec", {"head": "untied", "cold_rows": "none"})]
)
def test_row_adam_training_allocates_no_dense_table_gradient(kind: str, changed: dict[str, Any]) -> None:
    data, _ = ring()
    seen: set[tuple[str, bool]] = set()
    ranker = SequentialRanker(
        spec(
            kind,
            loss={"type": "sampled", "negatives": 8},
            adam="rows",
            weight_decay=0.01,
            dropout=0.0,
            epochs=6,
            **changed,
        ),
        fusion(),
    )

    def look(done: int, total: int, what: str) -> None:
        tables = {
            name: p
            for name, p in ranker.model.named_parameters()
            if p.ndim == 2 and len(p) in (data.n_items + 1, data.n_items + 2)
        }
        seen.update((name, p.grad.is_sparse) for name, p in tables.items() if p.grad is not None)

    ranker.fit(replace(data, progress=look))
    assert seen and all(sparse for _, sparse in seen)
    assert ("item_embedding.weight", True) in seen and len(seen) >= 2
    assert ranker.curve[-1]["loss"] < ranker.curve[0]["loss"] - 0.05

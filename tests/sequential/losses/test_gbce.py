"""Tests of generalised BCE against a float64 loop over rows and negatives, and in a model's step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.sequential.small_models import model
from toolkit.sequential.losses.binary_cross_entropy import gbce
from toolkit.sequential.losses.loss_scores import Scores
from toolkit.sequential.losses.negative_sampler import Sample

N, K, H, D, CANDIDATES = 13, 9, 6, 4, 40


def given(*, match: bool = True, bias: bool = True, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = {"query": (N, H), "table": (K, H), "match_query": (N, D), "match_table": (K, D), "bias": (K,), "gold": (N,)}
    made = {name: torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for name, size in sizes.items()}
    dropped = (() if match else ("match_query", "match_table")) + (() if bias else ("bias",))
    kept = {name: tensor.requires_grad_(name != "match_table") for name, tensor in made.items() if name not in dropped}
    rows = torch.arange(N)
    return kept | {"hit": torch.where(rows % 4 == 0, rows % K, K)}


def naive(parts: dict[str, torch.Tensor], t: float) -> torch.Tensor:
    """Return the loss from loops over rows and negatives, with the paper's own form of β."""
    scores = parts["query"] @ parts["table"].T
    if "match_query" in parts:
        scores = scores + parts["match_query"] @ parts["match_table"].T
    if "bias" in parts:
        scores = scores + parts["bias"]
    total = torch.zeros((), dtype=scores.dtype)
    for row in range(N):
        wrong = [column for column in range(K) if column != parts["hit"][row]]
        alpha = len(wrong) / (CANDIDATES - 1)
        beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
        total = total - torch.log(torch.sigmoid(parts["gold"][row]) ** beta)
        for column in wrong:
            total = total - torch.log(1 - torch.sigmoid(scores[row, column]))
    return total / N


def worked(loss: Any, parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    value = loss(parts)
    learned = {name: tensor for name, tensor in parts.items() if tensor.requires_grad}
    grads = torch.autograd.grad(3.0 * value, list(learned.values()))
    return {"loss": value.detach(), **dict(zip(learned, grads, strict=True))}


def memory(rows: int) -> float:
    return (rows + 0.5) * 4 * K / 2**20


@pytest.mark.parametrize("t", [0.0, 0.3, 0.75, 1.0])
@pytest.mark.parametrize("rows", [1, 5, 1000])
@pytest.mark.parametrize(("match", "bias"), [(False, False), (True, False), (False, True), (True, True)])
def test_gbce_equals_slow_loop(t: float, rows: int, match: bool, bias: bool) -> None:
    parts = given(match=match, bias=bias)
    wanted = worked(lambda p: naive(p, t), parts)
    found = worked(lambda p: gbce(Scores(**p), t=t, n_candidates=CANDIDATES, memory_mb=memory(rows)), parts)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-10, rtol=1e-10)


def test_gbce_gradients_equal_finite_differences() -> None:
    parts = given()
    fixed = {name: parts.pop(name) for name in ("match_table", "hit")}
    names = list(parts)

    def value(*tensors: torch.Tensor) -> torch.Tensor:
        return gbce(
            Scores(**dict(zip(names, tensors, strict=True)), **fixed),
            t=0.75,
            n_candidates=CANDIDATES,
            memory_mb=memory(4),
        )

    assert torch.autograd.gradcheck(value, tuple(parts.values()))


def test_gbce_with_t_0_equals_binary_cross_entropy() -> None:
    parts = given() | {"hit": torch.full((N,), K)}
    scores = Scores(**parts)
    negatives = Scores(**{name: tensor for name, tensor in parts.items() if name not in ("gold", "hit")}).logits()
    logits = torch.cat([parts["gold"][:, None], negatives], dim=1)
    labels = torch.zeros_like(logits).index_fill_(1, torch.tensor([0]), 1.0)
    wanted = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / N
    torch.testing.assert_close(gbce(scores, t=0.0, n_candidates=CANDIDATES), wanted, atol=1e-12, rtol=0)


def test_gbce_beta_is_one_half_for_half_of_the_negatives() -> None:
    """With score 0 and 2 of 4 negatives drawn, α = 1/2, so t = 1 halves the weight of the positive."""
    scores = Scores(torch.zeros(1, 1), torch.ones(2, 1), gold=torch.zeros(1), hit=torch.tensor([2]))
    for t, weight in ((0.0, 1.0), (0.5, 0.75), (1.0, 0.5)):
        assert float(gbce(scores, t=t, n_candidates=5)) == pytest.approx((2 + weight) * 0.693147, abs=1e-5)


def test_gbce_beta_is_1_if_all_negatives_are_drawn() -> None:
    """For k = V − 1 negatives, with the target as the other column, β is 1 for any t."""
    parts = given() | {"hit": torch.arange(N) % K}
    one, other = (gbce(Scores(**parts), t=t, n_candidates=K) for t in (0.0, 1.0))
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_gbce_is_finite_for_huge_scores() -> None:
    scores = Scores(
        torch.ones(1, 1, requires_grad=True),
        torch.full((2, 1), 500.0),
        gold=torch.tensor([-500.0]),
        hit=torch.tensor([2]),
    )
    assert float(gbce(scores, t=0.0, n_candidates=3).detach()) == pytest.approx(1500)


def test_gbce_with_bfloat16_products_is_close_to_float32() -> None:
    parts = given(dtype=torch.float32)
    exact = float(gbce(Scores(**parts), t=0.75, n_candidates=CANDIDATES).detach())
    low = float(gbce(Scores(**parts), t=0.75, n_candidates=CANDIDATES, compute=torch.bfloat16).detach())
    assert low == pytest.approx(exact, rel=1e-2)
    assert low != exact


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_gbce_step_has_uncorrected_scores_of_a_shared_sample(kind: str) -> None:
    made = model(kind, n_items=CANDIDATES)
    torch.manual_seed(0)
    windows = torch.randint(1, CANDIDATES + 1, (6, 8))
    step = made.objective.step(
        windows, torch.zeros(6, dtype=torch.int64), sample=Sample(7, CANDIDATES + 1, None, own=False)
    )
    scores = step.scores
    assert len(scores.table) <= 7
    assert scores.gold.shape == scores.hit.shape == step.targets.shape
    value = gbce(scores, t=0.75, n_candidates=CANDIDATES + 1)
    value.backward()
    assert bool(made.item_embedding.weight.grad.any())

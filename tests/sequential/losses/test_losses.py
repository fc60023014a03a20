"""Tests of the chunked loss against the full loss, for values and gradients at every chunk size and precision."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch

from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.losses.loss_scores import Scores
from toolkit.sequential.losses.softmax_cross_entropy import chunked, full

N, C, H, D = 23, 31, 8, 5
PARTS = ("query", "table", "match_query", "match_table", "bias")


def tensors(*, dtype: torch.dtype = torch.float64, match: bool = True, bias: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = {"query": (N, H), "table": (C, H), "match_query": (N, D), "match_table": (C, D), "bias": (C,)}
    made = {name: torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for name, size in sizes.items()}
    dropped = (() if match else ("match_query", "match_table")) + (() if bias else ("bias",))
    return {name: value.requires_grad_(name != "match_table") for name, value in made.items() if name not in dropped}


def targets() -> torch.Tensor:
    return torch.randint(C, (N,), generator=torch.Generator().manual_seed(1))


def worked(loss: Any, given: dict[str, torch.Tensor], **options: Any) -> dict[str, torch.Tensor]:
    """Return the loss and the gradient of each part, for an outer gradient of 3."""
    value = loss(Scores(**given), targets(), **options)
    learned = {name: tensor for name, tensor in given.items() if tensor.requires_grad}
    grads = torch.autograd.grad(3.0 * value, list(learned.values()))
    return {"loss": value.detach(), **dict(zip(learned, grads, strict=True))}


def rows_at_once(rows: int) -> float:
    """Return `memory_mb` for a number of rows of float32 logits."""
    return (rows + 0.5) * 4 * C / 2**20


def test_full_loss_of_two_candidates_equals_hand_computed_value() -> None:
    """Logits 0 and log 3 have the probabilities 1/4 and 3/4."""
    scores = Scores(torch.tensor([[3.0]]).log(), torch.tensor([[0.0], [1.0]]))
    for loss in (full, chunked):
        assert float(loss(scores, torch.tensor([0]))) == pytest.approx(1.386294, abs=1e-6)  # log 4
        assert float(loss(scores, torch.tensor([1]))) == pytest.approx(0.287682, abs=1e-6)  # log 4/3


def test_logits_add_the_match_part_and_the_bias() -> None:
    given = tensors()
    scores = Scores(**given).logits()
    for row, column in ((0, 0), (5, 30), (22, 7)):
        wanted = given["query"][row] @ given["table"][column] + given["match_query"][row] @ given["match_table"][column]
        assert float((scores[row, column] - wanted - given["bias"][column]).detach()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 7, 23, 1000])
@pytest.mark.parametrize(("match", "bias"), [(False, False), (True, False), (False, True), (True, True)])
def test_chunked_loss_equals_full_loss(rows: int, match: bool, bias: bool) -> None:
    given = tensors(match=match, bias=bias)
    wanted = worked(full, given)
    found = worked(chunked, given, memory_mb=rows_at_once(rows))
    assert set(found) == {"loss", *given} - {"match_table"}
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("rows", [4, 1000])
def test_chunked_loss_equals_full_loss_in_float32(rows: int) -> None:
    wanted, found = worked(full, tensors()), worked(chunked, tensors(dtype=torch.float32), memory_mb=rows_at_once(rows))
    for name, value in wanted.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name].double(), value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_chunked_loss_with_bfloat16_products_is_close_to_full_loss(bias: bool) -> None:
    given = {
        name: (tensor.detach() * 0.3).requires_grad_(tensor.requires_grad)
        for name, tensor in tensors(bias=bias).items()
    }
    wanted = worked(full, given)
    low = {name: tensor.detach().float().requires_grad_(tensor.requires_grad) for name, tensor in given.items()}
    found = worked(chunked, low, compute=torch.bfloat16)
    for name, value in wanted.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name].double(), value, atol=1e-2, rtol=1e-2)


def test_sums_of_bfloat16_scores_are_float32() -> None:
    """For 5,000 equal scores a bfloat16 sum would stop at 256."""
    query, table = torch.ones(1, 1), torch.ones(5000, 1)
    found = chunked(Scores(query, table), torch.tensor([20]), compute=torch.bfloat16)
    assert float(found) == pytest.approx(math.log(5000), abs=1e-6)


def test_chunked_loss_keeps_a_bias_too_fine_for_bfloat16() -> None:
    """bfloat16 has no number between 30 and 30.125, so a rounded bias would change the loss by .01."""
    query, table, bias = torch.zeros(1, 1), torch.zeros(3, 1), torch.tensor([30.06, 30.09, -50.0])
    exact = float(full(Scores(query, table, bias=bias), torch.tensor([0])))
    found = float(chunked(Scores(query, table, bias=bias), torch.tensor([0]), compute=torch.bfloat16))
    assert found == pytest.approx(exact, abs=2e-3)
    assert abs(float(chunked(Scores(query, table, bias=bias.bfloat16().float()), torch.tensor([0]))) - exact) > 1e-2


def test_chunked_loss_under_autocast_keeps_float32_products() -> None:
    given = tensors(dtype=torch.float32)
    wanted = worked(chunked, given)
    with torch.autocast("cpu", torch.bfloat16):
        found = worked(chunked, given)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_chunked_gradients_equal_finite_differences() -> None:
    given = tensors()
    match_table = given.pop("match_table")
    names = list(given)

    def value(*parts: torch.Tensor) -> torch.Tensor:
        named = dict(zip(names, parts, strict=True))
        return chunked(Scores(match_table=match_table, **named), targets(), memory_mb=rows_at_once(4))

    assert torch.autograd.gradcheck(value, tuple(given.values()))


def test_match_table_has_no_gradient() -> None:
    given = tensors()
    given["match_table"].requires_grad_()
    chunked(Scores(**given), targets()).backward()
    assert given["match_table"].grad is None
    assert given["match_query"].grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_is_finite_for_probabilities_too_small_for_float32(dtype: torch.dtype) -> None:
    """For logits 0 and 500, −log p = 500, although p is 0 in float32."""
    query, table = (
        torch.ones(3, 1, dtype=dtype, requires_grad=True),
        torch.tensor([[0.0], [500.0]], dtype=dtype, requires_grad=True),
    )
    value = chunked(Scores(query, table), torch.tensor([0, 1, 0]))
    value.backward()
    assert float(value.detach()) == pytest.approx(1000 / 3, rel=1e-6)
    assert query.grad is not None and table.grad is not None
    assert query.grad.tolist() == pytest.approx(torch.tensor([[500 / 3], [0.0], [500 / 3]]).numpy(), rel=1e-5)
    assert table.grad.tolist() == pytest.approx(torch.tensor([[-2 / 3], [2 / 3]]).numpy(), rel=1e-5)


def test_chunked_loss_allocates_at_most_memory_mb() -> None:
    """No tensor that grows with rows times candidates exceeds 1 MB, of 16 MB for all logits."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        cells = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and 4096 in made.shape:
                self.cells = max(self.cells, made.numel())
            return made

    with Largest() as seen:
        softmax_cross_entropy.chunked(
            Scores(torch.ones(1024, 2), torch.ones(4096, 2)), torch.zeros(1024, dtype=torch.int64), memory_mb=1
        )
    assert seen.cells <= 2**20 // 4


def test_scores_have_only_tested_fields() -> None:
    assert tuple(field.name for field in fields(Scores)) == (*PARTS, "gold", "hit")


# targets beside the candidates


def beside(dtype: torch.dtype = torch.float64, **parts: bool) -> dict[str, torch.Tensor]:
    """Return scores in which every third row's target is also the candidate with the row's number."""
    given = tensors(dtype=dtype, **parts)
    generator = torch.Generator().manual_seed(2)
    given["gold"] = torch.randn(N, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    rows = torch.arange(N)
    return given | {"hit": torch.where(rows % 3 == 0, rows, C)}


def test_loss_with_gold_scores_equals_hand_computed_value() -> None:
    """A gold score of log 3 against logits 0 and 0 has probability 3/5, or 3/4 if the first candidate is the target."""
    for loss in (full, chunked):
        for hit, chance in ((2, 3 / 5), (0, 3 / 4)):
            scores = Scores(
                torch.zeros(1, 1), torch.ones(2, 1), gold=torch.tensor([3.0]).log(), hit=torch.tensor([hit])
            )
            assert float(loss(scores, torch.tensor([2]))) == pytest.approx(-math.log(chance), abs=1e-6)


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize(("match", "bias"), [(False, False), (True, True)])
def test_chunked_loss_equals_full_loss_with_gold_scores(rows: int, match: bool, bias: bool) -> None:
    given, last = beside(match=match, bias=bias), torch.full((N,), C)
    learned = [tensor for tensor in given.values() if tensor.requires_grad]
    values = [full(Scores(**given), last), chunked(Scores(**given), last, memory_mb=rows_at_once(rows))]
    wanted, found = (torch.autograd.grad(value, learned) for value in values)
    torch.testing.assert_close(values[1], values[0], atol=1e-9, rtol=1e-9)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("bias", [False, True])
def test_bfloat16_products_do_not_change_the_gold_score(bias: bool) -> None:
    given = beside(torch.float32, bias=bias)
    last = torch.full((N,), C)
    exact = float(full(Scores(**given), last).detach())
    assert float(chunked(Scores(**given), last, compute=torch.bfloat16).detach()) == pytest.approx(exact, rel=1e-2)

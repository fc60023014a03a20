"""Tests of dropout from a quarter of a random number: its share, its independence and its reproducibility."""

from __future__ import annotations

import pytest
import torch

from toolkit.sequential.layers.attention import drop


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_drop_zeroes_its_share_and_scales_other_values(share: float) -> None:
    torch.manual_seed(0)
    made = drop(torch.ones(1000, 301), share)
    assert float((made == 0).double().mean()) == pytest.approx(share, abs=0.003)
    assert made.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
    assert float(made.mean()) == pytest.approx(1, abs=0.02)


def test_drop_is_independent_between_values_and_calls() -> None:
    torch.manual_seed(0)
    first, second = (drop(torch.ones(400, 400), 0.5) > 0 for _ in range(2))
    for one, other in (
        (first, second),
        (first[:, 1:], first[:, :-1]),
        (first[:, 4:], first[:, :-4]),
        (first[1:], first[:-1]),
    ):
        assert float((one & other).double().mean()) == pytest.approx(0.25, abs=0.01)


def test_drop_depends_on_seed_and_gradient_uses_the_same_mask() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        hidden = torch.randn(7, 5, requires_grad=True)
        out = drop(hidden, 0.4)
        out.sum().backward()
        assert hidden.grad is not None and torch.equal(hidden.grad != 0, out != 0)
        made.append(out)
    assert torch.equal(*made)


def test_drop_with_share_0_returns_input() -> None:
    hidden = torch.randn(3, 3)
    assert torch.equal(drop(hidden, 0.0), hidden)
    assert drop(hidden.bfloat16(), 0.5).dtype == torch.bfloat16

"""Tests of the gated join, whose shares sum to one over present modalities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.contracts.join import JoinInputs
from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.joins.join_modules import Gates
from toolkit.modality import Modality
from toolkit.recipe import Fusion

V = 300
EVERY = torch.arange(V + 1)


def content(*, coverage: float = 0.7) -> dict[str, Modality]:
    rng = np.random.default_rng(0)
    made = {}
    for name in ("audio", "lyrics", "cover"):
        present = rng.random(V + 1) < coverage
        present[0] = False
        made[name] = Modality(name, rng.normal(0, 1, (V + 1, 6)).astype(np.float32) * present[:, None], present)
    return made


def make(**fusion: object) -> ItemTable:
    torch.manual_seed(0)
    settings = Fusion.model_validate({"join": "gated", "normalise": "none", **fusion})
    return ItemTable(content(), settings, hidden_size=8, train="frozen", played=np.arange(V + 1) > 0, dropout=0.0)


def test_initial_gate_shares_are_equal_over_present_modalities() -> None:
    table = make()
    present = np.stack([modality.present for modality in content().values()], axis=1)
    inputs = table.inputs(EVERY)
    parts, shares = table.network.streams(inputs), table.network.shares(inputs)
    wanted = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
    assert shares.detach().numpy() == pytest.approx(wanted, abs=1e-6)
    torch.testing.assert_close(table(EVERY), torch.stack(parts).sum(0))
    torch.testing.assert_close(table.streams(EVERY), torch.cat(parts, dim=1))


def test_gate_equals_a_softmax_computed_by_a_loop() -> None:
    """Compare with a softmax over the present modalities of each track."""
    gates = Gates(3, 4)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in [*gates.weights, gates.bias]:
            weight.normal_()
    projected = [torch.randn(5, 4) for _ in range(3)]
    there = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]], dtype=torch.bool)
    shares = gates.shares(JoinInputs(projected, projected, there)).detach()
    weights, bias = [weight.detach() for weight in gates.weights], gates.bias.detach()
    for row in range(5):
        held = [m for m in range(3) if there[row, m]]
        powers = {m: float(torch.exp(torch.tanh(projected[m][row]) @ weights[m] + bias[m])) for m in held}
        wanted = [powers.get(m, 0.0) / max(sum(powers.values()), 1e-30) for m in range(3)]
        assert shares[row].tolist() == pytest.approx(wanted, abs=1e-6)


def test_track_without_content_has_zero_row_and_finite_gradients() -> None:
    table = make()
    nothing = ~np.stack([modality.present for modality in content().values()]).any(axis=0)
    out = table(EVERY)
    assert not out[torch.from_numpy(nothing)].any()
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in table.parameters() if p.grad is not None)


def test_informative_modality_gets_the_largest_gate_share() -> None:
    """Train on targets that depend only on lyrics, with noise as audio and cover."""
    table = make(regularise=False)
    wanted = torch.from_numpy(content()["lyrics"].matrix) @ torch.randn(6, 8)
    told = torch.from_numpy(np.flatnonzero(np.stack([m.present for m in content().values()]).all(axis=0)))
    optimizer = torch.optim.Adam(table.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        (table(told) - wanted[told]).pow(2).mean().backward()
        optimizer.step()
    shares = table.shares()
    assert sum(shares.values()) == pytest.approx(
        np.stack([m.present for m in content().values()]).any(axis=0)[1:].mean(), abs=1e-5
    )
    assert table.network.shares(table.inputs(told)).mean(0).argmax() == 1
    assert shares["lyrics"] > 1.5 * max(shares["audio"], shares["cover"])


def test_shares_of_the_sum_join_are_relative_norms() -> None:
    table = make(join="sum")
    lengths = np.stack([part.detach().norm(dim=1).numpy() for part in table.inputs(EVERY[1:]).vectors], axis=1)
    wanted = (lengths / lengths.sum(axis=1, keepdims=True)).mean(axis=0)
    assert list(table.shares().values()) == pytest.approx(wanted.tolist(), abs=1e-5)
    assert make(join="concat").shares() == {}


def test_dropped_modality_has_zero_gate_share() -> None:
    table = make(modality_dropout=0.5)
    shares = table.network.shares(table.inputs(EVERY))
    present = torch.from_numpy(np.stack([modality.present for modality in content().values()], axis=1))
    gone = (shares[present] == 0).float().mean()
    assert float(gone) == pytest.approx(0.5, abs=0.06)
    assert float(shares.detach().sum(1).max()) == pytest.approx(1.0, abs=1e-6)

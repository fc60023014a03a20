"""Tests of hosted models against slow reimplementations, and of the parts around any architecture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.sequential.small_models import fusion, ring, spec
from toolkit.recipe import ModelSpec
from toolkit.sequential import build_network
from toolkit.sequential.item_space import Parts
from toolkit.sequential.recbole import bridge
from toolkit.sequential.sequential_ranker import SequentialRanker

V, H, L = 30, 8, 12
NAMES = ("gru4rec", "hstu", "ligr")
WINDOWS = torch.tensor([[3, 8, 1, 15, 10], [7, 2, 12, 0, 0], [5, 0, 0, 0, 0]])
DATA, VALID = ring()
EVERY = np.arange(1, DATA.n_items + 1)


def network(name: str, **changed: Any) -> Any:
    """Return a network over 30 tracks in evaluation mode, with random weights."""
    torch.manual_seed(0)
    made: Any = spec(name, **{"hidden_size": H, "max_length": L, **changed}).network(
        build_network.Host(V, Parts(played=np.arange(V + 1) > 0))
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made.eval()


def states(made: Any, items: torch.Tensor = WINDOWS) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = made.encode(made.space.inputs(items), items > 0)
    return found


def test_gru4rec_hidden_states_equal_recbole() -> None:
    made = network("gru4rec", layers=2, inner_size=10)
    settings = {"embedding_size": H, "hidden_size": 10, "num_layers": 2, "MAX_ITEM_LIST_LENGTH": L}
    stock: Any = bridge.GRU4Rec(bridge.config("GRU4Rec", settings=settings), bridge.CatalogueSize(V)).eval()
    layers = {
        name.removeprefix("first.layers."): value
        for name, value in made.state_dict().items()
        if name.startswith("first.layers.")
    }
    stock.load_state_dict({"item_embedding.weight": made.item_embedding.weight.detach() * made.id_gate, **layers})
    with torch.no_grad():
        for row, length in enumerate((WINDOWS > 0).sum(1).tolist()):
            for end in range(1, length + 1):
                wanted = stock(F.pad(WINDOWS[row : row + 1, :end], (0, L - end)), torch.tensor([end]))
                torch.testing.assert_close(states(made)[row, end - 1], wanted[0], atol=1e-6, rtol=0)
        lengths = (WINDOWS > 0).sum(1)
        wanted = stock(F.pad(WINDOWS, (0, L - 5)), lengths)
        torch.testing.assert_close(made.objective.query(WINDOWS, lengths), wanted, atol=1e-6, rtol=0)


def test_gru4rec_loss_equals_recbole() -> None:
    """RecBole's cross-entropy over all tracks includes the padding track, with score 0."""
    made = network("gru4rec", inner_size=10)
    settings = {
        "embedding_size": H,
        "hidden_size": 10,
        "num_layers": 1,
        "MAX_ITEM_LIST_LENGTH": L,
        "train_neg_sample_args": None,
    }
    stock: Any = bridge.GRU4Rec(bridge.config("GRU4Rec", settings=settings), bridge.CatalogueSize(V)).eval()
    layers = {
        name.removeprefix("first.layers."): value
        for name, value in made.state_dict().items()
        if name.startswith("first.layers.")
    }
    stock.load_state_dict({"item_embedding.weight": made.item_embedding.weight.detach() * made.id_gate, **layers})
    step = made.objective.step(WINDOWS, torch.zeros(3, dtype=torch.int64))
    with torch.no_grad():
        logits = F.pad(step.scores.logits(), (1, 0))
        rows = [(row, end) for row, length in enumerate((WINDOWS > 0).sum(1).tolist()) for end in range(1, length)]
        batch = {
            "item_id_list": torch.stack([F.pad(WINDOWS[row, :end], (0, L - end)) for row, end in rows]),
            "item_length": torch.tensor([end for _, end in rows]),
            "item_id": torch.tensor([int(WINDOWS[row, end]) for row, end in rows]),
        }
        wanted = float(stock.calculate_loss(bridge.Interaction(batch)))
    assert float(F.cross_entropy(logits, step.targets + 1)) == pytest.approx(wanted, abs=1e-5)


def test_ligr_block_equals_equations_of_the_paper() -> None:
    block = network("ligr", heads=2, inner_size=6).first.layers.blocks[0].double()
    x = torch.randn(2, 4, H, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def attention(y: torch.Tensor) -> torch.Tensor:
        query, key, value = block.projections(y).split(H, -1)
        heads = []
        for head in range(2):
            part = slice(head * H // 2, (head + 1) * H // 2)
            scores = query[..., part] @ key[..., part].transpose(1, 2) / (H / 2) ** 0.5
            seen = torch.ones(4, 4, dtype=torch.bool).tril()
            heads.append(scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value[..., part])
        return block.mix(torch.cat(heads, -1))  # type: ignore[no-any-return]

    def swiglu(y: torch.Tensor) -> torch.Tensor:
        gate, value = block.widen.weight.chunk(2)
        return (F.silu(y @ gate.T) * (y @ value.T)) @ block.narrow.weight.T  # type: ignore[no-any-return]

    with torch.no_grad():
        wanted = x + torch.sigmoid(block.attention_gate(x)) * attention(block.attention_norm(x))
        wanted = wanted + torch.sigmoid(block.forward_gate(wanted)) * swiglu(block.forward_norm(wanted))
        torch.testing.assert_close(block(x), wanted, atol=1e-12, rtol=0)


def test_hstu_block_equals_equations_of_the_paper() -> None:
    block = network("hstu", heads=2).first.layers.blocks[0].double()
    x = torch.randn(1, 4, H, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gate, value, query, key = F.silu(block.wide(block.before(x)))[0].split(H, -1)
        mixed = torch.zeros(4, H, dtype=torch.float64)
        for head in range(2):
            part = slice(head * H // 2, (head + 1) * H // 2)
            for row in range(4):
                for column in range(row + 1):
                    score = (
                        query[row, part] @ key[column, part] / (H / 2) ** 0.5
                        + block.distance.view(2, -1)[head, row - column]
                    )
                    mixed[row, part] += F.silu(score) / (row + 1) * value[column, part]
        wanted = x[0] + block.out(block.after(mixed) * gate)
        torch.testing.assert_close(block(x)[0], wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_later_track_does_not_change_earlier_hosted_states(name: str) -> None:
    made, other = network(name), WINDOWS.clone()
    other[0, 3] = 22
    before, after = states(made), states(made, other)
    assert torch.equal(before[0, :3], after[0, :3])
    assert float((before[0, 3:] - after[0, 3:]).abs().min(1).values.max()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_hosted_models_reach_high_recall_on_the_ring(name: str) -> None:
    ranker = SequentialRanker(spec(name, epochs=25, patience=25, lr=1e-2, dropout=0.0), fusion()).fit(
        replace(DATA, modalities={})
    )
    assert max(row["recall@10"] for row in ranker.curve) > 0.4
    assert ranker.curve[-1]["loss"] < ranker.curve[0]["loss"] - 0.5


@pytest.mark.parametrize("architecture", ["early", "late"])
@pytest.mark.parametrize("name", NAMES)
def test_hosted_model_with_all_parts_scores_the_same_after_loading(
    name: str, architecture: str, tmp_path: Path
) -> None:
    """A model with content, match head, neighbours, popularity and fine-tuning is trained, saved and loaded."""
    settings = {"match": True, "neighbours": 5, "popularity": True, "train": "finetune", "id_start": "cooccurrence"}
    ranker = SequentialRanker(spec(name, **settings), fusion(architecture=architecture, join="sum")).fit(DATA)
    queries = VALID.queries()
    scores = ranker.score(queries, EVERY)
    assert np.isfinite(scores).all()
    assert {row["of"] for row in ranker.modality_weights()} == {
        "sum",
        "match",
        *(["stream"] if architecture == "late" else []),
    }
    ranker.save(tmp_path)
    loaded = SequentialRanker.load(tmp_path)
    assert np.array_equal(loaded.score(queries, EVERY), scores)
    assert np.array_equal(loaded.rank(queries, 10)[0], ranker.rank(queries, 10)[0])
    assert loaded.spec == ranker.spec


@pytest.mark.parametrize("name", NAMES)
def test_hosted_models_train_with_bfloat16(name: str) -> None:
    curve = SequentialRanker(spec(name, bf16="on", epochs=3, dropout=0.0), fusion()).fit(DATA).curve
    exact = SequentialRanker(spec(name, epochs=3, dropout=0.0), fusion()).fit(DATA).curve
    assert curve[-1]["loss"] == pytest.approx(exact[-1]["loss"], rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_title_changes_every_hosted_state(name: str) -> None:
    torch.manual_seed(0)
    played = np.arange(V + 1) > 0
    made: Any = (
        spec(name, hidden_size=H, max_length=L).network(build_network.Host(V, Parts(played=played, title_dim=3))).eval()
    )
    titles = torch.randn(3, 3)
    with torch.no_grad():
        plain, titled = (
            made.encode(made.space.inputs(WINDOWS), WINDOWS > 0),
            made.encode(made.space.inputs(WINDOWS), WINDOWS > 0, titles),
        )
    assert bool(((plain - titled).abs().amax(-1) > 0)[WINDOWS > 0].all())


@pytest.mark.parametrize("name", NAMES)
def test_estimated_parameters_do_not_exceed_actual_parameters(name: str) -> None:
    from toolkit.sequential.training import memory_estimate

    settings: ModelSpec = spec(name, hidden_size=32, max_length=40)
    made = build_network.build(settings, fusion(), {}, DATA.train.counts(), title_dim=0, seed=0)
    real = sum(parameter.numel() for parameter in made.parameters())
    assert 0.8 * real < memory_estimate.parameters(settings, DATA.n_items) <= real

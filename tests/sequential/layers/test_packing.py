"""Tests that packed training steps have the hidden states and gradients of padded steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, modality, model, ring, spec, table
from toolkit.sequential.layers.attention import Packing
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training.trainer import Trainer

V = 30
WINDOWS = torch.tensor([[3, 9, 27, 4, 1, 8], [5, 2, 0, 0, 0, 0], [7, 6, 11, 30, 0, 0], [12, 14, 15, 16, 17, 0]])
KINDS = ["sasrec", "bert4rec"]


def one_by_one(packing: Packing, projected: torch.Tensor, *, causal: bool, dropout: float) -> torch.Tensor:
    """Compute `Packing.attend` playlist by playlist with an explicit softmax."""
    assert dropout == 0
    mixed = []
    for start, end in zip(packing.offsets[:-1], packing.offsets[1:], strict=True):
        query, key, value = projected[start:end].permute(1, 2, 0, 3)
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
        mixed.append((scores.softmax(-1) @ value).transpose(0, 1))
    return torch.cat(mixed)


def training(kind: str, device: str = "cpu", *, late: bool = False) -> Any:
    """Return a model over ids, two modalities and titles, in training mode without dropout."""
    played = np.ones(V + 1, bool)
    content = {"audio": modality("audio", V, 5, 1), "lyrics": modality("lyrics", V, 7, 2)}
    architecture = "late" if late else "early"
    held = table(content, played, hidden_size=16, architecture=architecture)
    made = model(kind, n_items=V, hidden_size=16, table=held, played=played, title_dim=3, late=late).train()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made.to(device)


def outcome(made: Any, *, packs: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the queries of a step, and the gradients of a loss over them."""
    made.packs = packs
    made.zero_grad()
    torch.manual_seed(0)
    device = made.position_embedding.weight.device
    titles = torch.linspace(-1, 1, 12).view(4, 3).to(device)
    query = made.objective.step(
        WINDOWS.to(device), torch.zeros(4, dtype=torch.int64, device=device), titles
    ).scores.query
    (query * torch.linspace(-1, 1, query.numel(), device=device).view_as(query)).sum().backward()
    return query.detach(), {name: part.grad for name, part in made.named_parameters() if part.grad is not None}


def same(made: Any, tolerance: float = 1e-5) -> None:
    padded, packed = outcome(made, packs=False), outcome(made, packs=True)
    torch.testing.assert_close(packed[0], padded[0], rtol=0, atol=tolerance)
    assert packed[1].keys() == padded[1].keys()
    for name, grad in padded[1].items():
        torch.testing.assert_close(
            packed[1][name], grad, rtol=0, atol=tolerance * max(1.0, float(grad.abs().max())), msg=name
        )


def test_pack_and_unpack_are_inverse_without_padding() -> None:
    packing = Packing.of(torch.tensor([[True, True, False], [True, False, False], [True, True, True]]))
    assert packing.rows.tolist() == [0, 0, 1, 2, 2, 2]
    assert packing.columns.tolist() == [0, 1, 0, 0, 1, 2]
    assert packing.offsets.tolist() == [0, 2, 3, 6]
    padded = torch.arange(1.0, 10.0).view(3, 3, 1)
    assert packing.pack(padded).flatten().tolist() == [1, 2, 4, 7, 8, 9]
    assert packing.unpack(packing.pack(padded)).flatten().tolist() == [1, 2, 0, 4, 0, 0, 7, 8, 9]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # of its form for the CPU
def test_packed_attention_stays_within_each_playlist() -> None:
    packing = Packing.of(WINDOWS > 0)
    projected = torch.randn(17, 3, 2, 8, requires_grad=True)
    made, wanted = (attend(packing, projected, causal=False, dropout=0.0) for attend in (Packing.attend, one_by_one))
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-6)
    slopes = torch.randn(17, 2, 8)
    grads = [torch.autograd.grad(out, projected, slopes)[0] for out in (made, wanted)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-6)


@pytest.mark.parametrize("late", [False, True])
def test_packed_step_of_bert4rec_equals_padded_step(late: bool) -> None:
    same(training("bert4rec", late=late))


@pytest.mark.parametrize("late", [False, True])
def test_packed_step_of_sasrec_equals_padded_step(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention is computed explicitly, because PyTorch's causal kernel is for CUDA only."""
    monkeypatch.setattr(Packing, "attend", one_by_one)
    same(training("sasrec", late=late))


def test_packed_step_passes_no_padding_to_the_transformer() -> None:
    made = training("bert4rec")
    seen: list[tuple[int, ...]] = []
    made.trm_encoder.layer[0].feed_forward.dense_1.register_forward_hook(
        lambda _, given, __: seen.append(tuple(given[0].shape))
    )
    outcome(made, packs=True)
    outcome(made, packs=False)
    assert seen == [(17, 16), (4, 6, 16)]


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_cpu_uses_padded_batches(kind: str) -> None:
    data, _ = ring(playlists=30)
    ranker = SequentialRanker(spec(kind), fusion())
    ranker._build(data.modalities, data.train.counts(), device="cpu", seed=0)
    Trainer(ranker.model, data.train, ranker.spec, seed=0, device="cpu")
    assert not ranker.model.packs


@pytest.mark.gpu
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_attention_on_cuda_stays_within_each_playlist(causal: bool, dtype: torch.dtype) -> None:
    packing = Packing.of((WINDOWS > 0).cuda())
    projected = torch.randn(17, 3, 2, 8, device="cuda")
    made = packing.attend(projected.to(dtype), causal=causal, dropout=0.0)
    assert made.dtype == dtype
    wanted = one_by_one(packing, projected, causal=causal, dropout=0.0)
    torch.testing.assert_close(made.float(), wanted, rtol=0, atol=1e-5 if dtype == torch.float32 else 3e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late", [False, True])
def test_packed_step_on_cuda_equals_padded_step(kind: str, late: bool) -> None:
    same(training(kind, "cuda", late=late), tolerance=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("heads", [2, 4])
def test_training_on_cuda_packs_if_head_size_is_a_multiple_of_8(heads: int) -> None:
    data, _ = ring(playlists=30)
    ranker = SequentialRanker(spec(heads=heads), fusion())
    ranker._build(data.modalities, data.train.counts(), device="cuda", seed=0)
    Trainer(ranker.model, data.train, ranker.spec, seed=0, device="cuda")
    assert ranker.model.packs == (heads == 2)

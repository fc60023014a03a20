"""Tests of Cut Cross-Entropy against our own losses: its factors, when it is used, and its results on CUDA."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.sequential.losses.test_losses import tensors, worked
from tests.sequential.small_models import fusion, ring, spec
from toolkit.sequential.losses import cut_cross_entropy
from toolkit.sequential.losses.loss_scores import Scores
from toolkit.sequential.losses.softmax_cross_entropy import full
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training.trainer import Trainer

AMPERE, TURING = (8, 0), (7, 5)


def whole(
    e: torch.Tensor,
    c: torch.Tensor,
    targets: torch.Tensor,
    *,
    filter_eps: object,
    accum_e_fp32: bool,
    accum_c_fp32: bool,
) -> torch.Tensor:
    """Return the package's result from full logits: its arguments, bfloat16 factors, float32 logits and sums."""
    assert (e.dtype, c.dtype) == (torch.bfloat16, torch.bfloat16)
    assert (filter_eps, accum_e_fp32, accum_c_fp32) == (None, True, True)
    return F.cross_entropy(e.float() @ c.float().T, targets)


def older(
    e: torch.Tensor, c: torch.Tensor, targets: torch.Tensor, *, filter_eps: object = "high", impl: str = "cce"
) -> torch.Tensor:
    """Stand-in with the arguments of release 25.1.1."""
    return F.cross_entropy(e @ c.T, targets)


@pytest.mark.parametrize("match", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_product_of_factors_equals_score_matrix(match: bool, bias: bool) -> None:
    given = tensors(match=match, bias=bias)
    query, table = cut_cross_entropy.factors(Scores(**given))
    assert query.shape[1] == table.shape[1] == 8 + 5 * match + 2 * bias
    torch.testing.assert_close(query @ table.T, Scores(**given).logits(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("match", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_every_part_gets_a_gradient_through_the_factors(match: bool, bias: bool) -> None:
    def through(scores: Scores, wanted: torch.Tensor) -> torch.Tensor:
        query, table = cut_cross_entropy.factors(scores)
        return F.cross_entropy(query @ table.T, wanted)

    given = tensors(match=match, bias=bias)
    torch.testing.assert_close(worked(through, given), worked(full, given), rtol=0, atol=1e-12)


def test_bias_keeps_16_bits_in_bfloat16_factors() -> None:
    """A single column would differ by up to 2^-8 of the value, or 0.03 for a popularity of 10."""
    bias = torch.linspace(-10, 10, 31)
    query, table = cut_cross_entropy.factors(Scores(torch.zeros(1, 8), torch.zeros(31, 8), bias=bias))
    kept = query.bfloat16().float() @ table.bfloat16().float().T
    assert float((kept[0] - bias).abs().max()) < 2e-4
    assert float((bias.bfloat16().float() - bias).abs().max()) > 1e-2


def test_cut_cross_entropy_loss_equals_full_softmax_at_bfloat16() -> None:
    given = tensors(dtype=torch.float32)
    found, wanted = (
        worked(lambda scores, asked: cut_cross_entropy.loss(whole, scores, asked), given),
        worked(full, given),
    )
    for part, value in wanted.items():
        torch.testing.assert_close(found[part], value, rtol=0, atol=0.02 * float(value.abs().max()))


def test_refusal_returns_reason_not_to_use_cut_cross_entropy() -> None:
    assert cut_cross_entropy.refusal(whole, AMPERE, bf16=True) is None
    assert "is not installed" in str(cut_cross_entropy.refusal(None, AMPERE, bf16=True))
    assert "bf16: off" in str(cut_cross_entropy.refusal(whole, AMPERE, bf16=False))
    assert "7.5 is below 8.0" in str(cut_cross_entropy.refusal(whole, TURING, bf16=True))
    assert "install a newer release" in str(cut_cross_entropy.refusal(older, AMPERE, bf16=True))


def test_cut_cross_entropy_is_not_imported_on_cpu(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert cut_cross_entropy.choose("cpu", bf16=True) is None
    assert not caplog.records


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_training_with_cut_cross_entropy_starts_at_the_same_loss(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the first step of a model with match columns and a bias, up to bfloat16."""
    data, _ = ring(playlists=30)
    ranker = SequentialRanker(spec(kind, match=True, popularity=True, dropout=0.0), fusion())
    ranker._build(data.modalities, data.train.counts(), device="cpu", seed=0)
    trainer = Trainer(ranker.model, data.train, ranker.spec, seed=0, device="cpu")
    batch = next(trainer.steps.batches(np.random.default_rng(0)))
    torch.manual_seed(0)
    step = trainer.steps.scored(batch)
    chunked = float(trainer.steps.criterion(step.scores, step.targets).detach())
    monkeypatch.setattr(cut_cross_entropy, "choose", lambda *_, **__: whole)
    trainer = Trainer(ranker.model, data.train, ranker.spec, seed=0, device="cpu")
    assert float(trainer.steps.criterion(step.scores, step.targets).detach()) == pytest.approx(chunked, rel=1e-2)
    assert float(trainer.steps.criterion(step.scores, step.targets).detach()) != chunked


@pytest.mark.gpu
def test_cut_cross_entropy_on_cuda_equals_full_softmax() -> None:
    """With 20,000 tracks a release that sums in bfloat16 has an error of 3 % in the query's gradient."""
    kernel = cut_cross_entropy.choose("cuda", bf16=True)
    if kernel is None:
        pytest.skip("Cut Cross-Entropy is not used here: its log line says why")
    torch.manual_seed(0)
    sizes = {
        "query": (512, 64),
        "table": (20_000, 64),
        "match_query": (512, 24),
        "match_table": (20_000, 24),
        "bias": (20_000,),
    }
    given = {
        name: (0.3 * torch.randn(size, device="cuda")).requires_grad_(name != "match_table")
        for name, size in sizes.items()
    }
    wanted = torch.randint(20_000, (512,), device="cuda")
    found = {}
    for name, loss in (("cut", lambda *of: cut_cross_entropy.loss(kernel, *of)), ("full", full)):
        value = loss(Scores(**given), wanted)
        learned = [part for part in given.values() if part.requires_grad]
        found[name] = [value.detach(), *torch.autograd.grad(value, learned)]
    for ours, exact in zip(found["cut"], found["full"], strict=True):
        assert float((ours - exact).norm() / exact.norm()) < 1e-2


@pytest.mark.gpu
def test_training_with_cut_cross_entropy_on_cuda_reaches_recall_of_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    if cut_cross_entropy.choose("cuda", bf16=True) is None:
        pytest.skip("Cut Cross-Entropy is not used here: its log line says why")
    data, _ = ring(playlists=120)
    settings = spec(dropout=0.0, bf16="on", epochs=30, patience=30)
    best = []
    for kernel in (cut_cross_entropy.choose("cuda", bf16=True), None):
        monkeypatch.setattr(cut_cross_entropy, "choose", lambda *_, kernel=kernel, **__: kernel)
        curve = SequentialRanker(settings, fusion()).fit(replace(data, device="cuda")).curve
        best.append(max(row["recall@10"] for row in curve))
    assert best[0] == pytest.approx(best[1], abs=0.1)

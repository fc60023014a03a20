"""Tests of training on a CUDA device: the first loss, the final recall, and scores with the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, ring, spec
from toolkit.sequential.sequential_ranker import SequentialRanker

pytestmark = pytest.mark.gpu

DATA, VALID = ring(playlists=120)
EVERY = np.arange(1, DATA.n_items + 1)
RECALL = 0.05
"""Recall@10 on twelve playlists may differ by this much: sums in another order, thirty epochs long."""


def fit(device: str, kind: str = "sasrec", **changed: Any) -> SequentialRanker:
    return SequentialRanker(spec(kind, dropout=0.0, **changed), fusion()).fit(replace(DATA, device=device))


@pytest.mark.parametrize("train", ["frozen", "finetune"])
def test_first_step_on_cuda_has_the_same_loss(train: str) -> None:
    """All windows are in one batch without dropout, so the loss of the first epoch is that of a single step."""
    cpu, cuda = (fit(device, train=train, epochs=1, batch_tokens=10**6).curve[0]["loss"] for device in ("cpu", "cuda"))
    assert cuda == pytest.approx(cpu, abs=1e-4)


@pytest.mark.parametrize("train", ["frozen", "finetune"])
def test_training_on_cuda_reaches_the_same_recall(train: str) -> None:
    settings: dict[str, Any] = {"train": train, "epochs": 30, "patience": 30, "match": True}
    cpu, cuda = (max(row["recall@10"] for row in fit(device, **settings).curve) for device in ("cpu", "cuda"))
    assert cpu > 0.5
    assert cuda == pytest.approx(cpu, abs=RECALL)


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_same_weights_have_the_same_scores_on_cuda(kind: str, tmp_path: Path) -> None:
    ranker = fit("cpu", kind, train="finetune", match=True)
    ranker.save(tmp_path)
    moved = SequentialRanker.load(tmp_path, device="cuda")
    assert moved.device.type == "cuda"
    np.testing.assert_allclose(moved.score(VALID.queries(), EVERY), ranker.score(VALID.queries(), EVERY), atol=1e-4)


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_killed_training_resumes_on_cuda(kind: str, tmp_path: Path) -> None:
    """Moments and weights are restored on the device. Its atomic sums are not reproducible to the bit."""
    settings: dict[str, Any] = {"epochs": 4, "patience": 9}
    straight = fit("cuda", kind, **settings)
    SequentialRanker(spec(kind, dropout=0.0, epochs=2, patience=9), fusion()).fit(
        replace(DATA, device="cuda", workdir=tmp_path)
    )
    resumed = SequentialRanker(spec(kind, dropout=0.0, **settings), fusion()).fit(
        replace(DATA, device="cuda", workdir=tmp_path)
    )
    assert [row["epoch"] for row in resumed.curve] == [1, 2, 3, 4]
    assert [row["loss"] for row in resumed.curve] == pytest.approx([row["loss"] for row in straight.curve], abs=1e-3)


def test_training_with_bfloat16_reaches_recall_of_float32() -> None:
    exact, low = (fit("cuda", bf16=bf16, epochs=30, patience=30) for bf16 in ("off", "on"))
    best = [max(row["recall@10"] for row in ranker.curve) for ranker in (exact, low)]
    assert best[1] == pytest.approx(best[0], abs=2 * RECALL)
    assert low.model.item_embedding.weight.dtype == torch.float32


def test_loss_memory_on_cuda_is_limited_to_its_chunk() -> None:
    """65,536 tracks by 4096 rows have 1 GB of logits, of which 16 MB are in memory at once."""
    from toolkit.sequential.losses.loss_scores import Scores
    from toolkit.sequential.losses.softmax_cross_entropy import chunked

    query, table = (torch.randn(rows, 64, device="cuda", requires_grad=True) for rows in (4096, 65_536))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    chunked(Scores(query, table), torch.zeros(4096, dtype=torch.int64, device="cuda")).backward()
    assert torch.cuda.max_memory_allocated() - before < 200 * 2**20

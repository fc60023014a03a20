"""Tests of the conformance suite for losses, which built-in losses pass and broken losses fail."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch.nn import functional as F

from segue.checks import check_loss
from toolkit import plugins
from toolkit.contracts.loss import Loss, Training
from toolkit.sequential.losses.chunked import Chunked
from toolkit.sequential.losses.full import Full
from toolkit.sequential.losses.gbce import GBCE
from toolkit.sequential.losses.loss_scores import Scores
from toolkit.sequential.losses.negative_sampler import Sample
from toolkit.sequential.losses.sampled import Sampled

BUILT_IN = [
    Full(),
    Chunked(),
    Sampled(negatives=8),
    Sampled(negatives=8, batch_negatives=False),
    Sampled(negatives=8, negatives_from="popularity", log_q=False),
    GBCE(negatives=8),
    GBCE(negatives=8, t=0.0),
]


@pytest.mark.parametrize("loss", BUILT_IN, ids=repr)
def test_built_in_losses_pass_check_loss(loss: Loss) -> None:
    check_loss(loss)


def test_every_registered_loss_is_tested_here() -> None:
    assert {type(loss) for loss in BUILT_IN} == {
        plugins.load("segue.losses", name) for name in plugins.names("segue.losses")
    }


def test_full_loss_accepts_bfloat16_queries() -> None:
    query, table = torch.randn(3, 4, dtype=torch.bfloat16), torch.randn(5, 4)
    targets = torch.tensor([0, 4, 2])
    found = Full().mean(Scores(query, table), targets, Training(torch.zeros(6).numpy(), 5, 256))
    torch.testing.assert_close(found, F.cross_entropy(query.float() @ table.T, targets))


class Plain(Loss):
    """Full softmax in one line, the base of the broken losses."""

    type: str = "plain"

    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        logits = scores.logits()
        return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets)


class Beside(Plain):
    """Softmax over a shared sample, with separately scored targets."""

    samples: ClassVar[bool] = True

    def sampler(self, training: Training) -> Sample:
        return Sample(8, training.tracks, None, own=False)


class Summed(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        return F.cross_entropy(scores.logits(), targets, reduction="sum")


class NoScalar(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        return F.cross_entropy(scores.logits(), targets, reduction="none")


class Overflowing(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        shares = scores.logits().exp()
        return -(shares.gather(1, targets[:, None])[:, 0] / shares.sum(1)).log().mean()


class Detached(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        logits = scores.logits()
        return (logits.logsumexp(1).detach() - logits.gather(1, targets[:, None])[:, 0]).mean()


class Ordered(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        logits = scores.logits()
        return F.cross_entropy(logits + 0.01 * torch.arange(logits.shape[1]), targets)


class Backwards(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        return F.cross_entropy(-scores.logits(), targets)


class Drawing(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        return F.cross_entropy(F.dropout(scores.logits(), 0.5), targets)


class HalfFails(Plain):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        return F.cross_entropy(
            scores.query @ scores.table.T + scores.match_query @ scores.match_table.T + scores.bias, targets
        )  # type: ignore[operator, union-attr]


class CountsTheHit(Beside):
    def mean(self, scores: Scores, targets: torch.Tensor, training: Training) -> torch.Tensor:
        factors = scores.query @ scores.table.T + scores.match_query @ scores.match_table.T + scores.bias
        return F.cross_entropy(torch.cat([factors, scores.gold[:, None]], 1), targets)  # type: ignore[index]


class Undeclared(Beside):
    samples: ClassVar[bool] = False


class NumpyDraws(Beside):
    def sampler(self, training: Training) -> Sample:
        class Wild(Sample):
            def draw(self, candidates: torch.Tensor) -> torch.Tensor:
                import numpy as np

                return candidates[torch.from_numpy(np.random.default_rng().integers(0, len(candidates), 8))]

        return Wild(8, training.tracks, None, own=False)


class Forgetful(Plain):
    weight: Any = None

    def step_memory(self, positions: int, tracks: int, hidden_size: int) -> Any:
        return "much"


@pytest.mark.parametrize("loss", [Plain(), Beside()], ids=repr)
def test_base_of_broken_losses_passes_check_loss(loss: Loss) -> None:
    check_loss(loss)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Summed, "duplicated rows change the loss"),
        (NoScalar, "must return a scalar"),
        (Overflowing, r"the loss is nan for logits near 1000|gradients must be finite|the loss is inf"),
        (Detached, "must equal finite differences"),
        (Ordered, "reordered candidates must not change the loss"),
        (Backwards, "a higher target score must lower the loss"),
        (Drawing, "repeated calls must return the same loss"),
        (HalfFails, "torch.bfloat16 queries with a float32 table must work"),
        (CountsTheHit, "a sampled target must not count as a negative"),
        (Undeclared, "samples=False must be True, because sampler returns a sample"),
        (NumpyDraws, "draws must be repeatable"),
        (Forgetful, "step_memory returned 'much' and must return"),
    ],
)
def test_broken_loss_fails_check_loss(cls: type[Loss], message: str) -> None:
    with pytest.raises(AssertionError, match=message) as caught:
        check_loss(cls())
    assert cls.__name__ in str(caught.value)


def test_loss_without_mean_raises_type_error() -> None:
    class Empty(Loss):
        type: str = "empty"

    with pytest.raises(TypeError, match="mean"):
        Empty()  # type: ignore[abstract]

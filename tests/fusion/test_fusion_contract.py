"""Tests of the conformance checks for joins and missing-value policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from segue.checks.check_fusion import check_join, check_missing
from toolkit import plugins
from toolkit.contracts.join import Join, JoinInputs, Shares
from toolkit.contracts.missing_policy import Fill, Missing, Rows
from toolkit.errors import InputError
from toolkit.fusion.joins.join_modules import Gates, Streams, Summands
from toolkit.fusion.missing.em import Em


@pytest.mark.parametrize("name", plugins.names("segue.joins"))
def test_built_in_join_passes_the_contract(name: str) -> None:
    check_join(plugins.load("segue.joins", name)())


@pytest.mark.parametrize("name", plugins.names("segue.missing"))
def test_built_in_policy_passes_the_contract(name: str) -> None:
    check_missing(Em(rank=2) if name == "em" else plugins.load("segue.missing", name)())


class Summed(Join):
    """Correct join, from which each class below breaks one rule."""

    type: str = "summed"
    keeps_apart: ClassVar[bool] = True

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        return Summands()


class OwnName(Summed):
    key: ClassVar[str] = "projections"


class LeavesOutBlindly(Summed):
    leaves_out: ClassVar[bool] = True


class WrongWidth(Summed):
    keeps_apart: ClassVar[bool] = False

    def width(self, dims: Sequence[int]) -> int:
        return sum(dims)

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class First(nn.Module):
            def forward(self, inputs: JoinInputs) -> torch.Tensor:
                return inputs.vectors[0].repeat(1, 2)[:, : sum(dims) - 1]

        return First()


class OneVector(Summed):
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class Mean(nn.Module):
            def forward(self, inputs: JoinInputs) -> torch.Tensor:
                return torch.stack(list(inputs.vectors)).sum(0).mean(0)

        return Mean()


class BatchNormalised(Summed):
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class Centred(Streams):
            def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
                return [each - each.mean(0) for each in inputs.vectors]

        return Centred()


class EmptySoftmax(Summed):
    needs_presence: ClassVar[bool] = True
    leaves_out: ClassVar[bool] = True

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class Softmax(Streams):
            def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
                assert inputs.present is not None
                shares = torch.zeros(inputs.present.shape).masked_fill(~inputs.present, -torch.inf).softmax(1)
                return [each * share for each, share in zip(inputs.vectors, shares.split(1, dim=1), strict=True)]

        return Softmax()


class ReadsAbsent(Summed):
    needs_presence: ClassVar[bool] = True
    leaves_out: ClassVar[bool] = True


class Detached(Summed):
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class Scaled(Summands):
            def __init__(self) -> None:
                super().__init__()
                self.scale = nn.Parameter(torch.ones(hidden_size))

            def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
                return [each * self.scale.detach() for each in inputs.vectors]

        return Scaled()


class OwnRandomness(Summed):
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        made = Gates(len(dims), hidden_size)
        with torch.no_grad():
            made.bias.copy_(torch.from_numpy(np.random.default_rng().normal(size=len(dims)).astype(np.float32)))
        return made

    needs_presence: ClassVar[bool] = True


class Unregistered(Summed):
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class Shifted(Summands):
            def __init__(self) -> None:
                super().__init__()
                self.shift = torch.randn(hidden_size)

            def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
                return [each + self.shift for each in inputs.vectors]

        return Shifted()


class UnboundedShares(Summed):
    shares: ClassVar[Shares | None] = Shares("length", "length")

    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        class Lengths(Summands):
            def shares(self, inputs: JoinInputs) -> torch.Tensor:
                return 100 * torch.stack([each.norm(dim=1) for each in inputs.vectors], dim=1)

        return Lengths()


@pytest.mark.parametrize(
    ("join", "message"),
    [
        (OwnName, "key='projections' is reserved for the item table"),
        (LeavesOutBlindly, "leaves_out=True requires needs_presence=True"),
        (OneVector, r"forward returned shape \(6,\) and must return \(61, 6\)"),
        (BatchNormalised, "must not depend on the batch"),
        (EmptySoftmax, "must have a finite vector|must return finite numbers"),
        (ReadsAbsent, "leaves_out=True requires vectors independent of missing modalities"),
        (Detached, r"no gradient reaches join\.scale"),
        (OwnRandomness, "equal seeds must give equal modules"),
        (Unregistered, "vectors must be identical after loading"),
        (UnboundedShares, "shares must be >= 0 and sum to at most 1"),
    ],
)
def test_contract_checks_fail_for_each_broken_join(join: type[Join], message: str) -> None:
    check_join(Summed())
    with pytest.raises(AssertionError, match=message):
        check_join(join())  # type: ignore[call-arg]


def test_contract_checks_fail_for_a_join_with_a_wrong_width() -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        check_join(WrongWidth())


class Constant(Missing):
    """Correct policy, from which each class below breaks one rule."""

    type: str = "constant"
    value: float = 0.1
    fills: ClassVar[bool] = False

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        return lambda modality, rows, there: np.full_like(rows[modality], self.value)


class Undeclared(Constant):
    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        return lambda modality, rows, there: np.zeros_like(rows[modality]) + there.sum(axis=0)[:, None]


class Leaks(Constant):
    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        means = [
            block[0 : len(block)][there].mean(axis=0) if there.any() else 0
            for block, there in zip(blocks, present, strict=True)
        ]
        return lambda modality, rows, there: np.zeros_like(rows[modality]) + means[modality]


class EmptyMean(Constant):
    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        sums = [block[0 : len(block)][there & fitted].sum(axis=0) for block, there in zip(blocks, present, strict=True)]
        counts = (present & fitted).sum(axis=1)
        with np.errstate(invalid="ignore"):
            means = [total / count for total, count in zip(sums, counts, strict=True)]
        return lambda modality, rows, there: np.zeros_like(rows[modality]) + means[modality]


class ChangesPresence(Constant):
    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        present[:] = True
        return None


class SliceMean(Constant):
    fills: ClassVar[bool] = True

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        return lambda modality, rows, there: np.zeros_like(rows[modality]) + sum(each.mean() for each in rows)


class Random(Constant):
    fills: ClassVar[bool] = True

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill | None:
        return lambda modality, rows, there: np.random.default_rng().normal(size=rows[modality].shape)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Undeclared, "absent rows must be equal for all tracks unless fills=True"),
        (Leaks, "fit must learn only from tracks in `fitted`"),
        (EmptyMean, "rows must be finite if no training track has the modality"),
        (SliceMean, "learn only from tracks in|rows must not depend on other tracks of the slice"),
        (Random, "repeated fits must be identical"),
        (ChangesPresence, "must not change blocks, present or fitted in place"),
    ],
)
def test_contract_checks_fail_for_each_broken_policy(policy: type[Missing], message: str) -> None:
    check_missing(Constant())
    with pytest.raises(AssertionError, match=message):
        check_missing(policy())  # type: ignore[call-arg]


def test_contract_checks_fail_for_a_part_that_a_recipe_cannot_name() -> None:
    class Inside(Constant):
        pass

    with pytest.raises(
        AssertionError,
        match=r"a recipe reads .* and must read Inside.*declare every parameter as a field",
    ):
        check_missing(Inside())


def test_missing_declaration_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half(Join):
        type: str = "half"

    monkeypatch.setitem(globals(), "Half", Half)
    with pytest.raises(InputError, match=r"must implement keeps_apart, module: see segue\.plugin\.Join"):
        plugins.load("segue.joins", f"{__name__}:Half")

"""The contract of a loss, `toolkit.contracts.loss`, as a test suite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from toolkit.contracts.loss import Loss, Training
from toolkit.sequential.losses.loss_scores import Scores

ROWS, TRACKS, HIDDEN, MATCH = 6, 11, 4, 3
CATALOGUE = 200
EXTREME = 1e3
"""Size of the logits on which a loss must stay finite: exponentials of them are not."""


def check_loss(loss: Loss) -> None:
    """Check a loss with its parameters against the contract. Raises `AssertionError` at the first broken promise."""
    check_declaration(loss)
    check_sampler(loss)
    for seed in range(3):
        scores, targets = problem(loss, seed)
        check_value(loss, scores, targets)
        check_gradients(loss, scores, targets)
        check_mean(loss, scores, targets)
        check_order(loss, scores, targets)
        check_target(loss, scores, targets)
        check_hit(loss, scores)
    check_extremes(loss)
    check_low_precision(loss)


def training(*, bf16: bool = False) -> Training:
    """A training on 200 tracks, all of them played."""
    return Training(np.concatenate([[0], np.arange(1, CATALOGUE + 1)]), CATALOGUE, 256, "cpu", bf16)


def problem(
    loss: Loss, seed: int, *, size: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[Scores, torch.Tensor]:
    """Scores and targets of the form that the loss gets in training: with targets beside a sample where its sampler wants that."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return (size**0.5 * torch.randn(*shape, generator=draw, dtype=torch.float64)).to(dtype)

    factors: dict[str, Any] = {
        "query": normal(ROWS, HIDDEN),
        "table": normal(TRACKS, HIDDEN),
        "match_query": normal(ROWS, MATCH),
        "match_table": normal(TRACKS, MATCH),
        "bias": normal(TRACKS),
    }
    sample = loss.sampler(training())
    if sample is None or sample.own:
        return Scores(**factors), torch.randint(TRACKS, (ROWS,), generator=draw)
    hit = torch.randint(TRACKS, (ROWS,), generator=draw)
    hit[::2] = TRACKS
    return Scores(**factors, gold=normal(ROWS), hit=hit), torch.full((ROWS,), TRACKS)


def value(loss: Loss, scores: Scores, targets: torch.Tensor, *, bf16: bool = False) -> torch.Tensor:
    """The loss as training computes it."""
    return loss.begin(training(bf16=bf16))(scores, targets)


def close(first: torch.Tensor, second: torch.Tensor, tolerance: float = 1e-9) -> bool:
    """Whether two values are equal to a relative tolerance."""
    return bool((first - second).abs() <= tolerance * (1 + second.abs()))


def check_declaration(loss: Loss) -> None:
    """Parameters survive a recipe, and memory is declared in bytes."""
    name = type(loss).__name__
    again = type(loss).model_validate(loss.model_dump(mode="json"))
    assert again == loss, (
        f"{name}: its parameters are not the same after a recipe: they must be plain values (text, numbers, booleans)"
    )
    needed = loss.step_memory(4096, 10**6, 64)
    assert isinstance(needed, tuple) and isinstance(needed[0], int) and needed[0] >= 0 and isinstance(needed[1], str), (
        f"{name}: step_memory must return bytes (an integer) and the setting that decides (text), not {needed!r}"
    )


def check_sampler(loss: Loss) -> None:
    """`samples` is what `sampler` does, and draws are of the candidates and repeatable."""
    name, sample = type(loss).__name__, loss.sampler(training())
    assert (sample is not None) == loss.samples, (
        f"{name}: samples={loss.samples}, and sampler returns {'nothing' if sample is None else 'a sample'}: set `samples: ClassVar[bool]`"
    )
    if sample is None:
        return
    candidates = torch.arange(1, CATALOGUE + 1)[::2]
    torch.manual_seed(0)
    drawn = sample.draw(candidates) if not loss.draws_by_plays else sample.draw(torch.arange(1, CATALOGUE + 1))
    torch.manual_seed(0)
    again = sample.draw(candidates) if not loss.draws_by_plays else sample.draw(torch.arange(1, CATALOGUE + 1))
    assert torch.equal(drawn, again), f"{name}: the sampler must draw from torch's generator, which training seeds"
    assert drawn.dtype == torch.int64 and drawn.ndim == 1 and len(drawn), f"{name}: a sample is int64 [n], n > 0"
    assert loss.draws_by_plays or bool(torch.isin(drawn, candidates).all()), (
        f"{name}: the sampler draws ids that are not candidates"
    )
    log_q = sample.log_q(torch.arange(1, CATALOGUE + 1))
    assert log_q is None or bool((log_q.isfinite() & (log_q <= 0)).all()), (
        f"{name}: log_q must be the logarithm of a chance above 0"
    )


def check_value(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """A finite scalar of the scores' dtype, on their device, the same each time."""
    name, found = type(loss).__name__, value(loss, scores, targets)
    assert found.ndim == 0, f"{name}: mean must return a scalar, not shape {tuple(found.shape)}"
    assert bool(found.isfinite()), f"{name}: the loss is {float(found)} on scores near 1"
    assert found.dtype == scores.query.dtype, f"{name}: the loss is {found.dtype} on scores of {scores.query.dtype}"
    assert found.device == scores.query.device, (
        f"{name}: the loss is on {found.device}, the scores on {scores.query.device}"
    )
    assert torch.equal(found, value(loss, scores, targets)), (
        f"{name}: two calls on the same scores differ: draw in `sampler` alone"
    )


def check_gradients(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Gradients of every factor are those of finite differences, in double precision."""
    learned = [each for each in ("query", "table", "match_query", "bias", "gold") if getattr(scores, each) is not None]

    def run(*values: torch.Tensor) -> torch.Tensor:
        return value(loss, replace(scores, **dict(zip(learned, values, strict=True))), targets)

    given = [getattr(scores, each).detach().clone().requires_grad_() for each in learned]
    try:
        torch.autograd.gradcheck(run, given, eps=1e-6, atol=1e-6, rtol=1e-4)
    except RuntimeError as error:
        place = str(error).split("\n")[0]
        raise AssertionError(
            f"{type(loss).__name__}: gradients are not those of finite differences ({place}); inputs: {', '.join(learned)}."
            " A `detach`, a `torch.no_grad` or a backward pass of its own usually breaks it"
        ) from None


def check_mean(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Every row twice has the same mean."""
    doubled = {
        name: torch.cat([part, part])
        for name in ("query", "match_query", "gold", "hit")
        if (part := getattr(scores, name)) is not None
    }
    found, wanted = value(loss, replace(scores, **doubled), torch.cat([targets, targets])), value(loss, scores, targets)
    assert close(found, wanted), (
        f"{type(loss).__name__}: every row twice changes the loss from {wanted:.6f} to {found:.6f}: divide by rows"
    )


def check_order(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """The order of the candidates does not matter."""
    order = torch.randperm(TRACKS, generator=torch.Generator().manual_seed(1))
    place = torch.cat([order.argsort(), torch.tensor([TRACKS])])
    assert scores.match_table is not None and scores.bias is not None
    turned = replace(scores, table=scores.table[order], match_table=scores.match_table[order], bias=scores.bias[order])
    turned = turned if scores.hit is None else replace(turned, hit=place[scores.hit])
    found, wanted = value(loss, turned, place[targets]), value(loss, scores, targets)
    assert close(found, wanted), (
        f"{type(loss).__name__}: candidates in another order change the loss from {wanted:.6f} to {found:.6f}"
    )


def check_target(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """A higher score of the target lowers the loss."""
    if scores.gold is not None:
        higher = replace(scores, gold=scores.gold + 0.1)
    else:
        scores, targets = _row(scores, 0), targets[:1]
        assert scores.bias is not None
        higher = replace(scores, bias=scores.bias.index_add(0, targets, torch.full((1,), 0.1, dtype=scores.bias.dtype)))
    found, before = value(loss, higher, targets), value(loss, scores, targets)
    assert bool(found < before), (
        f"{type(loss).__name__}: the target's score 0.1 higher changes the loss from {before:.6f} to {found:.6f}"
    )


def check_hit(loss: Loss, scores: Scores) -> None:
    """A target that the sample holds too is not a wrong answer of its own row."""
    if scores.gold is None:
        return
    row = replace(_row(scores, 0), hit=torch.tensor([3]))
    assert row.bias is not None
    moved = replace(row, bias=row.bias + 5.0 * (torch.arange(TRACKS) == 3).to(row.bias.dtype))
    target = torch.tensor([TRACKS])
    found, wanted = value(loss, moved, target), value(loss, row, target)
    assert close(found, wanted), (
        f"{type(loss).__name__}: the sampled copy of a row's target counts as a wrong answer: leave out column `scores.hit` of each row"
    )


def check_extremes(loss: Loss) -> None:
    """Loss and gradients stay finite on logits of some thousands."""
    name = type(loss).__name__
    for seed in range(3):
        scores, targets = problem(loss, seed, size=EXTREME, dtype=torch.float32)
        query = scores.query.requires_grad_()
        found = value(loss, replace(scores, query=query), targets)
        assert bool(found.isfinite()), (
            f"{name}: the loss is {float(found)} on logits near {EXTREME:g}: use logsumexp, softplus"
        )
        found.backward()
        assert query.grad is not None and bool(query.grad.isfinite().all()), (
            f"{name}: gradients are not finite on logits near {EXTREME:g}, though the loss is"
        )


def check_low_precision(loss: Loss) -> None:
    """In single precision, and with the bfloat16 queries of autocast, it is near what double precision gives."""
    name, (exact, targets) = type(loss).__name__, problem(loss, 0)
    wanted = value(loss, exact, targets)
    for low, bf16, tolerance in ((torch.float32, False, 1e-4), (torch.bfloat16, True, 0.1)):
        parts = {
            name: part.float()
            for name, part in vars(exact).items()
            if isinstance(part, torch.Tensor) and part.is_floating_point()
        }
        parts["query"] = parts["query"].to(low)
        try:
            found = value(loss, replace(exact, **parts), targets, bf16=bf16)
        except RuntimeError as error:
            raise AssertionError(
                f"{name}: fails on {low} queries beside a float32 table ({error}): convert them"
            ) from None
        assert close(found.double(), wanted, tolerance), (
            f"{type(loss).__name__}: {float(found)} with {low} queries, {float(wanted)} in double"
        )


def _row(scores: Scores, row: int) -> Scores:
    """One row of scores."""
    part = slice(row, row + 1)
    names = [name for name in ("query", "match_query", "gold", "hit") if getattr(scores, name) is not None]
    return replace(scores, **{name: getattr(scores, name)[part] for name in names})

"""Conformance suite for losses, which tests the contract `toolkit.contracts.loss`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from toolkit.contracts.loss import Loss, Training
from toolkit.sequential.losses.loss_scores import Scores

ROWS, TRACKS, HIDDEN, MATCH = 6, 11, 4, 3
CATALOGUE = 200
EXTREME = 1e3
"""Size of logits whose exponentials overflow, for which a loss must still be finite."""


def check_loss(loss: Loss) -> None:
    """Check a loss with its parameters against the contract. Raises `AssertionError` at the first violation."""
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
    """Return the properties of a training on 200 tracks, all of which have plays."""
    return Training(np.concatenate([[0], np.arange(1, CATALOGUE + 1)]), CATALOGUE, 256, "cpu", bf16)


def problem(
    loss: Loss, seed: int, *, size: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[Scores, torch.Tensor]:
    """Return scores and targets in the form that the loss receives in training.

    If the loss's sampler shares a sample, the targets' scores are in a column of their own.
    """
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        drawn: torch.Tensor = size**0.5 * torch.randn(*shape, generator=draw, dtype=torch.float64)
        return drawn.to(dtype)

    factors: dict[str, torch.Tensor] = {
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
    """Return the loss as computed in training."""
    return loss.begin(training(bf16=bf16))(scores, targets)


def close(first: torch.Tensor, second: torch.Tensor, tolerance: float = 1e-9) -> bool:
    """Return whether two values are equal up to a relative tolerance."""
    return bool((first - second).abs() <= tolerance * (1 + second.abs()))


def check_declaration(loss: Loss) -> None:
    """Check that parameters are unchanged by a recipe and that memory is declared in bytes."""
    name = type(loss).__name__
    reread = type(loss).model_validate(loss.model_dump(mode="json"))
    assert reread == loss, (
        f"{name}: a recipe must keep the parameters unchanged: use only strings, numbers and booleans"
    )
    needed = loss.step_memory(4096, 10**6, 64)
    assert isinstance(needed, tuple) and isinstance(needed[0], int) and needed[0] >= 0 and isinstance(needed[1], str), (
        f"{name}: step_memory returned {needed!r} and must return (bytes, setting), such as (0, '')"
    )


def check_sampler(loss: Loss) -> None:
    """Check that `samples` matches `sampler`, and that draws are repeatable and only of candidates."""
    name, sample = type(loss).__name__, loss.sampler(training())
    assert (sample is not None) == loss.samples, (
        f"{name}: samples={loss.samples} must be {sample is not None}, because sampler returns"
        f" {'None' if sample is None else 'a sample'}: set `samples: ClassVar[bool]`"
    )
    if sample is None:
        return
    candidates = torch.arange(1, CATALOGUE + 1)[::2]
    pool = torch.arange(1, CATALOGUE + 1) if loss.draws_by_plays else candidates
    torch.manual_seed(0)
    drawn = sample.draw(pool)
    torch.manual_seed(0)
    assert torch.equal(drawn, sample.draw(pool)), (
        f"{name}: draws must be repeatable: draw only from torch's global generator, which is seeded in training"
    )
    assert drawn.dtype == torch.int64 and drawn.ndim == 1 and len(drawn), (
        f"{name}: a sample must be a non-empty int64 vector"
    )
    assert loss.draws_by_plays or bool(torch.isin(drawn, candidates).all()), (
        f"{name}: the sampler must draw only candidate ids"
    )
    log_q = sample.log_q(torch.arange(1, CATALOGUE + 1))
    assert log_q is None or bool((log_q.isfinite() & (log_q <= 0)).all()), (
        f"{name}: log_q must be finite and <= 0, as the logarithm of a probability"
    )


def check_value(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Check that the loss is a finite, repeatable scalar with the scores' dtype and device."""
    name, computed = type(loss).__name__, value(loss, scores, targets)
    assert computed.ndim == 0, f"{name}: mean must return a scalar, not shape {tuple(computed.shape)}"
    assert bool(computed.isfinite()), f"{name}: the loss is {float(computed)} for scores near 1 and must be finite"
    assert computed.dtype == scores.query.dtype, (
        f"{name}: the loss is {computed.dtype} and must have the scores' dtype, {scores.query.dtype}"
    )
    assert computed.device == scores.query.device, (
        f"{name}: the loss is on {computed.device} and must be on the scores' device, {scores.query.device}"
    )
    assert torch.equal(computed, value(loss, scores, targets)), (
        f"{name}: repeated calls must return the same loss: draw random numbers only in `sampler`"
    )


def check_gradients(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Check that gradients of every factor equal finite differences in double precision."""
    factors = ("query", "table", "match_query", "bias", "gold")
    learned = [factor for factor in factors if getattr(scores, factor) is not None]

    def run(*values: torch.Tensor) -> torch.Tensor:
        return value(loss, replace(scores, **dict(zip(learned, values, strict=True))), targets)

    leaves = [getattr(scores, factor).detach().clone().requires_grad_() for factor in learned]
    try:
        torch.autograd.gradcheck(run, leaves, eps=1e-6, atol=1e-6, rtol=1e-4)
    except RuntimeError as error:
        difference = str(error).split("\n")[0]
        raise AssertionError(
            f"{type(loss).__name__}: gradients of {', '.join(learned)} must equal finite differences ({difference}):"
            " remove detach(), torch.no_grad() and custom backward passes"
        ) from None


def check_mean(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Check that duplicating every row does not change the loss."""
    doubled = {
        name: torch.cat([part, part])
        for name in ("query", "match_query", "gold", "hit")
        if (part := getattr(scores, name)) is not None
    }
    computed, expected = (
        value(loss, replace(scores, **doubled), torch.cat([targets, targets])),
        value(loss, scores, targets),
    )
    assert close(computed, expected), (
        f"{type(loss).__name__}: duplicated rows change the loss from {expected:.6f} to {computed:.6f}: divide by rows"
    )


def check_order(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Check that the order of the candidates does not change the loss."""
    order = torch.randperm(TRACKS, generator=torch.Generator().manual_seed(1))
    place = torch.cat([order.argsort(), torch.tensor([TRACKS])])
    assert scores.match_table is not None and scores.bias is not None
    turned = replace(scores, table=scores.table[order], match_table=scores.match_table[order], bias=scores.bias[order])
    turned = turned if scores.hit is None else replace(turned, hit=place[scores.hit])
    computed, expected = value(loss, turned, place[targets]), value(loss, scores, targets)
    assert close(computed, expected), (
        f"{type(loss).__name__}: reordered candidates must not change the loss ({expected:.6f} to {computed:.6f})"
    )


def check_target(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Check that a higher target score lowers the loss."""
    if scores.gold is not None:
        higher = replace(scores, gold=scores.gold + 0.1)
    else:
        scores, targets = _row(scores, 0), targets[:1]
        assert scores.bias is not None
        higher = replace(scores, bias=scores.bias.index_add(0, targets, torch.full((1,), 0.1, dtype=scores.bias.dtype)))
    computed, before = value(loss, higher, targets), value(loss, scores, targets)
    assert bool(computed < before), (
        f"{type(loss).__name__}: a higher target score must lower the loss ({before:.6f} to {computed:.6f})"
    )


def check_hit(loss: Loss, scores: Scores) -> None:
    """Check that a sampled target does not count as a negative for the same row."""
    if scores.gold is None:
        return
    row = replace(_row(scores, 0), hit=torch.tensor([3]))
    assert row.bias is not None
    moved = replace(row, bias=row.bias + 5.0 * (torch.arange(TRACKS) == 3).to(row.bias.dtype))
    target = torch.tensor([TRACKS])
    computed, expected = value(loss, moved, target), value(loss, row, target)
    assert close(computed, expected), (
        f"{type(loss).__name__}: a sampled target must not count as a negative: ignore column `scores.hit` of each row"
    )


def check_extremes(loss: Loss) -> None:
    """Check that loss and gradients stay finite for logits of about 1,000."""
    name = type(loss).__name__
    for seed in range(3):
        scores, targets = problem(loss, seed, size=EXTREME, dtype=torch.float32)
        query = scores.query.requires_grad_()
        computed = value(loss, replace(scores, query=query), targets)
        assert bool(computed.isfinite()), (
            f"{name}: the loss is {float(computed)} for logits near {EXTREME:g}: use logsumexp or softplus"
        )
        torch.autograd.backward(computed)
        assert query.grad is not None and bool(query.grad.isfinite().all()), (
            f"{name}: gradients must be finite for logits near {EXTREME:g}: use logsumexp or softplus"
        )


def check_low_precision(loss: Loss) -> None:
    """Check that the loss in float32 and with bfloat16 queries is close to the loss in double precision."""
    name, (exact, targets) = type(loss).__name__, problem(loss, 0)
    expected = value(loss, exact, targets)
    for low, bf16, tolerance in ((torch.float32, False, 1e-4), (torch.bfloat16, True, 0.1)):
        parts = {
            name: part.float()
            for name, part in vars(exact).items()
            if isinstance(part, torch.Tensor) and part.is_floating_point()
        }
        parts["query"] = parts["query"].to(low)
        try:
            computed = value(loss, replace(exact, **parts), targets, bf16=bf16)
        except RuntimeError as error:
            raise AssertionError(
                f"{name}: {low} queries with a float32 table must work ({error}): convert the queries"
            ) from None
        assert close(computed.double(), expected, tolerance), (
            f"{type(loss).__name__}: {float(computed)} with {low} queries must be close to {float(expected)} in float64"
        )


def _row(scores: Scores, row: int) -> Scores:
    """Return a single row of the scores."""
    part = slice(row, row + 1)
    names = [name for name in ("query", "match_query", "gold", "hit") if getattr(scores, name) is not None]
    return replace(scores, **{name: getattr(scores, name)[part] for name in names})

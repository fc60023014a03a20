"""The contract of a loss, `toolkit.contracts.loss`, as a test suite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from toolkit.contracts.loss import Loss, Training
from toolkit.sequential.losses.loss_scores import Scores

ROWS, TRACKS, HIDDEN, MATCH = 6, 11, 4, 3
CATALOGUE = 200
EXTREME = 1e3
"""Size of logits for which a loss must be finite although their exponentials are not."""


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
    """A training on 200 tracks, all of them played."""
    return Training(np.concatenate([[0], np.arange(1, CATALOGUE + 1)]), CATALOGUE, 256, "cpu", bf16)


def problem(
    loss: Loss, seed: int, *, size: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[Scores, torch.Tensor]:
    """Scores and targets of the form that the loss gets in training.

    Targets are next to a shared sample where the loss's sampler shares one.
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
    """The loss as training computes it."""
    return loss.begin(training(bf16=bf16))(scores, targets)


def close(first: torch.Tensor, second: torch.Tensor, tolerance: float = 1e-9) -> bool:
    """Whether two values are equal to a relative tolerance."""
    return bool((first - second).abs() <= tolerance * (1 + second.abs()))


def check_declaration(loss: Loss) -> None:
    """Parameters survive a recipe, and memory is declared in bytes."""
    name = type(loss).__name__
    reread = type(loss).model_validate(loss.model_dump(mode="json"))
    assert reread == loss, (
        f"{name}: its parameters are not the same after a recipe: they must be plain values (text, numbers, booleans)"
    )
    needed = loss.step_memory(4096, 10**6, 64)
    assert isinstance(needed, tuple) and isinstance(needed[0], int) and needed[0] >= 0 and isinstance(needed[1], str), (
        f"{name}: step_memory must return bytes (an integer) and the setting that decides (text), not {needed!r}"
    )


def check_sampler(loss: Loss) -> None:
    """`samples` agrees with `sampler`, and draws are of the candidates and repeatable."""
    name, sample = type(loss).__name__, loss.sampler(training())
    assert (sample is not None) == loss.samples, (
        f"{name}: samples={loss.samples}, and sampler returns {'nothing' if sample is None else 'a sample'}:"
        " set `samples: ClassVar[bool]`"
    )
    if sample is None:
        return
    candidates = torch.arange(1, CATALOGUE + 1)[::2]
    pool = torch.arange(1, CATALOGUE + 1) if loss.draws_by_plays else candidates
    torch.manual_seed(0)
    drawn = sample.draw(pool)
    torch.manual_seed(0)
    assert torch.equal(drawn, sample.draw(pool)), (
        f"{name}: the sampler must draw from torch's generator, which training seeds"
    )
    assert drawn.dtype == torch.int64 and drawn.ndim == 1 and len(drawn), f"{name}: a sample is int64 [n], n > 0"
    assert loss.draws_by_plays or bool(torch.isin(drawn, candidates).all()), (
        f"{name}: the sampler draws ids that are not candidates"
    )
    log_q = sample.log_q(torch.arange(1, CATALOGUE + 1))
    assert log_q is None or bool((log_q.isfinite() & (log_q <= 0)).all()), (
        f"{name}: log_q must be the logarithm of a probability above 0"
    )


def check_value(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """A finite scalar of the scores' dtype, on their device, the same each time."""
    name, computed = type(loss).__name__, value(loss, scores, targets)
    assert computed.ndim == 0, f"{name}: mean must return a scalar, not shape {tuple(computed.shape)}"
    assert bool(computed.isfinite()), f"{name}: the loss is {float(computed)} on scores near 1"
    assert computed.dtype == scores.query.dtype, (
        f"{name}: the loss is {computed.dtype} on scores of {scores.query.dtype}"
    )
    assert computed.device == scores.query.device, (
        f"{name}: the loss is on {computed.device}, the scores on {scores.query.device}"
    )
    assert torch.equal(computed, value(loss, scores, targets)), (
        f"{name}: two calls on the same scores differ: draw in `sampler` alone"
    )


def check_gradients(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Gradients of every factor are those of finite differences, in double precision."""
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
            f"{type(loss).__name__}: gradients are not those of finite differences ({difference}); inputs:"
            f" {', '.join(learned)}. A `detach`, a `torch.no_grad` or a backward pass of its own usually breaks it"
        ) from None


def check_mean(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """Every row twice has the same mean."""
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
        f"{type(loss).__name__}: every row twice changes the loss from {expected:.6f} to {computed:.6f}: divide by rows"
    )


def check_order(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """The order of the candidates does not matter."""
    order = torch.randperm(TRACKS, generator=torch.Generator().manual_seed(1))
    place = torch.cat([order.argsort(), torch.tensor([TRACKS])])
    assert scores.match_table is not None and scores.bias is not None
    turned = replace(scores, table=scores.table[order], match_table=scores.match_table[order], bias=scores.bias[order])
    turned = turned if scores.hit is None else replace(turned, hit=place[scores.hit])
    computed, expected = value(loss, turned, place[targets]), value(loss, scores, targets)
    assert close(computed, expected), (
        f"{type(loss).__name__}: candidates in another order change the loss from {expected:.6f} to {computed:.6f}"
    )


def check_target(loss: Loss, scores: Scores, targets: torch.Tensor) -> None:
    """A higher score of the target lowers the loss."""
    if scores.gold is not None:
        higher = replace(scores, gold=scores.gold + 0.1)
    else:
        scores, targets = _row(scores, 0), targets[:1]
        assert scores.bias is not None
        higher = replace(scores, bias=scores.bias.index_add(0, targets, torch.full((1,), 0.1, dtype=scores.bias.dtype)))
    computed, before = value(loss, higher, targets), value(loss, scores, targets)
    assert bool(computed < before), (
        f"{type(loss).__name__}: the target's score 0.1 higher changes the loss from {before:.6f} to {computed:.6f}"
    )


def check_hit(loss: Loss, scores: Scores) -> None:
    """A target that is also in the sample is not a negative of its own row."""
    if scores.gold is None:
        return
    row = replace(_row(scores, 0), hit=torch.tensor([3]))
    assert row.bias is not None
    moved = replace(row, bias=row.bias + 5.0 * (torch.arange(TRACKS) == 3).to(row.bias.dtype))
    target = torch.tensor([TRACKS])
    computed, expected = value(loss, moved, target), value(loss, row, target)
    assert close(computed, expected), (
        f"{type(loss).__name__}: the sampled copy of a row's target counts as a wrong answer: leave out column"
        " `scores.hit` of each row"
    )


def check_extremes(loss: Loss) -> None:
    """Loss and gradients stay finite on logits of some thousands."""
    name = type(loss).__name__
    for seed in range(3):
        scores, targets = problem(loss, seed, size=EXTREME, dtype=torch.float32)
        query = scores.query.requires_grad_()
        computed = value(loss, replace(scores, query=query), targets)
        assert bool(computed.isfinite()), (
            f"{name}: the loss is {float(computed)} on logits near {EXTREME:g}: use logsumexp, softplus"
        )
        torch.autograd.backward(computed)
        assert query.grad is not None and bool(query.grad.isfinite().all()), (
            f"{name}: gradients are not finite on logits near {EXTREME:g}, though the loss is"
        )


def check_low_precision(loss: Loss) -> None:
    """In single precision, and with the bfloat16 queries of autocast, it is near its value in double precision."""
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
                f"{name}: fails on {low} queries beside a float32 table ({error}): convert them"
            ) from None
        assert close(computed.double(), expected, tolerance), (
            f"{type(loss).__name__}: {float(computed)} with {low} queries, {float(expected)} in double"
        )


def _row(scores: Scores, row: int) -> Scores:
    """One row of scores."""
    part = slice(row, row + 1)
    names = [name for name in ("query", "match_query", "gold", "hit") if getattr(scores, name) is not None]
    return replace(scores, **{name: getattr(scores, name)[part] for name in names})

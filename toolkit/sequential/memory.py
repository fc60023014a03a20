"""What training a model holds at least, told before any of it is allocated: sizes that cannot fit end in a line, not in a crash."""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.recipe import ModelSpec


def parameters(spec: ModelSpec, n_items: int, *, streams: int = 1) -> int:
    """Learned numbers of RecBole's part of a model, at least; `streams` transformer stacks under late fusion."""
    hidden, inner = spec.hidden_size, _inner(spec)
    attention = 4 * hidden * (hidden + 1) + 2 * hidden
    forward = 2 * hidden * inner + inner + hidden + 2 * hidden
    stack = spec.layers * (attention + forward) + spec.max_length * hidden
    return streams * stack + n_items * hidden * (2 if spec.head == "untied" else 1)


def check(spec: ModelSpec, n_items: int, positions: int, free: int, *, streams: int = 1) -> None:
    """Raise `InputError` where weights or a step over `positions` need more than the `free` bytes of the device.

    The bounds are low: what is not refused may still be too large.
    """
    learned = parameters(spec, n_items, streams=streams)
    # weights, Adam's two moments and the best weights so far; gradients, unless a step has those of its own tracks alone
    weights = 4 * learned * (4 + (spec.adam == "dense") + spec.average)
    if weights > free:
        raise InputError(
            f"hidden_size={spec.hidden_size}, inner_size={_inner(spec)}, layers={spec.layers} and max_length={spec.max_length} over"
            f" {n_items:,} tracks are {learned:,} parameters, which take at least {_gb(weights)} in training, and {_gb(free)} are free:"
            " use smaller sizes"
        )
    # what each layer keeps for its gradient, in bfloat16 at best; ids and vectors of the drawn tracks
    step = positions * streams * spec.layers * 2 * (4 * spec.hidden_size + _inner(spec))
    said = f"batch_tokens={spec.batch_tokens}"
    if spec.loss == "full":
        step += 2 * 4 * positions * n_items
        said += f" and loss: full over {n_items:,} tracks"
    if spec.loss in ("sampled", "gbce"):
        step += 16 * spec.negatives + 4 * min(spec.negatives, n_items) * spec.hidden_size
        said += f" and negatives={spec.negatives}"
    if weights + step > free:
        raise InputError(
            f"a step of {said} takes at least {_gb(step)} beside {_gb(weights)} of weights, and {_gb(free)} are free: lower them"
        )


def _inner(spec: ModelSpec) -> int:
    return spec.inner_size or 4 * spec.hidden_size


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"

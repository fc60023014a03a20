"""What training a model holds at least, told before any of it is allocated: sizes that cannot fit end in a line, not in a crash."""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.recipe import ModelSpec


def parameters(spec: ModelSpec, n_items: int, *, streams: int = 1) -> int:
    """Learned numbers of a model without its content, at least; `streams` architectures under late fusion."""
    return streams * spec.layer_parameters() + n_items * spec.hidden_size * (2 if spec.head == "untied" else 1)


def check(spec: ModelSpec, n_items: int, positions: int, free: int, *, streams: int = 1) -> None:
    """Raise `InputError` where weights or a step over `positions` need more than the `free` bytes of the device.

    The bounds are low: what is not refused may still be too large.
    """
    learned = parameters(spec, n_items, streams=streams)
    # weights, Adam's two moments and the best weights so far; gradients, unless a step has those of its own tracks alone
    weights = 4 * learned * (4 + (spec.adam == "dense") + spec.average)
    if weights > free:
        *first, last = (f"{name}={size}" for name, size in spec.sizes().items())
        raise InputError(
            f"{', '.join(first)} and {last} over {n_items:,} tracks are {learned:,} parameters, which take at least {_gb(weights)} in"
            f" training, and {_gb(free)} are free: use smaller sizes"
        )
    # what each layer keeps for its gradient, in bfloat16 at best; ids and vectors of the drawn tracks
    of_loss, decides = spec.loss.step_memory(positions, n_items, spec.hidden_size)
    step = positions * streams * 2 * spec.position_numbers() + of_loss
    said = f"batch_tokens={spec.batch_tokens}" + (f" and {decides}" if decides else "")
    if weights + step > free:
        raise InputError(
            f"a step of {said} takes at least {_gb(step)} beside {_gb(weights)} of weights, and {_gb(free)} are free: lower them"
        )


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"

"""Lower bound on the memory of a training, checked before any memory is allocated."""

from __future__ import annotations

from toolkit.recipe import ModelSpec


def parameters(spec: ModelSpec, n_items: int, *, streams: int = 1) -> int:
    """Return a lower bound on the number of parameters of a model without its content.

    - streams: number of streams under late fusion.
    """
    return streams * spec.layer_parameters() + n_items * spec.hidden_size * (2 if spec.head == "untied" else 1)


def problem(spec: ModelSpec, n_items: int, positions: int, free: int, *, streams: int = 1) -> str:
    """Return why weights, or a step over `positions`, exceed the `free` bytes of the device, with the cure, or "".

    The bounds are low, so a model that passes may still be too large.
    """
    learned = parameters(spec, n_items, streams=streams)
    # weights, Adam's two moments and the best weights; gradients, unless a step has those of its own tracks alone
    weights = 4 * learned * (4 + (spec.adam == "dense") + spec.average)
    if weights > free:
        *first, last = (f"{name}={size}" for name, size in spec.sizes().items())
        return (
            f"{', '.join(first)} and {last} over {n_items:,} tracks are {learned:,} parameters, which take at least"
            f" {_gb(weights)} in training, but {_gb(free)} are free: reduce the sizes"
        )
    # numbers that each layer keeps for its gradient, in bfloat16 at best; ids and vectors of the drawn tracks
    of_loss, setting = spec.loss.step_memory(positions, n_items, spec.hidden_size)
    step = positions * streams * 2 * spec.position_numbers() + of_loss
    settings = f"batch_tokens={spec.batch_tokens}" + (f" and {setting}" if setting else "")
    if weights + step > free:
        return (
            f"a step of {settings} takes at least {_gb(step)} and the weights {_gb(weights)}, but {_gb(free)} are"
            f" free: reduce {settings.partition('=')[0]}"
        )
    return ""


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"

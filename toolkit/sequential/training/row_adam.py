"""AdamW that updates only the rows with gradients in a step, for row-sparse gradients.

A sampled softmax has gradients for some thousand of millions of tracks, but dense Adam reads and writes weights,
gradients and two moments of all tracks in each step. Here the moments of other rows do not change ("lazy" Adam, as in
`torch.optim.SparseAdam`, which has no weight decay). A track without gradients in a step is neither moved by momentum
nor decayed. For dense gradients the optimizer is identical to `torch.optim.AdamW`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


def gradients(parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the values of all gradients, to be changed in place.

    Row-sparse gradients [V, H] are coalesced, and the values of their rows [n, H] are returned.
    """
    values = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        values.append(parameter.grad.values() if parameter.grad.is_sparse else parameter.grad)
    return values


def clip(parameters: Sequence[torch.Tensor], largest: float) -> None:
    """Scale all gradients, including row-sparse gradients, to a joint norm of at most `largest`."""
    values = gradients(parameters)
    norm = torch.nn.utils.get_total_norm(values)
    torch._foreach_mul_(values, (largest / (norm + 1e-6)).clamp(max=1.0))


class RowAdamW(torch.optim.AdamW):
    """`torch.optim.AdamW` with an update limited to rows with gradients for row-sparse parameters."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        sparse = [
            (group, p)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None and p.grad.is_sparse
        ]
        for group, parameter in sparse:
            rate, decay = group["lr"], group["weight_decay"]
            self._move(parameter, lr=rate, betas=group["betas"], eps=group["eps"], weight_decay=decay)
        grads = [parameter.grad for _, parameter in sparse]
        for _, parameter in sparse:
            parameter.grad = None
        result = super().step(closure)
        for (_, parameter), grad in zip(sparse, grads, strict=True):
            parameter.grad = grad
        return result

    def _move(
        self, parameter: torch.Tensor, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float
    ) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        (first, second), steps = betas, state["step"]
        grad = parameter.grad.coalesce()  # type: ignore[union-attr]
        rows, values = grad.indices()[0], grad.values()
        mean = state["exp_avg"][rows].lerp_(values, 1 - first)
        square = state["exp_avg_sq"][rows].mul_(second).addcmul_(values, values, value=1 - second)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        size = (square / (1 - second**steps)).sqrt_().add_(eps)
        decayed = parameter[rows].mul_(1 - lr * weight_decay)
        parameter[rows] = decayed.sub_(lr * mean / (1 - first**steps) / size)

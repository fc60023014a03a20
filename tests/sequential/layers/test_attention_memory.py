"""Tests that no training step or ranking allocates a tensor for all pairs of positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.sequential.small_models import model

LENGTH = 37


class Shapes(TorchDispatchMode):
    """Recorder of the shape of every tensor that an operation creates."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple) else (made,):
            if isinstance(tensor, torch.Tensor):
                self.seen.add(tuple(tensor.shape))
        return made


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
@pytest.mark.parametrize("padded", [False, True])
def test_no_tensor_has_all_pairs_of_positions(kind: str, padded: bool) -> None:
    made = model(kind, n_items=50, max_length=LENGTH).train()
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    items = torch.randint(1, 51, (3, LENGTH + made.causal))
    if padded:
        items[1, 20:] = 0
    with Shapes() as shapes:
        step = made.objective.step(items, torch.zeros(3, dtype=torch.int64))
        step.scores.logits().sum().backward()
    assert any(shape.count(LENGTH) == 1 for shape in shapes.seen)
    assert not [shape for shape in shapes.seen if shape.count(LENGTH) > 1]

"""Frozen content vectors in float32, bfloat16 or int8: nothing that learns, no optimiser state.

An int8 row has one scale a modality, its largest absolute value over 127 (symmetric quantisation; Jacob et al. 2018,
section 2.1, without a zero point). A step makes float32 of its own rows alone. 2.26 M tracks of 384 dimensions take
3.5 GB in float32, 1.7 GB in bfloat16 and 0.88 GB in int8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from toolkit.fusion.prepare import Rows, parts

Precision = Literal["float32", "bfloat16", "int8"]


def store(blocks: Sequence[Rows], precision: Precision) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Keep float32 vectors [V, d_m] side by side: values [V, Σ d_m] and, for int8, scales float32 [V, number of blocks]."""
    widths = [block.shape[1] for block in blocks]
    values = torch.empty(len(blocks[0]), sum(widths), dtype=getattr(torch, precision))
    scales = torch.zeros(len(values), len(blocks)) if precision == "int8" else None
    for number, (block, columns) in enumerate(zip(blocks, values.split(widths, dim=1), strict=True)):
        for part in parts(len(block)):
            exact = torch.from_numpy(block[part])
            if scales is not None:
                scale = exact.abs().amax(1) / 127
                scales[part, number] = scale
                exact = (exact / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round()
            columns[part] = exact
    return values, scales


def gather(values: torch.Tensor, scales: torch.Tensor | None, items: torch.Tensor, block_of: torch.Tensor | None = None) -> torch.Tensor:
    """Rows `items` int64 [...] of what `store` kept: float32 [..., Σ d_m]. block_of: int64 [Σ d_m], where there is more than one block."""
    rows = values[items]
    if rows.dtype == torch.float32:
        return rows
    exact = rows.float()
    if scales is None:
        return exact
    scale = scales[items]
    return exact.mul_(scale if block_of is None else scale[..., block_of])

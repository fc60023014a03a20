"""Frozen content vectors in float32, bfloat16 or int8: nothing that learns, no optimiser state.

An int8 row has one scale a modality, its largest absolute value over 127 (symmetric quantisation; Jacob et al. 2018,
section 2.1, without a zero point). A step makes float32 of its own rows alone. 2.26 M tracks of 384 dimensions take
3.5 GB in float32, 1.7 GB in bfloat16 and 0.88 GB in int8. Where that is more than there is, they stay in a mapped file.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from toolkit.contracts.missing_policy import Rows
from toolkit.fusion.prepare import parts

Precision = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True)
class Stored:
    """values: float32, bfloat16 or int8 [V, Σ d_m]; scales: float32 [V, number of blocks] of int8; mapping: the file that holds values."""

    values: torch.Tensor
    scales: torch.Tensor | None
    mapping: mmap.mmap | None = None

    def release(self) -> None:
        """Give back the memory of what was read of a mapped file; the next use reads it again. Nothing in memory alone is touched."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)


def store(blocks: Sequence[Rows], precision: Precision, folder: Path | None = None) -> Stored:
    """Keep float32 vectors [V, d_m] side by side, in memory or in a file without a name on the disk of `folder`.

    Such a file ends with the process, however that ends.
    """
    rows, width, dtype = len(blocks[0]), sum(block.shape[1] for block in blocks), getattr(torch, precision)
    scales = torch.zeros(rows, len(blocks)) if precision == "int8" else None
    packed = _packed(blocks, dtype, scales)
    if folder is None:
        values = torch.empty(rows, width, dtype=dtype)
        for part, piece in zip(parts(rows), packed, strict=True):
            values[part] = piece
        return Stored(values, scales)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for piece in packed:
            file.write(piece.view(torch.uint8).numpy().data)
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapping.madvise(mmap.MADV_RANDOM)  # what stands beside a row is not wanted with it
    return Stored(torch.frombuffer(mapping, dtype=dtype).view(rows, width), scales, mapping)


def _packed(blocks: Sequence[Rows], dtype: torch.dtype, scales: torch.Tensor | None) -> Iterator[torch.Tensor]:
    """The blocks side by side as they are kept, some rows at a time; their scales go into `scales`."""
    for part in parts(len(blocks[0])):
        pieces = []
        for number, block in enumerate(blocks):
            exact = torch.from_numpy(block[part])
            if scales is not None:
                scale = exact.abs().amax(1) / 127
                scales[part, number] = scale
                exact = (exact / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round()
            pieces.append(exact.to(dtype))
        yield torch.cat(pieces, 1)


def gather(
    values: torch.Tensor, scales: torch.Tensor | None, items: torch.Tensor | slice, block_of: torch.Tensor | None = None
) -> torch.Tensor:
    """Rows `items`, int64 [...] or a slice, of what `store` kept: float32 [..., Σ d_m].

    block_of: int64 [Σ d_m], where there is more than one block.
    """
    rows = values[items]
    if rows.dtype in (torch.float32, torch.float64):  # the latter of a model in double precision
        return rows
    exact = rows.float()
    if scales is None:
        return exact
    scale = scales[items]
    return exact.mul_(scale if block_of is None else scale[..., block_of])

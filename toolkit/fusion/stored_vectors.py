"""Frozen content vectors in float32, bfloat16 or int8, without gradients or optimiser state.

An int8 row has one scale for each modality, its largest absolute value divided by 127 (symmetric quantisation without a
zero point; Jacob et al. 2018, section 2.1). A training step converts only its own rows to float32. 2.26 M tracks with
384 dimensions require 3.5 GB in float32, 1.7 GB in bfloat16 and 0.88 GB in int8. Vectors larger than memory remain in a
memory-mapped file.
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
from toolkit.fusion.prepare import row_slices

Precision = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True)
class Stored:
    """Vectors as stored by `store`.

    - values: float32, bfloat16 or int8 [V, Σ d_m].
    - scales: float32 [V, number of blocks] for int8, otherwise None.
    - mapping: the memory-mapped file with `values`; None if they are in memory.
    """

    values: torch.Tensor
    scales: torch.Tensor | None
    mapping: mmap.mmap | None = None

    def release(self) -> None:
        """Release the memory of pages from a memory-mapped file. The next use reads these pages again."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)


def store(blocks: Sequence[Rows], precision: Precision, folder: Path | None = None) -> Stored:
    """Write float32 vectors [V, d_m] side by side, in memory or in an unnamed file on the disk of `folder`.

    The file is deleted when the process ends, even after a kill.
    """
    rows, width, dtype = len(blocks[0]), sum(block.shape[1] for block in blocks), getattr(torch, precision)
    scales = torch.zeros(rows, len(blocks)) if precision == "int8" else None
    packed = _packed(blocks, dtype, scales)
    if folder is None:
        values = torch.empty(rows, width, dtype=dtype)
        for part, piece in zip(row_slices(rows), packed, strict=True):
            values[part] = piece
        return Stored(values, scales)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for piece in packed:
            file.write(piece.view(torch.uint8).numpy().data)
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapping.madvise(mmap.MADV_RANDOM)  # reading ahead does not help: a batch's rows are far apart
    return Stored(torch.frombuffer(mapping, dtype=dtype).view(rows, width), scales, mapping)


def _packed(blocks: Sequence[Rows], dtype: torch.dtype, scales: torch.Tensor | None) -> Iterator[torch.Tensor]:
    """Yield the blocks side by side in the stored format, in groups of rows. Their scales are written to `scales`."""
    for part in row_slices(len(blocks[0])):
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
    """Return rows `items`, int64 [...] or a slice, of stored vectors: float32 [..., Σ d_m].

    - block_of: int64 [Σ d_m], the block of each column; required for several blocks.
    """
    rows = values[items]
    if rows.dtype in (torch.float32, torch.float64):  # float64 in a model of double precision
        return rows
    exact = rows.float()
    if scales is None:
        return exact
    scale = scales[items]
    return exact.mul_(scale if block_of is None else scale[..., block_of])

"""Content vectors of an item table, stored as given and never trained."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from toolkit.contracts.missing_policy import Rows
from toolkit.fusion.stored_vectors import Precision, gather, store


def tensor_key(name: str) -> str:
    """Return a name for a modality's tensors without dots and names of torch methods, such as `type`."""
    return "of_" + name.replace(".", ":")


class ContentBuffers(nn.Module):
    """Buffers with the vectors of each modality.

    - blocks: rows of each modality by name, float32 [V + 1, d].
    - present: tracks with the modality, bool [V + 1], by name; empty if no layer reads this mask.
    - precision: number format of the stored vectors.
    - folder: folder of memory-mapped vectors; None keeps the vectors in memory.
    """

    def __init__(
        self, blocks: Mapping[str, Rows], present: Mapping[str, np.ndarray], precision: Precision, folder: Path | None
    ) -> None:
        super().__init__()
        self.names = list(blocks)
        self._stored = [store([vectors], precision, folder) for vectors in blocks.values()]
        for name, stored in zip(self.names, self._stored, strict=True):
            self.register_buffer("content_" + tensor_key(name), stored.values)
            self.register_buffer("scale_" + tensor_key(name), stored.scales)
            if name in present:
                self.register_buffer("present_" + tensor_key(name), torch.from_numpy(present[name])[:, None])
        self._checksums = self._checksums_now()

    def content(self, name: str) -> torch.Tensor:
        """Return the stored vectors of a modality: float32, bfloat16 or int8 [V + 1, d]."""
        return self.get_buffer("content_" + tensor_key(name))

    def stored_rows(self, name: str, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return vectors of `items`, float32 [n, d], and a mask bool [n, 1] for items with the modality, if stored."""
        key = tensor_key(name)
        vectors = gather(self.content(name), getattr(self, "scale_" + key), items)
        return vectors, self.get_buffer("present_" + key)[items] if hasattr(self, "present_" + key) else None

    def check_loaded(self) -> None:
        """Raise `AssertionError` if an initialisation has changed the given vectors."""
        for name, checksum in self._checksums_now().items():
            assert checksum == self._checksums[name], f"the table no longer holds the vectors of {name}"
        self.release()

    def release(self) -> None:
        """Release the memory of memory-mapped vectors."""
        for stored in self._stored:
            stored.release()

    @torch.no_grad()
    def permute_content(self, name: str, order: torch.Tensor) -> None:
        """Permute the vectors of a modality among tracks. order: int64 [V + 1], the source track of each row."""
        for buffer in (self.content(name), getattr(self, "scale_" + tensor_key(name))):
            if buffer is not None:
                buffer.copy_(buffer[order])

    def _checksums_now(self) -> dict[str, int]:
        return {name: zlib.crc32(self.content(name).cpu().view(torch.uint8).numpy().data) for name in self.names}

"""The match head: candidates that resemble the playlist so far, modality by modality.

To a candidate's score is added Σ_m w_m · ⟨prefix sum of modality m over the
seeds, divided by √n; the candidate's modality m⟩. It is linear in the playlist,
works for tracks never played, and is extra columns of the item table's matrix
product. With random codes for artist or album the inner product is "same artist".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.fusion.prepare import Prepared
from toolkit.fusion.stored_vectors import Precision, gather, store
from toolkit.modality import Modality

WIDEST = 128
"""Most columns of a modality; wider ones (sentence embeddings) keep their first principal axes."""


def _reduction(modality: Modality) -> str:
    return f"pca:{WIDEST}" if modality.dim > WIDEST and int(modality.present.sum()) > WIDEST else "none"


class MatchHead(nn.Module):
    """Fixed normalised content of every track, and one learned weight per modality.

    - table: precision of the content. folder: where it is kept in a mapped file; None keeps it in memory.
    """

    scale: torch.Tensor | None

    def __init__(
        self, modalities: Mapping[str, Modality], table: Precision = "float32", folder: Path | None = None
    ) -> None:
        super().__init__()
        self.names = list(modalities)
        blocks = [
            Prepared(modality, missing="zero", reduce=_reduction(modality), normalise="before")
            for modality in modalities.values()
        ]
        self.dims = [block.shape[1] for block in blocks]
        self._stored = store(blocks, table, folder)
        self.register_buffer("content", self._stored.values)
        self.register_buffer("scale", self._stored.scales)
        columns = np.repeat(np.arange(len(blocks)), self.dims)
        self.register_buffer("modality_of", torch.from_numpy(columns))
        self.weight = nn.Parameter(torch.ones(len(blocks)))

    def release(self) -> None:
        """Give back the memory of content that is mapped."""
        self._stored.release()

    def layout(self) -> dict[str, int]:
        """Columns of each modality, in their order, for `blank`."""
        return dict(zip(self.names, self.dims, strict=True))

    @classmethod
    def blank(cls, layout: Mapping[str, int], rows: int, table: Precision = "float32") -> MatchHead:
        """A head of the same layout to load saved weights and content into; `rows` is V + 1."""
        absent = np.zeros(rows, bool)
        return cls(
            {name: Modality(name, np.zeros((rows, dim), np.float32), absent) for name, dim in layout.items()}, table
        )

    def rows(self, items: torch.Tensor | slice) -> torch.Tensor:
        """Content of `items`, int64 [...] or a slice: [..., D]; padding is zero."""
        return gather(self.get_buffer("content"), self.scale, items, self.get_buffer("modality_of"))

    def _weighted(self, sums: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        return sums / counts.clamp(min=1).sqrt()[..., None] * self.weight[self.get_buffer("modality_of")]

    def prefix(self, items: torch.Tensor) -> torch.Tensor:
        """Match query of every prefix of playlists int64 [B, T]: [B, T, D]."""
        return self._weighted(self.rows(items).cumsum(1), (items > 0).cumsum(1))

    def whole(self, items: torch.Tensor) -> torch.Tensor:
        """Match query of whole playlists int64 [B, T], padding 0: [B, D]."""
        return self._weighted(self.rows(items).sum(1), (items > 0).sum(1))

    def bags(self, seeds: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Match query [B, D] of whole playlists of any length, flat.

        - seeds: [n]. offsets: [B + 1]; playlist b has the seeds offsets[b]…offsets[b + 1] − 1.
        """
        offsets = offsets.to(seeds.device)
        distinct, rows = seeds.long().unique(return_inverse=True)
        sums = F.embedding_bag(rows, self.rows(distinct), offsets, mode="sum", include_last_offset=True)
        return self._weighted(sums, offsets.diff())

    @torch.no_grad()
    def reorder(self, name: str, order: torch.Tensor) -> None:
        """Give every track the vectors of another one in one modality: order int64 [V + 1]."""
        number, content = self.names.index(name), self.get_buffer("content")
        columns = self.get_buffer("modality_of") == number
        content[:, columns] = content[:, columns][order]
        if self.scale is not None:
            self.scale[:, number] = self.scale[order, number]

    def weights(self) -> dict[str, float]:
        """The learned weight of each modality."""
        return dict(zip(self.names, self.weight.detach().tolist(), strict=True))

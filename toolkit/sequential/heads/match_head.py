"""Match head, which scores the content similarity of a candidate to the playlist in each modality.

It adds Σ_m w_m · ⟨sum of the seeds in modality m, divided by √n; the candidate in modality m⟩ to a candidate's score.
The score is linear in the playlist and is defined for unplayed tracks. It is computed by extra columns in the matrix
product with the item table. With random codes for artists or albums the inner product is 1 for tracks with the same
artist or album and about 0 otherwise.
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
    """Fixed normalised content of every track, with a learned weight for each modality.

    - table: precision of the content.
    - folder: folder for memory-mapped content; None keeps content in memory.
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
        """Release the memory pages of memory-mapped content."""
        self._stored.release()

    def layout(self) -> dict[str, int]:
        """Return the number of columns of each modality, in order, for `blank`."""
        return dict(zip(self.names, self.dims, strict=True))

    @classmethod
    def blank(cls, layout: Mapping[str, int], rows: int, table: Precision = "float32") -> MatchHead:
        """Return a head of the same layout for saved weights and content.

        - rows: V + 1.
        """
        absent = np.zeros(rows, bool)
        return cls(
            {name: Modality(name, np.zeros((rows, dim), np.float32), absent) for name, dim in layout.items()}, table
        )

    def rows(self, items: torch.Tensor | slice) -> torch.Tensor:
        """Return the content [..., D] of `items`, int64 [...] or a slice. Padding is zero."""
        return gather(self.get_buffer("content"), self.scale, items, self.get_buffer("modality_of"))

    def _weighted(self, sums: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        return sums / counts.clamp(min=1).sqrt()[..., None] * self.weight[self.get_buffer("modality_of")]

    def prefix(self, items: torch.Tensor) -> torch.Tensor:
        """Return the match query of every prefix of playlists int64 [B, T]: [B, T, D]."""
        return self._weighted(self.rows(items).cumsum(1), (items > 0).cumsum(1))

    def whole(self, items: torch.Tensor) -> torch.Tensor:
        """Return the match query of whole playlists int64 [B, T], padded with 0: [B, D]."""
        return self._weighted(self.rows(items).sum(1), (items > 0).sum(1))

    def bags(self, seeds: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Return the match query [B, D] of whole playlists of any length, stored flat.

        - seeds: [n].
        - offsets: [B + 1]. Playlist b has the seeds offsets[b]…offsets[b + 1] − 1.
        """
        offsets = offsets.to(seeds.device)
        distinct, rows = seeds.long().unique(return_inverse=True)
        sums = F.embedding_bag(rows, self.rows(distinct), offsets, mode="sum", include_last_offset=True)
        return self._weighted(sums, offsets.diff())

    @torch.no_grad()
    def reorder(self, name: str, order: torch.Tensor) -> None:
        """Give each track the vector of track `order[track]` in a modality.

        - order: int64 [V + 1].
        """
        number, content = self.names.index(name), self.get_buffer("content")
        columns = self.get_buffer("modality_of") == number
        content[:, columns] = content[:, columns][order]
        if self.scale is not None:
            self.scale[:, number] = self.scale[order, number]

    def weights(self) -> dict[str, float]:
        """Return the learned weight of each modality."""
        return dict(zip(self.names, self.weight.detach().tolist(), strict=True))

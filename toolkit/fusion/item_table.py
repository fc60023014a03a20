"""Fused item table with one vector for each track, from any number of named modalities.

Early fusion, architecture (a) of the multimodal BERT4Rec report, joins the modalities before one transformer, with the
join in the recipe (`toolkit.contracts.join`). The vectors of this table are added to the free id vectors in the
sequential model's `item_embedding`. Late fusion, architecture (b), reads the modalities of the same table separately
(`streams`), with one transformer stack for each modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, cast

import numpy as np
import torch
from torch import nn

from toolkit.contracts.join import JoinInputs, Network
from toolkit.contracts.missing_policy import Rows
from toolkit.errors import InputError
from toolkit.fusion.content_buffers import ContentBuffers, tensor_key
from toolkit.fusion.modality_blocks import prepared_blocks
from toolkit.fusion.modality_layers import MaskTokens, Reductions, RowDeltas
from toolkit.modality import Modality
from toolkit.recipe import Fusion

INITIAL_SCALE = 0.05
BLOCK = 65_536

TrainMode = Literal["frozen", "finetune", "warmup"]


class ItemTable(ContentBuffers):
    """Content vectors [n, H] of item ids.

    - modalities: vectors by name.
    - fusion: the recipe's section.
    - hidden_size: H.
    - train: frozen: the given vectors are constant, and only projections are trainable. finetune: a trainable
      difference is added to each row of a track with training interactions. Rows of other tracks are unchanged, so cold
      and warm tracks remain in the same space. warmup: as finetune, but the trainer keeps the differences at zero for
      some epochs.
    - played: bool [V + 1], tracks with training interactions. Means, axes and imputed values are fitted only to these
      tracks.
    - dropout: rate after projections and in trainable reductions; 0 if the recipe does not regularise.
    - folder: folder of memory-mapped content; None keeps the content in memory.
    - blocks: prepared rows by name; default: `modalities` prepared as in `fusion`.

    Raises `InputError` without any modality.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        fusion: Fusion,
        *,
        hidden_size: int,
        train: TrainMode,
        played: np.ndarray,
        dropout: float,
        folder: Path | None = None,
        blocks: Mapping[str, Rows] | None = None,
    ) -> None:
        if not modalities:
            raise InputError("modalities=[] must contain at least one modality: add a modality")
        blocks = prepared_blocks(modalities, fusion, played) if blocks is None else blocks
        reads_presence = fusion.join.needs_presence or fusion.missing.learned
        present = {name: modalities[name].present for name in blocks} if reads_presence else {}
        super().__init__(blocks, present, fusion.table, folder)
        self.fusion = fusion
        widths = {tensor_key(name): self.content(name).shape[1] for name in self.names}
        self.masks = MaskTokens(widths if fusion.missing.learned else {})
        self.deltas = RowDeltas(widths if train != "frozen" else {}, len(played))
        self.register_buffer("played", torch.from_numpy(played.astype(np.float32))[:, None])
        rate = dropout if fusion.regularise else 0.0
        self.reductions = Reductions(regularise=fusion.regularise, dropout=rate)
        for name in self.names:
            key = tensor_key(name)
            widths[key] = self.reductions.add(key, fusion.reduction(name), widths[key])
        sizes = [hidden_size] * len(widths)
        if not fusion.join.keeps_apart:
            sizes = list(widths.values())
            widths = {"joined": self.reductions.add("joined", fusion.reduce_joint, fusion.join.width(sizes))}
        # in this order: random numbers are drawn here, and later by the model around the table
        self.projections = nn.ModuleDict({key: self._projection(key, dim, hidden_size) for key, dim in widths.items()})
        self.add_module(fusion.join.key, fusion.join.module(sizes, hidden_size))
        self.norms = nn.ModuleDict({key: _norm(hidden_size) if fusion.regularise else nn.Identity() for key in widths})
        self.dropout = nn.Dropout(rate)

    def _projection(self, key: str, dim: int, hidden_size: int) -> nn.Module:
        """Return the map to the model's size. A trained reduction to this size is not followed by a second one."""
        reduced = key in self.reductions and dim == hidden_size
        return nn.Identity() if reduced else nn.Linear(dim, hidden_size)

    @classmethod
    def blank(
        cls,
        layout: Mapping[str, int],
        fusion: Fusion,
        *,
        hidden_size: int,
        train: TrainMode,
        played: np.ndarray,
        dropout: float,
    ) -> Self:
        """Return a table for loading saved weights and content. layout: number of columns by name."""
        absent = {
            name: Modality(name, np.zeros((len(played), dim), np.float32), np.zeros(len(played), bool))
            for name, dim in layout.items()
        }
        blocks = {name: modality.matrix for name, modality in absent.items()}
        return cls(absent, fusion, hidden_size=hidden_size, train=train, played=played, dropout=dropout, blocks=blocks)

    @property
    def network(self) -> Network:
        """The module of the join."""
        return cast("Network", self.get_submodule(self.fusion.join.key))

    def modality(self, name: str, items: torch.Tensor) -> torch.Tensor:
        """Return the vectors of `items`, int64 [n], in a modality, fine-tuned and reduced: [n, d']."""
        return self._modality_rows(name, items)[0]

    def _modality_rows(self, name: str, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the vectors of `items` in a modality [n, d'], and a mask bool [n, 1] for items with it, if stored.

        In training, modality dropout hides the modality for some items.
        """
        key = tensor_key(name)
        vectors, present = self.stored_rows(name, items)
        vectors = self.deltas(key, vectors, items, self.get_buffer("played"))
        rate = self.fusion.modality_dropout
        if self.training and rate:
            kept = torch.rand(len(vectors), 1, device=vectors.device) >= rate
            vectors, present = vectors * kept, kept if present is None else present & kept
        return self.reductions(key, self.masks.fill(key, vectors, items, present)), present

    def inputs(self, items: torch.Tensor) -> JoinInputs:
        """Return the join's inputs for `items`, int64 [n]."""
        join = self.fusion.join
        rows = [self._modality_rows(name, items) for name in self.names]
        vectors = [part for part, _ in rows]
        present = torch.cat([part for _, part in rows if part is not None], dim=1) if join.needs_presence else None
        if not join.keeps_apart:
            return JoinInputs(vectors, vectors, present)
        keys = [tensor_key(name) for name in self.names]
        projected = [self.projections[key](part) for key, part in zip(keys, vectors, strict=True)]
        normed = [self.norms[key](part) for key, part in zip(keys, projected, strict=True)]
        return JoinInputs(normed, projected, present)

    def streams(self, items: torch.Tensor) -> torch.Tensor:
        """Return one vector for each modality, concatenated in the order of `names`: [n, M · H]."""
        return torch.cat([self.dropout(part) for part in self.network.streams(self.inputs(items))], dim=-1)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Return content vectors for item ids int64 [n]: [n, H]."""
        vectors = self.network(self.inputs(items))
        if not self.fusion.join.keeps_apart:
            if self.fusion.normalise == "after":
                vectors = nn.functional.normalize(vectors, dim=-1)
            vectors = self.norms["joined"](self.projections["joined"](self.reductions("joined", vectors)))
        content: torch.Tensor = self.dropout(vectors)
        return content

    @torch.no_grad()
    def shares(self) -> dict[str, float]:
        """Return the weight of each modality by name.

        The weight is the mean of the join's shares over tracks with training interactions. The result is empty for a
        join without shares.
        """
        if self.fusion.join.shares is None:
            return {}
        played = self.get_buffer("played")[:, 0].nonzero()[:, 0]
        total = torch.zeros(len(self.names), device=played.device)
        for items in played.split(BLOCK):
            total += self.network.shares(self.inputs(items)).sum(0)
        return dict(zip(self.names, (total / max(1, len(played))).tolist(), strict=True))

    def reorder(self, name: str, order: torch.Tensor) -> None:
        """Permute the vectors of a modality among tracks, including fine-tuned differences.

        - order: int64 [V + 1], the source track of each row.
        """
        self.permute_content(name, order)
        self.deltas.permute(tensor_key(name), order, self.get_buffer("played"))


def _norm(hidden_size: int) -> nn.LayerNorm:
    norm = nn.LayerNorm(hidden_size)
    # content starts at the scale of RecBole's free ids, so the first logits are near zero
    nn.init.constant_(norm.weight, INITIAL_SCALE)
    return norm

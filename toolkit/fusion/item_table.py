"""The fused item table: one vector per track from any number of named modalities.

Early fusion, architecture (a) of the multimodal BERT4Rec report: modalities are
joined before one transformer. The free id vector is the sequential model's own
`item_embedding`; this table is what is added to it. Late fusion, architecture
(b), reads the same table's modalities apart (`streams`), a transformer stack each.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.fusion.prepare import Prepared
from toolkit.fusion.stored import gather, store
from toolkit.modality import Modality
from toolkit.recipe import Fusion

INITIAL_SCALE = 0.05


class ItemTable(nn.Module):
    """Content vectors [n, H] of item ids.

    frozen: the loaded vectors are buffers; only projections learn. finetune: a
    per-row delta is added to them, zero at the start and for ever zero for tracks
    without a training placement, so that cold and warm rows keep one space.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        fusion: Fusion,
        *,
        hidden_size: int,
        train: Literal["frozen", "finetune"],
        played: np.ndarray,
        dropout: float,
    ) -> None:
        super().__init__()
        if not modalities:
            raise InputError("an item table needs at least one modality")
        self.fusion = fusion
        self.names = list(modalities)
        kind, _, size = fusion.reduce.partition(":")
        for name, modality in modalities.items():
            vectors = Prepared(modality, missing=fusion.missing, reduce=fusion.reduce, normalise=fusion.normalise)
            values, scale = store([vectors], fusion.table)
            self.register_buffer("content_" + _key(name), values)
            self.register_buffer("scale_" + _key(name), scale)
        dims = {name: self.content(name).shape[1] for name in self.names}
        self.deltas = nn.ModuleDict()
        self.register_buffer("played", torch.from_numpy(played.astype(np.float32))[:, None])
        if train == "finetune":
            self.deltas.update({_key(name): _zeros(len(played), dim) for name, dim in dims.items()})
        self.reductions = nn.ModuleDict()
        if kind == "linear":
            self.reductions.update({_key(name): nn.Linear(dim, int(size)) for name, dim in dims.items()})
            dims = dict.fromkeys(dims, int(size))
        if fusion.join == "sum":
            self.projections = nn.ModuleDict({_key(name): nn.Linear(dim, hidden_size) for name, dim in dims.items()})
            self.norms = nn.ModuleDict({_key(name): nn.LayerNorm(hidden_size) for name in self.names})
        else:
            self.projections = nn.ModuleDict({"joined": nn.Linear(sum(dims.values()), hidden_size)})
            self.norms = nn.ModuleDict({"joined": nn.LayerNorm(hidden_size)})
        for key, norm in self.norms.items():
            if not fusion.regularise:
                self.norms[key] = nn.Identity()
                continue
            # content starts at the scale of RecBole's free ids, so that the first logits are near zero
            nn.init.constant_(norm.weight, INITIAL_SCALE)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout if fusion.regularise else 0.0)
        self._given = self._checksums()

    def _checksums(self) -> dict[str, int]:
        return {name: zlib.crc32(self.content(name).cpu().view(torch.uint8).numpy().data) for name in self.names}

    def check_loaded(self) -> None:
        """The vectors in the table are the ones that were given, whatever initialisation ran since."""
        for name, now in self._checksums().items():
            assert now == self._given[name], f"the table no longer holds the vectors of {name}"

    def content(self, name: str) -> torch.Tensor:
        """Prepared vectors of one modality as they are stored: float32, bfloat16 or int8 [V + 1, d]."""
        return self.get_buffer("content_" + _key(name))

    def modality(self, name: str, items: torch.Tensor) -> torch.Tensor:
        """Vectors of `items` in one modality, fine-tuned and reduced: [n, d']."""
        key = _key(name)
        vectors = gather(self.content(name), getattr(self, "scale_" + key), items)
        if key in self.deltas:
            vectors = vectors + self.deltas[key](items) * self.get_buffer("played")[items]
        if key in self.reductions:
            vectors = self.reductions[key](vectors)
        return self._drop_modality(vectors)

    def _drop_modality(self, vectors: torch.Tensor) -> torch.Tensor:
        """In training, leave a modality out of some tracks, as it will be missing from others."""
        rate = self.fusion.modality_dropout
        if not (self.training and rate):
            return vectors
        kept = torch.rand(len(vectors), 1, device=vectors.device) >= rate
        return vectors * kept

    def _projected(self, items: torch.Tensor) -> list[torch.Tensor]:
        """Under `join: sum`, each modality in the model's space: [n, H]."""
        return [self.norms[_key(name)](self.projections[_key(name)](self.modality(name, items))) for name in self.names]

    def streams(self, items: torch.Tensor) -> torch.Tensor:
        """The summands of `join: sum`, one beside the other: [n, M · H] for M modalities in the order of `names`."""
        return torch.cat([self.dropout(part) for part in self._projected(items)], dim=-1)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Content vectors of item ids int64 [n]: [n, H]."""
        if self.fusion.join == "sum":
            return self.dropout(torch.stack(self._projected(items)).sum(0))
        joined = torch.cat([self.modality(name, items) for name in self.names], dim=-1)
        if self.fusion.normalise == "after":
            joined = nn.functional.normalize(joined, dim=-1)
        return self.dropout(self.norms["joined"](self.projections["joined"](joined)))


def _key(name: str) -> str:
    """What torch calls a modality's tensors: a name there holds no dot and is no method's, such as `type` or `values`."""
    return "of_" + name.replace(".", ":")


def _zeros(rows: int, dim: int) -> nn.Embedding:
    # draws no random number, so that a frozen and a fine-tuned model of one seed start equal
    return nn.Embedding.from_pretrained(torch.zeros(rows, dim), freeze=False)

"""The fused item table: one vector per track from any number of named modalities.

Early fusion, architecture (a) of the multimodal BERT4Rec report: modalities are
joined before one transformer, as the recipe's join has it (`toolkit.contracts.join`).
The free id vector is the sequential model's own `item_embedding`; this table is what
is added to it. Late fusion, architecture (b), reads the same table's modalities apart
(`streams`), a transformer stack each.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import nn

from toolkit.contracts.join import JoinInputs
from toolkit.contracts.missing_policy import Rows
from toolkit.errors import InputError
from toolkit.fusion.modality_blocks import joined
from toolkit.fusion.stored_vectors import Stored, gather, store
from toolkit.modality import Modality
from toolkit.recipe import Fusion

INITIAL_SCALE = 0.05
LEARNED = ("linear", "mlp")
BLOCK = 65_536


class ItemTable(nn.Module):
    """Content vectors [n, H] of item ids.

    frozen: the loaded vectors are buffers; only projections learn. finetune: a
    per-row delta is added to them, zero at the start and for ever zero for tracks
    without a training placement, so that cold and warm rows keep one space. warmup:
    finetune, but that the trainer holds the deltas at zero for some epochs.
    played: bool [V + 1], tracks with a training placement; what is fitted to
    content (means, axes, what fills in) sees them alone.
    folder: where content stays in a mapped file; None keeps it in memory.
    blocks: what the table holds by name, where that is known already; default: `modalities` as `fusion` prepares them.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        fusion: Fusion,
        *,
        hidden_size: int,
        train: Literal["frozen", "finetune", "warmup"],
        played: np.ndarray,
        dropout: float,
        folder: Path | None = None,
        blocks: Mapping[str, Rows] | None = None,
    ) -> None:
        super().__init__()
        if not modalities:
            raise InputError("an item table needs at least one modality")
        self.fusion = fusion
        blocks = joined(modalities, fusion, played) if blocks is None else blocks
        self.names = list(blocks)
        self._stored: list[Stored] = []
        for name, vectors in blocks.items():
            stored = store([vectors], fusion.table, folder)
            self._stored.append(stored)
            self.register_buffer("content_" + _key(name), stored.values)
            self.register_buffer("scale_" + _key(name), stored.scales)
            if fusion.join.needs_presence or fusion.missing.learned:
                self.register_buffer("present_" + _key(name), torch.from_numpy(modalities[name].present)[:, None])
        dims = {name: self.content(name).shape[1] for name in self.names}
        masked = self.names if fusion.missing.learned else []
        self.masks = nn.ParameterDict({_key(name): nn.Parameter(torch.zeros(dims[name])) for name in masked})
        self.deltas = nn.ModuleDict()
        self.register_buffer("played", torch.from_numpy(played.astype(np.float32))[:, None])
        if train != "frozen":
            self.deltas.update({_key(name): _zeros(len(played), dim) for name, dim in dims.items()})
        self.reductions = nn.ModuleDict()
        rate = dropout if fusion.regularise else 0.0
        for name in self.names:
            dims[name] = self._reduced(_key(name), fusion.reduction(name), dims[name], rate)
        sizes, widths = [hidden_size] * len(dims), {_key(name): dim for name, dim in dims.items()}
        if not fusion.join.keeps_apart:
            sizes = list(dims.values())
            widths = {"joined": self._reduced("joined", fusion.reduce_joint, fusion.join.width(sizes), rate)}
        # in this order: it is the order of random draws, and of those that the model makes over it
        self.projections = nn.ModuleDict({key: nn.Linear(dim, hidden_size) for key, dim in widths.items()})
        self.add_module(fusion.join.key, fusion.join.module(sizes, hidden_size))
        self.norms = nn.ModuleDict({key: nn.LayerNorm(hidden_size) for key in widths})
        for key, norm in self.norms.items():
            if not fusion.regularise:
                self.norms[key] = nn.Identity()
                continue
            # content starts at the scale of RecBole's free ids, so that the first logits are near zero
            nn.init.constant_(norm.weight, INITIAL_SCALE)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(rate)
        self._given = self._checksums()

    @classmethod
    def blank(
        cls,
        layout: Mapping[str, int],
        fusion: Fusion,
        *,
        hidden_size: int,
        train: Literal["frozen", "finetune", "warmup"],
        played: np.ndarray,
        dropout: float,
    ) -> Self:
        """A table of the same layout (dimensions by name) to load saved weights and content into: nothing is fitted."""
        absent = {
            name: Modality(name, np.zeros((len(played), dim), np.float32), np.zeros(len(played), bool))
            for name, dim in layout.items()
        }
        blocks = {name: modality.matrix for name, modality in absent.items()}
        return cls(absent, fusion, hidden_size=hidden_size, train=train, played=played, dropout=dropout, blocks=blocks)

    def _reduced(self, key: str, reduction: str, dim: int, dropout: float) -> int:
        """Make a learned reduction of `dim` columns where one is asked for; the number of columns after it."""
        if _learned(reduction) == "none":
            return dim
        kind, _, size = reduction.partition(":")
        layers: list[nn.Module] = [nn.Linear(dim, int(size))]
        if kind == "mlp":
            layers += [nn.GELU(), nn.Linear(int(size), int(size))]
        if self.fusion.regularise:
            layers += [nn.LayerNorm(int(size)), nn.Dropout(dropout)]
        self.reductions[key] = nn.Sequential(*layers)
        return int(size)

    def _checksums(self) -> dict[str, int]:
        return {name: zlib.crc32(self.content(name).cpu().view(torch.uint8).numpy().data) for name in self.names}

    def check_loaded(self) -> None:
        """The vectors in the table are the ones that were given, whatever initialisation ran since."""
        for name, now in self._checksums().items():
            assert now == self._given[name], f"the table no longer holds the vectors of {name}"
        self.release()

    def release(self) -> None:
        """Give back the memory of content that is mapped."""
        for stored in self._stored:
            stored.release()

    def content(self, name: str) -> torch.Tensor:
        """Prepared vectors of one modality as they are stored: float32, bfloat16 or int8 [V + 1, d]."""
        return self.get_buffer("content_" + _key(name))

    def modality(self, name: str, items: torch.Tensor) -> torch.Tensor:
        """Vectors of `items` in one modality, fine-tuned and reduced: [n, d']."""
        return self._seen(name, items)[0]

    def _seen(self, name: str, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Vectors of `items` in one modality [n, d'], and where the table knows it, who has it: bool [n, 1].

        In training a modality is left out of some tracks, as it is missing from others.
        """
        key = _key(name)
        vectors = gather(self.content(name), getattr(self, "scale_" + key), items)
        if key in self.deltas:
            vectors = vectors + self.deltas[key](items) * self.get_buffer("played")[items]
        there = self.get_buffer("present_" + key)[items] if hasattr(self, "present_" + key) else None
        rate = self.fusion.modality_dropout
        if self.training and rate:
            kept = torch.rand(len(vectors), 1, device=vectors.device) >= rate
            vectors, there = vectors * kept, kept if there is None else there & kept
        if key in self.masks and there is not None:
            mask = self.masks[key] * (items > 0)[:, None]
            vectors = torch.where(there, vectors, mask.to(vectors.dtype))
        return (self.reductions[key](vectors) if key in self.reductions else vectors), there

    @property
    def network(self) -> Any:
        """The module of the join, a `toolkit.contracts.join.Network`."""
        return self.get_submodule(self.fusion.join.key)

    def inputs(self, items: torch.Tensor) -> JoinInputs:
        """What the join reads of `items`, int64 [n]."""
        join = self.fusion.join
        seen = [self._seen(name, items) for name in self.names]
        vectors = [each for each, _ in seen]
        present = torch.cat([there for _, there in seen if there is not None], dim=1) if join.needs_presence else None
        if not join.keeps_apart:
            return JoinInputs(vectors, vectors, present)
        projected = [self.projections[_key(name)](each) for name, each in zip(self.names, vectors, strict=True)]
        return JoinInputs(
            [self.norms[_key(name)](each) for name, each in zip(self.names, projected, strict=True)], projected, present
        )

    def streams(self, items: torch.Tensor) -> torch.Tensor:
        """One vector a modality, of a join that has `streams`, one beside the other: [n, M · H] in the order of `names`."""
        return torch.cat([self.dropout(part) for part in self.network.streams(self.inputs(items))], dim=-1)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Content vectors of item ids int64 [n]: [n, H]."""
        vectors = self.network(self.inputs(items))
        if not self.fusion.join.keeps_apart:
            if self.fusion.normalise == "after":
                vectors = nn.functional.normalize(vectors, dim=-1)
            if "joined" in self.reductions:
                vectors = self.reductions["joined"](vectors)
            vectors = self.norms["joined"](self.projections["joined"](vectors))
        content: torch.Tensor = self.dropout(vectors)
        return content

    @torch.no_grad()
    def shares(self) -> dict[str, float]:
        """How much each modality weighs, by name: mean of the join's shares over tracks with a training placement.

        Empty under a join that has none.
        """
        if self.fusion.join.shares is None:
            return {}
        played = self.get_buffer("played")[:, 0].nonzero()[:, 0]
        total = torch.zeros(len(self.names), device=played.device)
        for items in played.split(BLOCK):
            total += self.network.shares(self.inputs(items)).sum(0)
        return dict(zip(self.names, (total / max(1, len(played))).tolist(), strict=True))

    @torch.no_grad()
    def reorder(self, name: str, order: torch.Tensor) -> None:
        """Give every track another one's vectors in one modality, fine-tuning included: int64 [V + 1], whose are taken."""
        key = _key(name)
        for kept in (self.content(name), getattr(self, "scale_" + key)):
            if kept is not None:
                kept.copy_(kept[order])
        if key in self.deltas:
            weight = self.deltas[key].weight
            weight.copy_((weight * self.get_buffer("played"))[order])  # type: ignore[operator]


def _learned(reduction: str) -> str:
    """A reduction that the model learns, `none` for one that is fitted before."""
    return reduction if reduction.partition(":")[0] in LEARNED else "none"


def _key(name: str) -> str:
    """What torch calls a modality's tensors: a name there holds no dot and is no method's, such as `type` or `values`."""
    return "of_" + name.replace(".", ":")


def _zeros(rows: int, dim: int) -> nn.Embedding:
    # draws no random number, so that a frozen and a fine-tuned model of one seed start equal
    return nn.Embedding.from_pretrained(torch.zeros(rows, dim), freeze=False)

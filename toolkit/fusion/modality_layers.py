"""Layers of the item table for single modalities: reductions, fine-tuning and mask tokens.

Parameter names and the order of creation must match saved models.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

LEARNED = ("linear", "mlp")


class Reductions(nn.ModuleDict):
    """Trainable reductions of columns, by tensor key. Keys without a reduction keep their columns.

    - regularise: whether LayerNorm and dropout with the given rate are added.
    """

    def __init__(self, *, regularise: bool, dropout: float) -> None:
        super().__init__()
        self.regularise, self.rate = regularise, dropout

    def add(self, key: str, reduction: str, dim: int) -> int:
        """Add the reduction of `dim` columns in a recipe, and return the number of columns after it.

        - reduction: `linear:N` or `mlp:N`. Other reductions are not trainable, and are ignored.
        """
        kind, _, size = reduction.partition(":")
        if kind not in LEARNED:
            return dim
        layers: list[nn.Module] = [nn.Linear(dim, int(size))]
        if kind == "mlp":
            layers += [nn.GELU(), nn.Linear(int(size), int(size))]
        if self.regularise:
            layers += [nn.LayerNorm(int(size)), nn.Dropout(self.rate)]
        self[key] = nn.Sequential(*layers)
        return int(size)

    def forward(self, key: str, vectors: torch.Tensor) -> torch.Tensor:
        """Return vectors [n, d] with reduced columns: [n, d']."""
        reduced: torch.Tensor = self[key](vectors) if key in self else vectors
        return reduced


class RowDeltas(nn.ModuleDict):
    """Fine-tuning by a trainable difference for each row, initialised with zeros, by tensor key."""

    def __init__(self, dims: Mapping[str, int], rows: int) -> None:
        # no random number is drawn, so a frozen and a fine-tuned model of one seed start equal
        zeros = {key: torch.zeros(rows, dim) for key, dim in dims.items()}
        super().__init__({key: nn.Embedding.from_pretrained(value, freeze=False) for key, value in zeros.items()})

    def forward(self, key: str, vectors: torch.Tensor, items: torch.Tensor, played: torch.Tensor) -> torch.Tensor:
        """Return vectors [n, d] plus differences, only for tracks in `played`, float32 [V + 1, 1]."""
        moved: torch.Tensor = vectors + self[key](items) * played[items] if key in self else vectors
        return moved

    @torch.no_grad()
    def permute(self, key: str, order: torch.Tensor, played: torch.Tensor) -> None:
        """Permute the differences among tracks. order: int64 [V + 1], the source track of each row."""
        if key in self:
            weight = self[key].get_parameter("weight")
            weight.copy_((weight * played)[order])


class MaskTokens(nn.ParameterDict):
    """Trainable vector for each modality, initialised with zeros, in place of missing rows, by tensor key."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__({key: nn.Parameter(torch.zeros(dim)) for key, dim in dims.items()})

    def fill(self, key: str, vectors: torch.Tensor, items: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
        """Return vectors [n, d] with the token if `present`, bool [n, 1], is false. Padding, item 0, is zero."""
        if key not in self or present is None:
            return vectors
        token = self[key] * (items > 0)[:, None]
        return torch.where(present, vectors, token.to(vectors.dtype))

"""Layers of the item table that learn from one modality at a time: reductions, fine-tuning and mask tokens.

Their names and the order in which they are made are those of saved models.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

LEARNED = ("linear", "mlp")


class Reductions(nn.ModuleDict):
    """Learned reductions of columns, by tensor key. A key without one keeps its columns.

    - regularise: whether a LayerNorm and dropout of the given rate follow.
    """

    def __init__(self, *, regularise: bool, dropout: float) -> None:
        super().__init__()
        self.regularise, self.rate = regularise, dropout

    def add(self, key: str, reduction: str, dim: int) -> int:
        """Make the reduction of `dim` columns that a recipe asks for; return the number of columns after it.

        - reduction: `linear:N` or `mlp:N`. Any other is not learned, and changes nothing here.
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
        """Vectors [n, d] with their columns reduced: [n, d']."""
        reduced: torch.Tensor = self[key](vectors) if key in self else vectors
        return reduced


class RowDeltas(nn.ModuleDict):
    """Fine-tuning: a trained difference for each row, zero at the start, by tensor key."""

    def __init__(self, dims: Mapping[str, int], rows: int) -> None:
        # no random number is drawn, so a frozen and a fine-tuned model of one seed start equal
        zeros = {key: torch.zeros(rows, dim) for key, dim in dims.items()}
        super().__init__({key: nn.Embedding.from_pretrained(value, freeze=False) for key, value in zeros.items()})

    def forward(self, key: str, vectors: torch.Tensor, items: torch.Tensor, played: torch.Tensor) -> torch.Tensor:
        """Vectors [n, d] plus their differences; those of tracks that are not `played`, float32 [V + 1, 1], stay."""
        moved: torch.Tensor = vectors + self[key](items) * played[items] if key in self else vectors
        return moved

    @torch.no_grad()
    def permute(self, key: str, order: torch.Tensor, played: torch.Tensor) -> None:
        """Give every track the difference of another one. order: int64 [V + 1], whose difference each gets."""
        if key in self:
            weight = self[key].get_parameter("weight")
            weight.copy_((weight * played)[order])


class MaskTokens(nn.ParameterDict):
    """One learned vector a modality, zero at the start, that replaces the rows of tracks without it; by tensor key."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__({key: nn.Parameter(torch.zeros(dim)) for key, dim in dims.items()})

    def fill(self, key: str, vectors: torch.Tensor, items: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
        """Vectors [n, d] with the token where `present`, bool [n, 1], is false; padding, item 0, stays zero."""
        if key not in self or present is None:
            return vectors
        token = self[key] * (items > 0)[:, None]
        return torch.where(present, vectors, token.to(vectors.dtype))

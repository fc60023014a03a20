"""Gates: how much each modality of a track counts, from what the modalities say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

ABSENT = -1e4
"""Score of a missing modality: e to this is zero, and a track without any has no NaN."""


class Gates(nn.Module):
    """Shares g = softmax over the present modalities m of ⟨u_m, tanh(p_m)⟩ + b_m, p_m a modality in the model's space.

    After the gated multimodal unit (Arevalo et al. 2017, "Gated multimodal units for information fusion", section 3):
    its tanh of a projection, but one gate a modality from that modality, so that a missing one changes the others'
    shares alone. All start equal.
    """

    def __init__(self, modalities: int, hidden_size: int) -> None:
        super().__init__()
        # one vector each: a matrix would be drawn anew by the model's initialisation
        self.weights = nn.ParameterList(torch.zeros(hidden_size) for _ in range(modalities))
        self.bias = nn.Parameter(torch.zeros(modalities))

    def forward(self, projected: Sequence[torch.Tensor], there: torch.Tensor) -> torch.Tensor:
        """M tensors [n, H] and who has which, bool [n, M], to shares [n, M]; a track without any has zeros."""
        scores = torch.stack([torch.tanh(part) @ weight for part, weight in zip(projected, self.weights, strict=True)], dim=1)
        shares = (scores + self.bias).float().masked_fill(~there, ABSENT).softmax(dim=1)
        return shares * there

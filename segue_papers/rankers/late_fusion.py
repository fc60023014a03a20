"""Late fusion of embeddings from a network for each modality, concatenated to predict factors.

Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", table of tracks. MM-LF-LIN:
embeddings scaled to unit norm, concatenated, dropout 0.7, a linear layer. MM-LF-H1 (`hidden: 512`): batch normalisation
and a dense layer of 512 with ReLU for each modality, concatenated, dropout 0.7, a linear layer. With one modality
MM-LF-LIN is SEM-EMB and TAGS-EMB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from toolkit.coldstart.network_ranker import NetworkParams, NetworkRanker
from toolkit.modality import Modality

if TYPE_CHECKING:
    from torch import nn


class LateFusionParams(NetworkParams):
    """Parameters of the network.

    - hidden: units of a dense layer for each modality before concatenation; None for no such layer.
    """

    hidden: int | None = Field(None, ge=1)


class LateFusion(NetworkRanker):
    """Ranks new tracks by factors that a linear layer predicts from the embeddings of all modalities.

    A missing modality contributes zeros.
    """

    name = "late-fusion"
    Params = LateFusionParams

    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        from segue_papers.rankers.network_branches import Branches, DenseBranch, UnitBranch

        widths, hidden = [modality.dim for modality in modalities.values()], self.params.hidden
        if hidden is None:
            return Branches(widths, [UnitBranch() for _ in widths]), sum(widths)
        return Branches(widths, [DenseBranch(width, hidden) for width in widths]), hidden * len(widths)

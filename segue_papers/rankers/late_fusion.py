"""Late fusion: embeddings of several modalities, each made by its own network, joined to predict factors.

Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", track table. MM-LF-LIN: embeddings brought to
length 1, joined, dropout 0.7, a linear layer. MM-LF-H1 (`hidden: 512`): batch normalisation and a dense layer of 512 with ReLU for each
modality, joined, dropout 0.7, a linear layer. With one modality the former is SEM-EMB and TAGS-EMB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from toolkit.coldstart.network_ranker import NetworkParams, NetworkRanker
from toolkit.modality import Modality

if TYPE_CHECKING:
    from torch import nn


class LateFusionParams(NetworkParams):
    """hidden: units of a layer that each modality has before they are joined; None for no such layer."""

    hidden: int | None = Field(None, ge=1)


class LateFusion(NetworkRanker):
    """Ranks new tracks by factors that a linear layer predicts from the joined embeddings of all modalities.

    A missing modality adds nothing.
    """

    name = "late-fusion"
    Params = LateFusionParams

    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        from segue_papers.rankers.branches import Branches, DenseBranch, UnitBranch

        widths, hidden = [modality.dim for modality in modalities.values()], self.params.hidden
        if hidden is None:
            return Branches(widths, [UnitBranch() for _ in widths]), sum(widths)
        return Branches(widths, [DenseBranch(width, hidden) for width in widths]), hidden * len(widths)

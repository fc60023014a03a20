"""Late fusion of embeddings from a network for each modality, concatenated to predict factors.

Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", table of tracks. MM-LF-LIN:
embeddings scaled to unit norm, concatenated, dropout 0.7, a linear layer. MM-LF-H1 (`hidden: 512`): batch
normalisation, dropout 0.7 and a dense layer of 512 with ReLU for each modality, concatenated, dropout 0.7, a linear
layer. The paper has the first dropout of MM-LF-H1, the authors' code both. With one modality MM-LF-LIN is SEM-EMB and
TAGS-EMB. `random-embeddings` is RANDOM, the same network on random vectors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from toolkit.coldstart.cold_ranker import COLD_START
from toolkit.coldstart.factorisation import Factors
from toolkit.coldstart.network_ranker import NetworkParams, NetworkRanker
from toolkit.modality import Modality
from toolkit.ranker import TrainingData
from toolkit.seeds import derived_seed

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
        branches = [DenseBranch(width, hidden, self.params.dropout) for width in widths]
        return Branches(widths, branches), hidden * len(widths)


class RandomEmbeddingParams(LateFusionParams):
    """Parameters of the network and its inputs.

    - width: dimension of the random vectors.
    """

    width: int = Field(2048, ge=1)


class RandomEmbeddings(LateFusion):
    """Ranks new tracks by factors that the network of `late-fusion` predicts from a random vector of each track.

    The vectors are standard normal and are drawn with the random seed. The ranking shows what the network predicts
    without content.
    """

    name = "random-embeddings"
    Params = RandomEmbeddingParams
    params: RandomEmbeddingParams
    capabilities = replace(COLD_START, content="none", cold_tracks=False)

    def _inputs(self, data: TrainingData, factors: Factors) -> dict[str, Modality]:
        rng = np.random.default_rng(derived_seed(data.seed, self.name, "inputs"))
        vectors = rng.standard_normal((len(factors.items), self.params.width), np.float32)
        return {"random": Modality("random", vectors, np.arange(len(vectors)) > 0)}

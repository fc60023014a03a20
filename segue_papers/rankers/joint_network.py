"""Joint network over the inputs of several modalities.

MM of Oramas et al. 2017, "A deep multimodal approach for cold-start music recommendation", table of tracks: the
convolutions of `cqt-cnn` over a track's spectrogram and the dense layers of `tfidf-mlp` over the artist's terms,
concatenated, with a linear layer to the factors. The spectrogram is a modality from the encoder `cqt`, and the terms
are a modality from `tfidf-semantic`, or from `tfidf` with `dim: 0`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from toolkit.coldstart.network_ranker import NetworkParams, NetworkRanker
from toolkit.encoders.learning.network_layers import convolutions, dense, frames_left
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.plugins import suggest
from toolkit.ranker import FitInputs

if TYPE_CHECKING:
    from torch import nn


class JointNetworkParams(NetworkParams):
    """Parameters of the network.

    - spectrogram: name of the spectrogram modality.
    - bins: number of frequency bins of the spectrogram.
    - filters, kernel, pool: settings of the convolutions over the spectrogram, see `cqt-cnn`.
    - hidden: units of the dense layers over each other modality.
    - dropout: dropout of the concatenated outputs and after each convolution in training.
    """

    dropout: float = Field(0.5, ge=0, lt=1)
    spectrogram: str = "audio"
    bins: int = Field(96, ge=1)
    filters: list[Annotated[int, Field(ge=1)]] = Field([256, 512, 1024, 1024], min_length=2)
    kernel: int = Field(4, ge=1)
    pool: int = Field(4, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = Field([2048, 2048], min_length=1)


class JointNetwork(NetworkRanker):
    """Ranks new tracks by factors that one network predicts from a spectrogram and other modalities.

    Convolutions read the spectrogram, and dense layers read each of the other modalities. A missing modality
    contributes zeros.
    """

    name = "joint-network"
    Params = JointNetworkParams

    def input_problem(self, inputs: FitInputs) -> str:
        name, known = self.params.spectrogram, list(inputs.modalities)
        return "" if name in known else f"spectrogram={name!r} is not a modality: {suggest(name, known)}"

    def _trunk(self, modalities: dict[str, Modality]) -> tuple[nn.Module, int]:
        from segue_papers.rankers.network_branches import Branches, ConvolutionBranch

        params, total = self.params, 0
        branches: list[nn.Module] = []
        for name, modality in modalities.items():
            if name == params.spectrogram:
                branches.append(
                    ConvolutionBranch(
                        convolutions(params.bins, params.filters, params.kernel, params.pool, params.dropout),
                        params.bins,
                    )
                )
                total += params.filters[-1] * self._frames_left(modality)
            else:
                branches.append(dense([modality.dim, *params.hidden]))
                total += params.hidden[-1]
        return Branches([modality.dim for modality in modalities.values()], branches), total

    def _frames_left(self, modality: Modality) -> int:
        """Return the number of frames after all layers.

        Raises `InputError` unless the modality is a spectrogram with enough frames.
        """
        params = self.params
        frames, over = divmod(modality.dim, params.bins)
        left = frames_left(frames, params.filters, params.kernel, params.pool)
        if over or left < 1:
            raise InputError(
                f"joint-network: {modality.name!r} with {modality.dim} dimensions is not a spectrogram with"
                f" bins={params.bins} that is long enough for {len(params.filters)} layers with kernel={params.kernel}"
                f" and pool={params.pool}: encode {modality.name!r} with `cqt`, or reduce kernel, pool or filters"
            )
        return left

"""Network around an architecture from outside RecBole, which maps item vectors to hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from toolkit.sequential.item_space import ItemSpace, Parts
from toolkit.sequential.layers.late_streams import LateFusion
from toolkit.sequential.training.objectives import Causal, Masked, Objective

if TYPE_CHECKING:
    from toolkit.recipe import ModelSpec
    from toolkit.sequential.network import Network

START = 0.02
"""Standard deviation of free ids and of what else starts as noise: RecBole's."""


class Stream(nn.Module):
    """Architecture of a stream, with the vector [H] of a hidden track if the objective hides tracks."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.layers = spec.architecture()
        self.mask = nn.Parameter(torch.randn(spec.hidden_size) * START) if spec.objective == "masked" else None


class HostedNetwork(nn.Module):
    """Network with free ids and the layers of each stream; a `toolkit.sequential.network.Network`.

    - spec: the model's entry.
    - n_items: V.
    """

    def __init__(self, spec: ModelSpec, n_items: int, parts: Parts) -> None:
        super().__init__()
        self.spec, self.max_seq_length, self.mask_ratio = spec, spec.max_length, spec.masked_share
        self.item_embedding = nn.Embedding(n_items + 1, spec.hidden_size, padding_idx=0)
        nn.init.normal_(self.item_embedding.weight, std=START)
        self.first = Stream(spec)
        others = [Stream(spec) for _ in range(parts.streams - 1)]
        self.streams = (self.first, *others)
        late = LateFusion(others, spec.hidden_size, norm=parts.late_norm) if parts.separates else None
        self.space = ItemSpace(
            self, self.item_embedding, parts, n_items=n_items + 1, std=START, late=late, start=lambda: _start(parts)
        )

    @property
    def objective(self) -> Objective:
        return Causal(self) if self.spec.objective == "causal" else Masked(self)

    def prepare(self, device: str) -> None:
        """Do nothing, because a hosted architecture chooses its own kernels."""

    def encode(
        self, vectors: torch.Tensor, kept: torch.Tensor | None = None, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        there = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device) if kept is None else kept
        projection, late = self.space.title_projection, self.space.late
        added = None if titles is None or projection is None else projection(titles)[:, None]

        def run(stream: Stream, part: torch.Tensor) -> torch.Tensor:
            return stream.layers(part if added is None else (part + added) * there[..., None], there)

        return run(self.first, vectors) if late is None else late.run(run, self.streams, vectors)

    def mask(self) -> torch.Tensor:
        return torch.cat([stream.mask for stream in self.streams if stream.mask is not None])


def _start(parts: Parts) -> None:
    """Initialise the content projections by Xavier's rule. The layers keep their own initialisation."""
    if parts.xavier and parts.regularises and parts.table is not None:
        for name, parameter in parts.table.named_parameters():
            if parameter.ndim == 2 and "deltas." not in name:
                nn.init.xavier_normal_(parameter)


class Layers(nn.Module):
    """Layers of a network as an architecture with `forward(vectors, kept) -> states`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        return self.network.encode(vectors, kept)

"""The network around an architecture of its own: item vectors in, hidden states out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from toolkit.sequential.item_space import Parts
from toolkit.sequential.training.objectives import Causal, Masked

if TYPE_CHECKING:
    from toolkit.recipe import ModelSpec

START = 0.02
"""Standard deviation of free ids and of what else starts as noise: RecBole's."""


class Stack(nn.Module):
    """The architecture of one stream, with the vector [H] of a hidden track where the objective hides any."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.layers = spec.architecture()
        self.mask = nn.Parameter(torch.randn(spec.hidden_size) * START) if spec.objective == "masked" else None


class Host(nn.Module):
    """Free ids, and the layers of the first stream; mixed under an objective.

    spec: the model's entry. n_items: V.
    """

    def __init__(self, spec: ModelSpec, n_items: int) -> None:
        super().__init__()
        self.spec, self.n_items = spec, n_items + 1
        self.hidden_size, self.max_seq_length, self.initializer_range = spec.hidden_size, spec.max_length, START
        self.mask_ratio = spec.masked_share
        self.item_embedding = nn.Embedding(self.n_items, spec.hidden_size, padding_idx=0)
        nn.init.normal_(self.item_embedding.weight, std=START)
        self.first = Stack(spec)

    def stack(self) -> nn.Module:
        return Stack(self.spec)

    def initialise(self: Any, parts: Parts, regularise: bool) -> None:
        """Xavier's start of the content's projections; the layers keep their own."""
        for name, parameter in (
            self.item_table.named_parameters() if parts.xavier and regularise and self.item_table is not None else ()
        ):
            if parameter.ndim == 2 and "deltas." not in name:
                nn.init.xavier_normal_(parameter)

    def last_layer(
        self: Any, inputs: torch.Tensor, titles: torch.Tensor | None, kept: torch.Tensor | None = None
    ) -> torch.Tensor:
        """States [B, T, H] from item vectors [B, T, H], or [B, T, streams x H] under late fusion; titles: [B, d]."""
        kept = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device) if kept is None else kept
        added = None if titles is None else self.title_projection(titles)[:, None]

        def run(stack: Any, part: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = stack.layers(part if added is None else (part + added) * kept[..., None], kept)
            return states

        return run(self.first, inputs) if self.late is None else self.late.run(run, self.first, inputs)

    def mask_vector(self) -> torch.Tensor:
        assert self.first.mask is not None
        return self.first.mask


class HostedCausal(Host, Causal):
    """An architecture that predicts every next track."""

    def __init__(self, spec: ModelSpec, n_items: int, parts: Parts | None = None) -> None:
        Host.__init__(self, spec, n_items)
        self._attach(parts or Parts())


class HostedMasked(Host, Masked):
    """An architecture that predicts hidden tracks."""

    def __init__(self, spec: ModelSpec, n_items: int, parts: Parts | None = None) -> None:
        Host.__init__(self, spec, n_items)
        self._attach(parts or Parts())


def layers_of(spec: ModelSpec) -> nn.Module:
    """An architecture that is the inside of `spec.network`: for models whose network is not built around an architecture."""
    from toolkit.sequential.build_network import Host as Catalogue

    return Layers(spec.network(Catalogue(1, Parts())))


class Layers(nn.Module):
    """The layers of a network as an architecture: `forward(vectors, kept) -> states`."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.network.layer_states(vectors, kept)
        return states

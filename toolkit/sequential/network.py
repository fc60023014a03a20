"""Interface of sequential networks that training and ranking require of any architecture.

A network is a `torch.nn.Module` with an item space (`item_space.py`) and an objective (`training/objectives.py`).
Subclasses of RecBole's models and `HostedNetwork` implement the interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import nn

if TYPE_CHECKING:
    from toolkit.sequential.item_space import ItemSpace
    from toolkit.sequential.training.objectives import Objective


class Network(Protocol):
    """Network between an item space and an objective. The methods after `prepare` are those of a module.

    - max_seq_length: longest playlist [T] that the layers read.
    """

    space: ItemSpace
    max_seq_length: int

    @property
    def objective(self) -> Objective:
        """Objective, which defines the targets of a training step and the query of a playlist."""

    def encode(
        self, vectors: torch.Tensor, kept: torch.Tensor | None = None, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the hidden states [B, T, H] of playlists.

        - vectors: item vectors [B, T, H], left-aligned; [B, T, streams · H] under late fusion.
        - kept: bool [B, T], False at padding; None if padding has no effect.
        - titles: title vectors [B, d], if the network reads titles.
        """

    def prepare(self, device: str) -> None:
        """Choose faster computations for training on `device`. Called once, before the first step."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def buffers(self) -> Iterator[torch.Tensor]: ...

    def train(self) -> Self: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device | str, /) -> Self: ...

    def state_dict(self) -> dict[str, torch.Tensor]: ...

    def load_state_dict(self, tensors: Mapping[str, torch.Tensor], /) -> object: ...


class MaskedNetwork(Network, Protocol):
    """Network that can hide tracks.

    - mask_ratio: share of tracks hidden in a training step.
    """

    mask_ratio: float

    def mask(self) -> torch.Tensor:
        """Return the vector [H] of a hidden track; under late fusion the concatenated vectors of all streams."""

"""The parts that every sequential network offers: what training and ranking rely on, whatever the architecture.

A network is a `torch.nn.Module` that owns an item space (`item_space.py`) and names its objective
(`training/objectives.py`). RecBole's models, subclassed, and the network around any other architecture are such.
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
    """Layers between an item space and an objective; the methods after `prepare` are those of a module.

    - max_seq_length: longest playlist [T] that the layers read.
    """

    space: ItemSpace
    max_seq_length: int

    @property
    def objective(self) -> Objective:
        """What a training step predicts, and what is read of a playlist to rank."""

    def encode(
        self, vectors: torch.Tensor, kept: torch.Tensor | None = None, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Hidden states of playlists.

        - vectors: item vectors [B, T, H], left-aligned; [B, T, streams · H] under late fusion.
        - kept: bool [B, T], False at padding; None where the padding does not matter.
        - titles: title vectors [B, d], where the network reads titles.

        Returns [B, T, H].
        """

    def prepare(self, device: str) -> None:
        """Choose what training on `device` may compute faster. Called once, before the first step."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def buffers(self) -> Iterator[torch.Tensor]: ...

    def train(self) -> Self: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device | str, /) -> Self: ...

    def state_dict(self) -> dict[str, torch.Tensor]: ...

    def load_state_dict(self, tensors: Mapping[str, torch.Tensor], /) -> object: ...


class MaskedNetwork(Network, Protocol):
    """A network that can hide tracks.

    - mask_ratio: share of tracks that a training step hides.
    """

    mask_ratio: float

    def mask(self) -> torch.Tensor:
        """The vector [H] at a hidden track; under late fusion those of all streams side by side."""

"""Training objectives for any network, which predict every next track (causal) or hidden tracks (masked)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from toolkit.sequential.training.distributed import Processes

if TYPE_CHECKING:
    from toolkit.sequential.item_space import Candidates, Step
    from toolkit.sequential.losses.negative_sampler import Sample
    from toolkit.sequential.network import MaskedNetwork, Network

ALONE = Processes()


@dataclass(frozen=True)
class Objective(ABC):
    """Objective of `network`, which defines the targets of a training step and the query of a playlist.

    - linear: whether to score by match and popularity alone, with states of zero. Their weights are fitted this way
      before all others.
    - last_only: whether a masked objective hides only the last track of each window, as at inference.
    """

    network: Network
    linear: bool = False
    last_only: bool = False

    @abstractmethod
    def step(
        self,
        items: torch.Tensor,
        scored: torch.Tensor,
        titles: torch.Tensor | None = None,
        sample: Sample | None = None,
        processes: Processes = ALONE,
    ) -> Step:
        """Return scores and targets of a step, for the rows of this process.

        - items: windows int64 [B, T], left-aligned, padded with 0.
        - scored: int64 [B], the first position with a target scored in this window.
        - titles: title vectors [B, d].
        - sample: sampler of shared negatives; None scores every trained track.
        """

    @abstractmethod
    def query(self, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        """Return states [B, H] that rank the next track of playlists.

        - items: int64 [B, T], T ≤ `seeds_kept()`.
        - lengths: int64 [B], number of tracks of each playlist.
        """

    @abstractmethod
    def window(self) -> int:
        """Return the number of targets in a training window."""

    def seeds_kept(self) -> int:
        """Return the number of last tracks of a playlist that `query` reads."""
        return self.window()

    def _scored(
        self, chosen: Candidates, states: torch.Tensor, match: torch.Tensor | None, targets: torch.Tensor
    ) -> Step:
        query = torch.zeros_like(states) if self.linear else states
        return self.network.space.scored(chosen, query, match, targets)


class Causal(Objective):
    """Causal objective that predicts every next track from the tracks before it in a single pass."""

    def step(
        self,
        items: torch.Tensor,
        scored: torch.Tensor,
        titles: torch.Tensor | None = None,
        sample: Sample | None = None,
        processes: Processes = ALONE,
    ) -> Step:
        space = self.network.space
        chosen = space.choose(items, sample)
        own = processes.own_rows(len(items))
        items, scored, titles = items[own], scored[own], None if titles is None else titles[own]
        inputs, targets = items[:, :-1], items[:, 1:]
        positions = torch.arange(inputs.shape[1], device=items.device)
        counted = (targets > 0) & (positions[None] >= scored[:, None])
        states = self.network.encode(chosen.lookup(inputs), inputs > 0, titles)[counted]
        match = None if space.match is None else space.match.prefix(inputs)[counted]
        return self._scored(chosen, states, match, targets[counted])

    def query(self, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        states = self.network.encode(self.network.space.inputs(items), items > 0, titles)
        return states[torch.arange(len(items), device=items.device), (lengths - 1).clamp(min=0)]

    def window(self) -> int:
        return self.network.max_seq_length


@dataclass(frozen=True)
class Masked(Objective):
    """Masked objective that predicts hidden tracks from both sides, including the first track.

    To rank, a hidden track is added after the last track of the playlist.
    """

    network: MaskedNetwork

    def step(
        self,
        items: torch.Tensor,
        scored: torch.Tensor,
        titles: torch.Tensor | None = None,
        sample: Sample | None = None,
        processes: Processes = ALONE,
    ) -> Step:
        space, masked = self.network.space, self.masks(items, (items > 0).sum(1))
        counted = self.counted(masked)
        chosen = space.choose(items, sample)
        own = processes.own_rows(len(items))
        items, masked, counted, titles = items[own], masked[own], counted[own], None if titles is None else titles[own]
        visible = items.masked_fill(masked, 0)
        states = self.network.encode(self.hide(chosen.lookup(visible), masked), items > 0, titles)[counted]
        match = None if space.match is None else space.match.whole(visible)[counted.nonzero()[:, 0]]
        return self._scored(chosen, states, match, items[counted])

    def query(self, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        items, masked = self.with_mask(items, lengths)
        vectors = self.hide(self.network.space.inputs(items), masked)
        return self.network.encode(vectors, (items > 0) | masked, titles)[masked]

    def hide(self, vectors: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """Replace item vectors [B, T, H] by the mask's vector where `masked`, bool [B, T], is True."""
        return torch.where(masked[..., None], self.network.mask().to(vectors.dtype), vectors)

    def masks(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return positions to hide, bool [B, T], each with probability `mask_ratio` and at least one per row.

        Under `last_only` only the last position is hidden.
        """
        last = torch.arange(items.shape[1], device=items.device)[None] == (lengths - 1)[:, None]
        if self.last_only:
            return last
        return self.hidden((torch.rand(items.shape, device=items.device) < self.network.mask_ratio) & (items > 0), last)

    def hidden(self, drawn: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Return the positions to hide, bool [B, T], from the drawn positions and the last positions.

        A share `mask_ratio` of rows hides the last position alone, as at inference.
        """
        only_last = torch.rand(len(drawn), 1, device=drawn.device) < self.network.mask_ratio
        drawn = torch.where(only_last, last, drawn)
        return torch.where(drawn.any(1, keepdim=True), drawn, last)

    def counted(self, masked: torch.Tensor) -> torch.Tensor:
        """Return the hidden positions that count in the loss, bool [B, T]."""
        return masked

    def with_mask(self, items: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Append a position to playlists int64 [B, T] for the mask.

        Returns the playlists, and the mask after the last track of each, bool [B, T + 1].
        """
        items = F.pad(items, (0, 1))
        return items, torch.arange(items.shape[1], device=items.device)[None] == lengths[:, None]

    def window(self) -> int:
        return self.network.max_seq_length - 1

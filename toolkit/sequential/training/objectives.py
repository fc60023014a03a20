"""The two training objectives, over any network: every next track (causal), or hidden tracks (masked)."""

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
    """What a training step of `network` predicts, and what is read of a playlist to rank.

    - linear: score by match and popularity alone, with states of zero. Their weights are fitted so before all others.
    - last_only: hide the last track of each window alone, as at inference; of the masked objective.
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
        """Scores and targets of one step, for the rows of this process.

        - items: windows int64 [B, T], left-aligned, padded with 0.
        - scored: int64 [B], the first position whose next track is scored in this window.
        - titles: title vectors [B, d]. sample: draws shared negatives; None scores every trained track.
        """

    @abstractmethod
    def query(self, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        """States [B, H] that rank the next track of playlists int64 [B, T], T ≤ `seeds_kept()`, of int64 [B] tracks."""

    @abstractmethod
    def window(self) -> int:
        """Targets of a training window."""

    def seeds_kept(self) -> int:
        """Number of a playlist's last tracks that `query` reads."""
        return self.window()

    def _scored(
        self, chosen: Candidates, states: torch.Tensor, match: torch.Tensor | None, targets: torch.Tensor
    ) -> Step:
        query = torch.zeros_like(states) if self.linear else states
        return self.network.space.scored(chosen, query, match, targets)


class Causal(Objective):
    """Every next track is predicted from the tracks before it; one pass scores every position."""

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
    """Hidden tracks are predicted from those on both sides, the first track included.

    To rank, a hidden track is put after the last one of the playlist.
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
        """Item vectors [B, T, H] with the mask's vector at `masked`, bool [B, T]."""
        return torch.where(masked[..., None], self.network.mask().to(vectors.dtype), vectors)

    def masks(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Positions to hide, bool [B, T]: each with probability `mask_ratio`, at least one per row.

        Under `last_only` the last one alone.
        """
        last = torch.arange(items.shape[1], device=items.device)[None] == (lengths - 1)[:, None]
        if self.last_only:
            return last
        return self.hidden((torch.rand(items.shape, device=items.device) < self.network.mask_ratio) & (items > 0), last)

    def hidden(self, drawn: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Positions to hide of those drawn and the last ones, bool [B, T].

        A share `mask_ratio` of rows hides the last position alone, as at inference.
        """
        only_last = torch.rand(len(drawn), 1, device=drawn.device) < self.network.mask_ratio
        drawn = torch.where(only_last, last, drawn)
        return torch.where(drawn.any(1, keepdim=True), drawn, last)

    def counted(self, masked: torch.Tensor) -> torch.Tensor:
        """Hidden positions that enter the loss, bool [B, T]."""
        return masked

    def with_mask(self, items: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Playlists int64 [B, T] with one position more, and the mask after their last track, bool [B, T + 1]."""
        items = F.pad(items, (0, 1))
        return items, torch.arange(items.shape[1], device=items.device)[None] == lengths[:, None]

    def window(self) -> int:
        return self.network.max_seq_length - 1

"""The two training objectives, over whatever layers: every next track (causal), or hidden tracks (masked)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from toolkit.sequential.item_space import Content, Step
from toolkit.sequential.training.distributed import Processes

if TYPE_CHECKING:
    from toolkit.sequential.losses.negative_sampler import Sample

ALONE = Processes()


class Causal(Content):
    """Every next track is predicted from the tracks before it; one pass scores every position."""

    causal = True

    def states(
        self: Any, inputs: torch.Tensor, titles: torch.Tensor | None = None, kept: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Hidden state after every position: item vectors [B, T, H], left-aligned -> [B, T, H]. kept: as `last_layer` has it."""
        return self.last_layer(inputs, titles, kept)

    def step(
        self: Any,
        items: torch.Tensor,
        scored: torch.Tensor,
        titles: torch.Tensor | None = None,
        sample: Sample | None = None,
        processes: Processes = ALONE,
    ) -> Step:
        """Every next track of windows int64 [B, T] from position `scored` int64 [B] on; of its own rows where `processes` share them."""
        chosen = self.choose(items, sample)
        items, scored, titles = processes.share(items, scored, titles)
        given, wanted = items[:, :-1], items[:, 1:]
        positions = torch.arange(given.shape[1], device=items.device)
        asked = (wanted > 0) & (positions[None] >= scored[:, None])
        query = self.states(chosen.lookup(given), titles, given > 0)[asked]
        match = None if self.match is None else self.match.prefix(given)[asked]
        return self.scored(chosen, query, match, wanted[asked])

    def query(
        self: Any, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        """State after the last track of playlists int64 [B, T]: [B, H]."""
        states = self.states(self.inputs(items), titles, items > 0)
        return states[torch.arange(len(items), device=items.device), (lengths - 1).clamp(min=0)]

    def layer_states(self: Any, inputs: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """States without titles: item vectors [B, T, H], kept bool [B, T] -> [B, T, H]."""
        return self.states(inputs, None, kept)

    def seeds_kept(self: Any) -> int:
        """How many of a playlist's last tracks `query` reads."""
        return int(self.max_seq_length)

    def window(self: Any) -> int:
        """Targets of a training window."""
        return int(self.max_seq_length)


class Masked(Content):
    """Hidden tracks are predicted from those on both sides, the first one included; at inference a hidden one after the last.

    A network over it has `mask_ratio`, and writes `mask` and `states`.
    """

    causal = False
    last_only = False
    """Hide only the last track of each window: what is asked at inference, for a last few epochs."""

    def mask(self: Any) -> torch.Tensor:
        """The vector [H] at a hidden track, under late fusion those of all streams one beside the other."""
        return (
            torch.cat([self.mask_vector(), *(stack.mask for stack in self.late.stacks)])
            if self.late is not None
            else self.mask_vector()
        )

    def states(self: Any, inputs: torch.Tensor, keys: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        """Output of every position: item vectors [B, T, H], keys bool [B, T] (False at padding) -> [B, T, H]."""
        return self.last_layer(inputs, titles, keys)

    def layer_states(self: Any, inputs: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """States without titles: item vectors [B, T, H], kept bool [B, T] -> [B, T, H]."""
        return self.states(inputs, kept)

    def _inputs(self: Any, vectors: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        return torch.where(masked[..., None], self.mask().to(vectors.dtype), vectors)

    def masks(self: Any, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Positions to hide, bool [B, T]: each with probability `mask_ratio`, at least one a row; under `last_only` the last alone."""
        last = torch.arange(items.shape[1], device=items.device)[None] == (lengths - 1)[:, None]
        if self.last_only:
            return last
        drawn = (torch.rand(items.shape, device=items.device) < self.mask_ratio) & (items > 0)
        return self.hidden(drawn, last)

    def hidden(self: Any, drawn: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Of drawn and last positions, bool [B, T], those to hide: one row in `mask_ratio` hides its last alone, as at inference."""
        only_last = torch.rand(len(drawn), 1, device=drawn.device) < self.mask_ratio
        drawn = torch.where(only_last, last, drawn)
        return torch.where(drawn.any(1, keepdim=True), drawn, last)

    def predicted(self: Any, masked: torch.Tensor) -> torch.Tensor:
        """Of hidden positions, bool [B, T], those that reach the loss."""
        return masked

    def step(
        self: Any,
        items: torch.Tensor,
        scored: torch.Tensor,
        titles: torch.Tensor | None = None,
        sample: Sample | None = None,
        processes: Processes = ALONE,
    ) -> Step:
        """Masked tracks of windows int64 [B, T]; of its own rows where `processes` share them."""
        masked = self.masks(items, (items > 0).sum(1))
        asked = self.predicted(masked)
        chosen = self.choose(items, sample)
        items, masked, asked, titles = processes.share(items, masked, asked, titles)
        visible = items.masked_fill(masked, 0)
        query = self.states(self._inputs(chosen.lookup(visible), masked), items > 0, titles)[asked]
        match = None if self.match is None else self.match.whole(visible)[asked.nonzero()[:, 0]]
        return self.scored(chosen, query, match, items[asked])

    def asked(self: Any, items: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Playlists int64 [B, T] with one place more, and where the mask after their last track stands, bool [B, T + 1]."""
        items = F.pad(items, (0, 1))
        return items, torch.arange(items.shape[1], device=items.device)[None] == lengths[:, None]

    def query(
        self: Any, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Output at a mask after the last track of playlists int64 [B, T], T <= seeds_kept(): [B, H]."""
        items, masked = self.asked(items, lengths)
        return self.states(self._inputs(self.inputs(items), masked), (items > 0) | masked, titles)[masked]

    def seeds_kept(self: Any) -> int:
        """How many of a playlist's last tracks `query` reads."""
        return int(self.max_seq_length) - 1

    def window(self: Any) -> int:
        """Targets of a training window."""
        return int(self.max_seq_length) - 1

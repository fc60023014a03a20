"""RecBole's BERT4Rec with items made of ids and content, trained on all masked positions.

Parameter names and what is added are as in `toolkit.sequential.models`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential import bridge, strict
from toolkit.sequential.distributed import Processes
from toolkit.sequential.models import ALONE, Content, Sample, Step, all_scores


class MultimodalBERT4Rec(Content, bridge.BERT4Rec):
    """BERT4Rec over fused items: every masked position is predicted, the first one included."""

    causal = False
    last_only = False
    """Hide only the last track of each window: what is asked at inference, for a last few epochs."""

    def open_path(self: Any) -> None:
        """Start as a bag of words: what a mask gathers from the tracks around it reaches the tied head unrotated.

        A mask knows the playlist only through attention's value and output matrices and `output_ffn`. Random ones turn
        item vectors into a space where the head cannot compare them with item vectors, so that until all three have
        turned back the model learns popularity alone. SASRec's last track reaches its head by the residual path.
        """
        stacks = [self, *(() if self.late is None else self.late.stacks)]
        attention = [layer.multi_head_attention for stack in stacks for layer in stack.trm_encoder.layer]
        for linear in (self.output_ffn, *(part for each in attention for part in (each.value, each.dense))):
            nn.init.eye_(linear.weight)

    def states(self: Any, inputs: torch.Tensor, keys: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        """Output of every position: item vectors [B, T, H], keys bool [B, T] (False at padding) -> [B, T, H]."""
        hidden = self.last_layer(inputs, titles, keys)
        return self.output_ln(self.output_gelu(self.output_ffn(hidden)))

    def _inputs(self: Any, vectors: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        mask = self.item_embedding(torch.tensor([self.mask_token], device=masked.device))[0]
        if self.late is not None:
            mask = torch.cat([mask, *(stack.mask for stack in self.late.stacks)])
        return torch.where(masked[..., None], mask.to(vectors.dtype), vectors)

    def masks(self: Any, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Positions to hide, bool [B, T]: each with probability `mask_ratio`, at least one a row.

        One row in `mask_ratio` hides its last track alone, which is what is asked at inference; under `last_only` all do.
        """
        last = torch.arange(items.shape[1], device=items.device)[None] == (lengths - 1)[:, None]
        if self.last_only:
            return last
        drawn = (torch.rand(items.shape, device=items.device) < self.mask_ratio) & (items > 0)
        if self.strict:
            return strict.masks(drawn, last)
        only_last = torch.rand(len(items), 1, device=items.device) < self.mask_ratio
        drawn = torch.where(only_last, last, drawn)
        return torch.where(drawn.any(1, keepdim=True), drawn, last)

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
        asked = strict.predicted(masked, self.mask_item_length) if self.strict else masked
        chosen = self.choose(items, sample)
        items, masked, asked, titles = processes.share(items, masked, asked, titles)
        visible = items.masked_fill(masked, 0)
        query = self.states(self._inputs(chosen.lookup(visible), masked), items > 0, titles)[asked]
        match = None if self.match is None else self.match.whole(visible)[asked.nonzero()[:, 0]]
        return self.scored(chosen, query, match, items[asked])

    def query(self: Any, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        """Output at a mask after the last track of playlists int64 [B, T], T <= seeds_kept(): [B, H]."""
        items = F.pad(items, (0, 1))
        masked = torch.arange(items.shape[1], device=items.device)[None] == lengths[:, None]
        if self.strict:
            items, masked = strict.shifted(items, masked)
        flat = self.vectors(items.flatten()).view(*items.shape, -1) * (items > 0)[..., None]
        return self.states(self._inputs(flat, masked), (items > 0) | masked, titles)[masked]

    def seeds_kept(self: Any) -> int:
        # RecBole's keeps one more and drops it
        return int(self.max_seq_length) - (not self.strict)

    def forward(self: Any, item_seq: torch.Tensor) -> torch.Tensor:
        """RecBole's form: playlists with mask tokens int64 [B, T] -> [B, T, H]."""
        masked = item_seq == self.mask_token
        tracks = item_seq.masked_fill(masked, 0)
        flat = self.vectors(tracks.flatten()).view(*tracks.shape, -1) * (tracks > 0)[..., None]
        return self.states(self._inputs(flat, masked), item_seq > 0)

    def calculate_loss(self: Any, interaction: Any) -> torch.Tensor:
        """RecBole's own masked batches, under its Trainer; a mask at position 0 counts where it is one, unless strict."""
        masked_seq, positions = interaction[self.MASK_ITEM_SEQ], interaction[self.MASK_INDEX]
        wanted = interaction[self.POS_ITEMS]
        output = self.forward(masked_seq).gather(1, positions[..., None].expand(-1, -1, self.hidden_size))
        # unused slots hold target 0 and position 0: the target tells them from a mask at the first position
        chosen = positions > 0 if self.strict else wanted > 0
        tracks = masked_seq.masked_fill(masked_seq == self.mask_token, 0)
        rows = chosen.nonzero()[:, 0]
        return F.cross_entropy(all_scores(self, output[chosen], tracks[rows]), wanted[chosen])

    def full_sort_predict(self: Any, interaction: Any) -> torch.Tensor:
        kept = self.seeds_kept()
        items, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        first = (lengths - kept).clamp(min=0)[:, None] + torch.arange(kept, device=items.device)
        shifted = items.gather(1, first.clamp(max=items.shape[1] - 1)) * (first < lengths[:, None])
        return all_scores(self, self.query(shifted, lengths.clamp(max=kept)), shifted)

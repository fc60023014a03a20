"""RecBole's BERT4Rec with items made of ids and content, trained on all masked positions.

Parameter names are RecBole's, so that a stock checkpoint loads, and it passes under RecBole's own Trainer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential.item_space import Parts, all_scores
from toolkit.sequential.recbole import bert4rec_masks as strict
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.flat_attention import RecBoleLayers
from toolkit.sequential.training.objectives import Masked


class MultimodalBERT4Rec(RecBoleLayers, Masked, bridge.BERT4Rec):
    """BERT4Rec over fused items: every masked position is predicted, the first one included.

    strict: it hides, predicts and asks as RecBole's does (`strict.py`).
    """

    strict = False

    def initialise(self: Any, parts: Parts, regularise: bool) -> None:
        self.strict = parts.strict
        super().initialise(parts, regularise)
        if parts.identity:
            self.open_path()

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
        hidden = self.last_layer(inputs, titles, keys)
        return self.output_ln(self.output_gelu(self.output_ffn(hidden)))

    def mask_vector(self: Any) -> torch.Tensor:
        """RecBole has the mask's vector [H] behind those of the items."""
        return self.item_embedding(torch.tensor([self.mask_token], device=self.item_embedding.weight.device))[0]

    def own_bias(self: Any, items: torch.Tensor) -> torch.Tensor | None:
        # it is trained for played tracks alone: beside content it would rank new releases by its absence
        return self.output_bias[items] if self.item_table is None else None

    def hidden(self: Any, drawn: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        return strict.masks(drawn, last) if self.strict else super().hidden(drawn, last)

    def predicted(self: Any, masked: torch.Tensor) -> torch.Tensor:
        return strict.predicted(masked, self.mask_item_length) if self.strict else masked

    def asked(self: Any, items: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        items, masked = super().asked(items, lengths)
        return strict.shifted(items, masked) if self.strict else (items, masked)

    def seeds_kept(self: Any) -> int:
        # RecBole's keeps one more and drops it
        return int(self.max_seq_length) - (not self.strict)

    def forward(self: Any, item_seq: torch.Tensor) -> torch.Tensor:
        """RecBole's form: playlists with mask tokens int64 [B, T] -> [B, T, H]."""
        masked = item_seq == self.mask_token
        return self.states(self._inputs(self.inputs(item_seq.masked_fill(masked, 0)), masked), item_seq > 0)

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

"""RecBole's BERT4Rec over ids and content, trained at all masked positions.

Parameter names are RecBole's, so a stock checkpoint can be loaded. The model also runs under RecBole's own Trainer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential.item_space import Parts
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.bert4rec_masks import StrictMasked
from toolkit.sequential.recbole.recbole_transformer import RecBoleTransformer
from toolkit.sequential.training.objectives import Masked


class MultimodalBERT4Rec(RecBoleTransformer, bridge.BERT4Rec):
    """BERT4Rec over fused items that predicts every masked position, including the first.

    - strict: whether the model hides, predicts and ranks as RecBole does (`bert4rec_masks.py`).
    """

    causal = False
    strict = False

    @property
    def objective(self) -> Masked:
        return StrictMasked(self) if self.strict else Masked(self)

    def own_bias(self, parts: Parts) -> nn.Parameter | None:
        # it is trained for played tracks alone: beside content it would rank new releases by its absence. An untied
        # head does not rank them
        return self.output_bias if parts.table is None or parts.untied else None

    def start(self, parts: Parts) -> None:
        self.strict = parts.strict
        super().start(parts)
        if parts.identity:
            self.open_path()

    def open_path(self) -> None:
        """Initialise the path from tracks to a mask with identity matrices.

        A mask reads the playlist only through the value and output matrices of attention and through `output_ffn`.
        Random matrices map item vectors to a space in which the tied head cannot compare them with item vectors. Until
        training has undone this rotation, the model learns popularity alone. SASRec's last track reaches the head by
        the residual path.
        """
        layers = [layer for stack in self.stacks for layer in stack.trm_encoder.layer]
        attention = [layer.multi_head_attention for layer in layers]
        for linear in (self.output_ffn, *(part for each in attention for part in (each.value, each.dense))):
            nn.init.eye_(linear.weight)

    def encode(
        self, vectors: torch.Tensor, kept: torch.Tensor | None = None, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.output_ln(self.output_gelu(self.output_ffn(super().encode(vectors, kept, titles))))

    def mask(self) -> torch.Tensor:
        # RecBole has the mask's vector behind those of the items
        own = self.item_embedding(torch.tensor([self.mask_token], device=self.item_embedding.weight.device))[0]
        return torch.cat([own, *(stack.mask for stack in self.others if stack.mask is not None)])

    def forward(self, item_seq: torch.Tensor) -> torch.Tensor:
        """Return states [B, T, H] for playlists with mask tokens int64 [B, T], as RecBole's method does."""
        masked = item_seq == self.mask_token
        vectors = self.objective.hide(self.space.inputs(item_seq.masked_fill(masked, 0)), masked)
        return self.encode(vectors, item_seq > 0)

    def calculate_loss(self, interaction: bridge.Interaction) -> torch.Tensor:
        """Return the loss for RecBole's own masked batches. A mask at position 0 counts, unless strict."""
        masked_seq, positions = interaction[self.MASK_ITEM_SEQ], interaction[self.MASK_INDEX]
        targets = interaction[self.POS_ITEMS]
        output = self.forward(masked_seq).gather(1, positions[..., None].expand(-1, -1, self.hidden_size))
        # unused slots hold target 0 and position 0: the target tells them from a mask at the first position
        chosen = positions > 0 if self.strict else targets > 0
        tracks = masked_seq.masked_fill(masked_seq == self.mask_token, 0)
        rows = chosen.nonzero()[:, 0]
        return F.cross_entropy(self.space.all_scores(output[chosen], tracks[rows]), targets[chosen])

    def full_sort_predict(self, interaction: bridge.Interaction) -> torch.Tensor:
        objective, items, lengths = self.objective, interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        kept = objective.seeds_kept()
        first = (lengths - kept).clamp(min=0)[:, None] + torch.arange(kept, device=items.device)
        last = items.gather(1, first.clamp(max=items.shape[1] - 1)) * (first < lengths[:, None])
        return self.space.all_scores(objective.query(last, lengths.clamp(max=kept)), last)

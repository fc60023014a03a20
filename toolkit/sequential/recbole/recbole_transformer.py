"""Network over the layers of RecBole's transformers, with a stack for each stream under late fusion."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import nn

from toolkit.sequential.item_space import ItemSpace, Parts
from toolkit.sequential.layers.attention import Packing, dropped, encode
from toolkit.sequential.layers.late_streams import LateFusion
from toolkit.sequential.recbole import bridge


class Stack(nn.Module):
    """Layers of a further stream, with the network's sizes and new initial values.

    - mask: vector [H] at hidden positions, if the network hides positions.
    """

    def __init__(self, network: RecBoleTransformer) -> None:
        super().__init__()
        self.position_embedding = copy.deepcopy(network.position_embedding)
        self.LayerNorm = copy.deepcopy(network.LayerNorm)
        self.trm_encoder = copy.deepcopy(network.trm_encoder)
        self.apply(network._init_weights)
        start = None if network.causal else torch.randn(network.hidden_size) * network.initializer_range
        self.mask = None if start is None else nn.Parameter(start)


class RecBoleTransformer(bridge.SequentialRecommender):
    """Base class of our SASRec and BERT4Rec, placed before RecBole's class in the bases.

    The class adds an item space and the computation of hidden states. The layers and their sizes are attributes of
    RecBole's class.
    """

    causal: ClassVar[bool]
    packs = False
    """Whether training runs the layers without padding."""

    def __init__(self, config: bridge.Config, dataset: bridge.CatalogueSize, parts: Parts | None = None) -> None:
        super().__init__(config, dataset)
        parts = parts or Parts()
        self.others = tuple(Stack(self) for _ in range(parts.streams - 1))
        late = LateFusion(self.others, self.hidden_size, norm=parts.late_norm) if parts.separates else None
        self.space = ItemSpace(
            self,
            self.item_embedding,
            parts,
            n_items=self.n_items,
            std=self.initializer_range,
            late=late,
            start=lambda: self.start(parts),
            own_bias=self.own_bias(parts),
        )

    @property
    def stacks(self) -> list[Stack | RecBoleTransformer]:
        """Layers of each stream. The first stream uses the network's own layers."""
        return [self, *self.others]

    def own_bias(self, parts: Parts) -> nn.Parameter | None:
        """Return RecBole's bias of each item, or None if the model does not use a bias."""
        return None

    def start(self, parts: Parts) -> None:
        """Initialise matrices by Xavier's rule if `parts.xavier` is set. Tables of item vectors keep their values."""
        # deltas start at zero: the loaded vectors are the ones in the table
        kept = ("embedding", ".deltas.", *(() if parts.regularises else ("item_table.",)))
        for name, parameter in self.named_parameters() if parts.xavier else ():
            if parameter.ndim == 2 and not any(part in name for part in kept):
                nn.init.xavier_normal_(parameter)

    def prepare(self, device: str) -> None:
        """Use packed playlists on CUDA if the head size is a multiple of 8, as PyTorch's kernels require."""
        self.packs = device.startswith("cuda") and self.hidden_size // self.n_heads % 8 == 0

    def encode(
        self, vectors: torch.Tensor, kept: torch.Tensor | None = None, titles: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the last hidden layer of all streams. See `toolkit.sequential.network.Network.encode`."""
        packing = Packing.of(kept) if kept is not None and self.packs and self.training else None
        length, keys, added = vectors.shape[1], None, None
        if titles is not None and self.space.title_projection is not None:
            added = self.space.title_projection(titles)
            added = added[:, None] if packing is None else added[packing.rows]
        if packing is not None:
            vectors = packing.pack(vectors)
        elif kept is not None and not self.causal and not bool(kept.all()):
            keys = kept[:, None, None, :]

        def run(stack: Stack | RecBoleTransformer, part: torch.Tensor) -> torch.Tensor:
            places = stack.position_embedding.weight[:length]
            places = places if packing is None else places[packing.columns]
            hidden = dropped(self.dropout, stack.LayerNorm(part + places))
            hidden = hidden if added is None else hidden + added
            return encode(stack.trm_encoder, hidden, causal=self.causal, keys=keys, packing=packing)

        late = self.space.late
        last = run(self, vectors) if late is None else late.run(run, self.stacks, vectors)
        return last if packing is None else packing.unpack(last)

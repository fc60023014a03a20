"""Model `bert4rec`: RecBole's BERT4Rec (Sun et al. 2019, "BERT4Rec: Sequential Recommendation with Bidirectional Encoder …")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from toolkit.packages import RECBOLE, Package
from toolkit.recipe.model_section import MaskedSpec
from toolkit.sequential.models.transformer import Transformer

if TYPE_CHECKING:
    from torch import nn

    from toolkit.sequential.build_network import Host


class BERT4Rec(Transformer, MaskedSpec):
    """A bidirectional transformer over ids and content, trained to predict masked tracks (RecBole's BERT4Rec)."""

    type: str = "bert4rec"
    requires: ClassVar[tuple[Package, ...]] = (RECBOLE,)
    initialisation: Literal["auto", "identity", "xavier", "recbole"] = Field(
        "auto",
        description="of the transformer's matrices: Xavier's; identity, that and the path from tracks to masks open; RecBole's;"
        " auto: identity, or recbole where strict",
    )
    strict_recbole: bool = Field(
        False, description="with the faults of RecBole's, for comparison: its masks, softmax and lost seed"
    )

    @model_validator(mode="after")
    def _strict(self) -> BERT4Rec:
        if self.strict_recbole and self.loss.draws_by_plays:
            raise ValueError(
                "negatives_from: popularity never draws the unplayed tracks that strict_recbole: true counts: use uniform"
            )
        return self

    @property
    def starts(self) -> str:
        """The initialisation that `auto` stands for, or the one given."""
        return (
            ("recbole" if self.strict_recbole else "identity") if self.initialisation == "auto" else self.initialisation
        )

    @property
    def ranks_every_id(self) -> bool:
        return self.strict_recbole

    def architecture(self) -> nn.Module:
        from toolkit.sequential.hosted_network import layers_of

        return layers_of(self)

    def network(self, host: Host) -> nn.Module:
        from toolkit.sequential.recbole import bridge
        from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec

        xavier, identity = host.fresh and self.starts != "recbole", host.fresh and self.starts == "identity"
        parts = replace(host.parts, strict=self.strict_recbole, xavier=xavier, identity=identity)
        config, size = bridge.model_config(
            "BERT4Rec",
            n_items=host.n_items,
            hidden_size=self.hidden_size,
            layers=self.layers,
            heads=self.heads,
            inner_size=self.inner,
            max_length=self.max_length,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            mask_ratio=self.mask_ratio,
        )
        made: nn.Module = MultimodalBERT4Rec(config, size, parts)
        return made

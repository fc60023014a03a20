"""Model `sasrec`: RecBole's SASRec (Kang and McAuley 2018, "Self-Attentive Sequential Recommendation")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from toolkit.packages import RECBOLE, Package
from toolkit.sequential.models.transformer import Transformer

if TYPE_CHECKING:
    from torch import nn

    from toolkit.sequential.build_network import Host


class SASRec(Transformer):
    """A causal transformer over ids and content, trained to predict every next track (RecBole's SASRec)."""

    type: str = "sasrec"
    requires: ClassVar[tuple[Package, ...]] = (RECBOLE,)
    initialisation: Literal["auto", "xavier", "recbole"] = Field(
        "auto", description="of the transformer's matrices: Xavier's, or RecBole's; auto: xavier"
    )

    @property
    def starts(self) -> str:
        """The initialisation that `auto` stands for, or the one given."""
        return "xavier" if self.initialisation == "auto" else self.initialisation

    def architecture(self) -> nn.Module:
        from toolkit.sequential.hosted_network import layers_of

        return layers_of(self)

    def network(self, host: Host) -> nn.Module:
        from toolkit.sequential.recbole import bridge
        from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec

        parts = replace(host.parts, xavier=host.fresh and self.starts != "recbole")
        config, size = bridge.model_config(
            "SASRec",
            n_items=host.n_items,
            hidden_size=self.hidden_size,
            layers=self.layers,
            heads=self.heads,
            inner_size=self.inner,
            max_length=self.max_length,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
        )
        made: nn.Module = MultimodalSASRec(config, size, parts)
        return made

"""Model `bert4rec`, RecBole's BERT4Rec.

Sun et al. 2019, "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from toolkit.recipe.model_section import MaskedSpec
from toolkit.sequential.models.transformer import RecBoleSpec

if TYPE_CHECKING:
    from toolkit.sequential.build_network import Host
    from toolkit.sequential.network import Network


class BERT4Rec(RecBoleSpec, MaskedSpec):
    """Bidirectional transformer over ids and content, trained to predict masked tracks (RecBole's BERT4Rec)."""

    type: str = "bert4rec"
    initialisation: Literal["auto", "identity", "xavier", "recbole"] = Field(
        "auto",
        description="initial matrices: Xavier's rule; identity, which adds identity matrices from tracks to masks;"
        " RecBole's; auto: identity, or recbole if strict",
    )
    strict_recbole: bool = Field(
        False, description="reproduce RecBole's faults for comparison: its masks, softmax and lost seed"
    )

    @model_validator(mode="after")
    def _strict(self) -> BERT4Rec:
        if self.strict_recbole and self.loss.draws_by_plays:
            raise ValueError(
                "`negatives_from: popularity` cannot be combined with `strict_recbole: true`, because popularity never"
                " draws unplayed tracks: set `negatives_from: uniform`"
            )
        return self

    @property
    def starts(self) -> str:
        """Initialisation, with `auto` resolved."""
        automatic = "recbole" if self.strict_recbole else "identity"
        return automatic if self.initialisation == "auto" else self.initialisation

    @property
    def ranks_every_id(self) -> bool:
        return self.strict_recbole

    def network(self, host: Host) -> Network:
        from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec

        xavier, identity = host.fresh and self.starts != "recbole", host.fresh and self.starts == "identity"
        parts = replace(host.parts, strict=self.strict_recbole, xavier=xavier, identity=identity)
        return MultimodalBERT4Rec(*self.recbole_config("BERT4Rec", host, mask_ratio=self.mask_ratio), parts)

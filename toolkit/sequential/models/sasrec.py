"""Model `sasrec`, RecBole's SASRec (Kang and McAuley 2018, "Self-Attentive Sequential Recommendation")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from toolkit.sequential.models.transformer import RecBoleSpec

if TYPE_CHECKING:
    from toolkit.sequential.build_network import Host
    from toolkit.sequential.network import Network


class SASRec(RecBoleSpec):
    """Causal transformer over ids and content, trained to predict every next track (RecBole's SASRec)."""

    type: str = "sasrec"
    initialisation: Literal["auto", "xavier", "recbole"] = Field(
        "auto", description="initial matrices of the transformer: Xavier's rule or RecBole's; auto: xavier"
    )

    @property
    def starts(self) -> str:
        """Initialisation, with `auto` resolved."""
        return "xavier" if self.initialisation == "auto" else self.initialisation

    def network(self, host: Host) -> Network:
        from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec

        parts = replace(host.parts, xavier=host.fresh and self.starts != "recbole")
        return MultimodalSASRec(*self.recbole_config("SASRec", host), parts)

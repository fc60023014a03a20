"""The network of a recipe's model entry: made for training, or blank for saved weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.fusion.item_table import ItemTable
from toolkit.modality import Modality
from toolkit.recipe import Fusion, ModelSpec
from toolkit.seeds import derived_seed
from toolkit.sequential.heads.match_head import MatchHead
from toolkit.sequential.item_space import Parts


@dataclass(frozen=True)
class Host:
    """What `ModelSpec.network` is built for: a catalogue of V = `n_items` tracks, and the parts around the layers.

    fresh: whether it will be trained; else weights are loaded into it, and no start is computed.
    """

    n_items: int
    parts: Parts
    fresh: bool = True

    def around(self, spec: ModelSpec) -> nn.Module:
        """A network around `spec.architecture()`."""
        from toolkit.sequential.hosted_network import HostedCausal, HostedMasked

        made = HostedCausal if spec.objective == "causal" else HostedMasked
        return made(spec, self.n_items, replace(self.parts, xavier=self.fresh))


def build(
    spec: ModelSpec,
    fusion: Fusion,
    modalities: dict[str, Modality],
    counts: np.ndarray,
    *,
    title_dim: int,
    seed: int,
    folder: Path | None = None,
) -> Any:
    """A model before training. counts: int [V + 1], training placements of each track. folder: where content stays in a mapped file.

    Raises `InputError` for an untied head that would have to rank unplayed tracks, and for a match head without content.
    """
    played = counts > 0
    if modalities and spec.head == "untied" and spec.cold_rows != "none" and not played[1:].all():
        raise InputError(
            f"head: untied cannot rank the {(~played[1:]).sum()} tracks without plays: use head: tied, or cold_rows: none"
        )
    torch.manual_seed(derived_seed(seed, "initialisation"))
    table = match = None
    if modalities:
        size = spec.hidden_size
        table = ItemTable(
            modalities, fusion, hidden_size=size, train=spec.train, played=played, dropout=spec.dropout, folder=folder
        )
    if spec.match:
        match = MatchHead(_matched(modalities, fusion), fusion.table, folder)
    model = _model(spec, fusion, table, match, played, title_dim, np.log1p(counts), fresh=True)
    if table is not None:
        table.check_loaded()
    return model


def blank(
    spec: ModelSpec,
    fusion: Fusion,
    table_layout: Mapping[str, int],
    match_layout: Mapping[str, int] | None,
    *,
    played: np.ndarray,
    title_dim: int,
) -> Any:
    """A model of the same shape, for `load_state_dict`. played: bool [V + 1]; layouts: size of each modality in table and match head."""
    table = match = None
    if table_layout:
        size = spec.hidden_size
        table = ItemTable.blank(
            dict(table_layout), fusion, hidden_size=size, train=spec.train, played=played, dropout=spec.dropout
        )
    if match_layout is not None:
        match = MatchHead.blank(match_layout, len(played), fusion.table)
    return _model(spec, fusion, table, match, played, title_dim, np.zeros(len(played)), fresh=False)


def _model(
    spec: ModelSpec,
    fusion: Fusion,
    table: ItemTable | None,
    match: MatchHead | None,
    played: np.ndarray,
    title_dim: int,
    log_plays: np.ndarray,
    *,
    fresh: bool,
) -> Any:
    parts = Parts(
        table=table,
        match=match,
        played=None if spec.ranks_every_id else played,
        id_embedding=fusion.id_embedding or table is None,
        id_dropout=fusion.id_dropout,
        title_dim=title_dim,
        untied=spec.head == "untied",
        late=fusion.architecture == "late",
        log_plays=log_plays if spec.popularity else None,
    )
    return spec.network(Host(len(played) - 1, parts, fresh))


def _matched(modalities: dict[str, Modality], fusion: Fusion) -> dict[str, Modality]:
    """The modalities of the match head. Raises `InputError` where there are none."""
    wanted = fusion.match_modalities or list(modalities)
    chosen = {name: modalities[name] for name in wanted if name in modalities}
    if not chosen:
        raise InputError(
            f"match: true needs content, and this model has none of {', '.join(wanted) or 'the recipe'}: name its modalities"
        )
    return chosen

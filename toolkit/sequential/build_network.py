"""Networks for the model entries of a recipe, initialised for training or empty for saved weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from toolkit.errors import InputError
from toolkit.fusion.item_table import ItemTable
from toolkit.modality import Modality
from toolkit.recipe import Fusion, ModelSpec
from toolkit.seeds import derived_seed
from toolkit.sequential.heads.match_head import MatchHead
from toolkit.sequential.item_space import Parts

if TYPE_CHECKING:
    from toolkit.sequential.network import Network


@dataclass(frozen=True)
class Host:
    """Catalogue and parts around an architecture, passed to `ModelSpec.network`.

    - n_items: number V of tracks.
    - parts: the parts around the layers.
    - fresh: whether the network will be trained. Otherwise saved weights replace its initial weights.
    """

    n_items: int
    parts: Parts
    fresh: bool = True

    def around(self, spec: ModelSpec) -> Network:
        """Return a network around `spec.architecture()`."""
        from toolkit.sequential.hosted_network import HostedNetwork

        return HostedNetwork(spec, self.n_items, replace(self.parts, xavier=self.fresh))


def build(
    spec: ModelSpec,
    fusion: Fusion,
    modalities: dict[str, Modality],
    counts: np.ndarray,
    *,
    title_dim: int,
    seed: int,
    folder: Path | None = None,
) -> Network:
    """Return an initialised network for training.

    - counts: int [V + 1], number of entries of each track in training playlists.
    - title_dim: dimension of title vectors, 0 without titles.
    - folder: folder for memory-mapped content; None keeps content in memory.

    Raises `InputError` if an untied head would have to rank unplayed tracks, or if a match head has no content.
    """
    played = counts > 0
    if why := problem(spec, fusion, list(modalities), played):
        raise InputError(why)
    torch.manual_seed(derived_seed(seed, "initialisation"))
    table = match = None
    if modalities:
        size, dropout = spec.hidden_size, spec.dropout
        table = ItemTable(
            modalities, fusion, hidden_size=size, train=spec.train, played=played, dropout=dropout, folder=folder
        )
    if spec.match:
        match = MatchHead({name: modalities[name] for name in _matched(modalities, fusion)}, fusion.table, folder)
    parts = Parts(table, match, played, title_dim=title_dim, log_plays=np.log1p(counts))
    network = _network(spec, fusion, parts, fresh=True)
    if table is not None:
        table.check_loaded()
    return network


def blank(
    spec: ModelSpec,
    fusion: Fusion,
    table_layout: Mapping[str, int],
    match_layout: Mapping[str, int] | None,
    *,
    played: np.ndarray,
    title_dim: int,
) -> Network:
    """Return a network of the same shape, for `load_state_dict`.

    - table_layout, match_layout: number of columns of each modality in the item table and the match head.
    - played: bool [V + 1], tracks in training playlists.
    - title_dim: dimension of title vectors.
    """
    table = match = None
    if table_layout:
        size, dropout = spec.hidden_size, spec.dropout
        table = ItemTable.blank(
            table_layout, fusion, hidden_size=size, train=spec.train, played=played, dropout=dropout
        )
    if match_layout is not None:
        match = MatchHead.blank(match_layout, len(played), fusion.table)
    parts = Parts(table, match, played, title_dim=title_dim, log_plays=np.zeros(len(played)))
    return _network(spec, fusion, parts, fresh=False)


def _network(spec: ModelSpec, fusion: Fusion, parts: Parts, *, fresh: bool) -> Network:
    """Return the network with the recipe's choices added to `parts`.

    - parts: parts with `played` and `log_plays` for all tracks.
    """
    assert parts.played is not None
    chosen = replace(
        parts,
        played=None if spec.ranks_every_id else parts.played,
        id_embedding=fusion.id_embedding or parts.table is None,
        id_dropout=fusion.id_dropout,
        untied=spec.head == "untied",
        late=fusion.architecture == "late",
        log_plays=parts.log_plays if spec.popularity else None,
    )
    return spec.network(Host(len(parts.played) - 1, chosen, fresh))


def problem(spec: ModelSpec, fusion: Fusion, modalities: Collection[str], played: np.ndarray) -> str:
    """Return why no network can be built for the names of a model's modalities, with the cure, or "".

    - played: bool [V + 1], tracks in training playlists.
    """
    if modalities and spec.head == "untied" and spec.cold_rows != "none" and not played[1:].all():
        return (
            f"`head: untied` cannot rank the {(~played[1:]).sum()} tracks without plays: set `head: tied` or"
            " `cold_rows: none`"
        )
    if spec.match and not _matched(modalities, fusion):
        names = ", ".join(fusion.match_modalities or modalities)
        among = f" among {names}" if names else ""
        cure = "set `fusion.match_modalities` to modalities of the model" if modalities else "add encoders"
        return f"`match: true` requires content, but the model has no modality{among}: {cure}"
    return ""


def _matched(modalities: Collection[str], fusion: Fusion) -> list[str]:
    """Return the names of the modalities of the match head."""
    return [name for name in fusion.match_modalities or modalities if name in modalities]

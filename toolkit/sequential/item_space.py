"""What every sequential network has around its layers: items of ids and content, candidates of a step, scores.

Mixed into RecBole's classes (`sasrec.py`, `bert4rec.py`), whose parameter names stay (`item_embedding` is the free id part), and into
the network around any other architecture (`hosted.py`). Added are the content of an `ItemTable`, a `MatchHead`, the playlist's title,
an untied head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential.layers.late_streams import LateFusion
from toolkit.sequential.losses.loss_scores import Scores

if TYPE_CHECKING:
    from toolkit.fusion.item_table import ItemTable
    from toolkit.sequential.heads.match_head import MatchHead
    from toolkit.sequential.losses.negative_sampler import Sample


@dataclass(frozen=True)
class Step:
    """What one training step scores: n positions, their Scores' targets among the candidates."""

    scores: Scores
    targets: torch.Tensor


@dataclass(frozen=True)
class Parts:
    """What is added to the layers.

    played: bool [V + 1], tracks with a training placement; the free ids of the
    others are never trained, so they are left out of items and of the training softmax.
    None is RecBole's own behaviour: every id counts.
    strict: BERT4Rec hides, predicts and asks as RecBole's does.
    identity: BERT4Rec's matrices between the tracks around a mask and what is predicted there start as identities.
    late: layers of their own for the ids and each modality of the table, instead of one set for their sum.
    """

    table: ItemTable | None = None
    match: MatchHead | None = None
    played: np.ndarray | None = None
    id_embedding: bool = True
    id_dropout: float = 0.0
    title_dim: int = 0
    untied: bool = False
    log_plays: np.ndarray | None = None
    xavier: bool = False
    identity: bool = False
    strict: bool = False
    late: bool = False


@dataclass(frozen=True)
class Candidates:
    """Tracks of a step: ids int64 [C] in ascending order, their vectors [C, H].

    shared: int64 [K], which of them are candidates of every position (None: all); log_q [K], log chance of being among those.
    """

    ids: torch.Tensor
    rows: torch.Tensor
    shared: torch.Tensor | None
    log_q: torch.Tensor | None

    def local(self, items: torch.Tensor) -> torch.Tensor:
        """Where tracks of the step stand in `ids`; anything for padding."""
        return torch.searchsorted(self.ids, items.contiguous())

    def lookup(self, items: torch.Tensor) -> torch.Tensor:
        """Vectors [B, T, H] of tracks of the step; padding is zero."""
        return F.embedding(self.local(items), self.rows) * (items > 0)[..., None]


class Content:
    """Base of both objectives (`objectives.py`): everything between item ids and scores but the layers.

    A network over it has, once built: `item_embedding` [V + 1 or more, hidden_size], `n_items` = V + 1, `hidden_size`, `max_seq_length`,
    `initializer_range`; and writes `stack` (layers for one more stream of late fusion) and `last_layer`.
    """

    causal: bool
    linear = False
    """Score by match and popularity alone, as if the layers said nothing: how their weights are fitted first."""

    def __init__(self, config: Any, dataset: Any, parts: Parts | None = None) -> None:
        super().__init__(config, dataset)  # type: ignore[call-arg]
        self._attach(parts or Parts())

    def _attach(self: Any, parts: Parts) -> None:
        hidden = self.hidden_size
        self.n_tracks = self.n_items - 1
        self.item_table, self.match = parts.table, parts.match
        self.id_embedding, self.id_dropout = parts.id_embedding, parts.id_dropout
        # RecBole's softmax holds the padding id too; without `played` ours does as well
        first = 0 if parts.played is None else 1
        played = np.ones(self.n_items, bool) if parts.played is None else parts.played
        gate = torch.from_numpy(played.astype(np.float32) * parts.id_embedding)
        self.register_buffer("id_gate", gate[:, None], persistent=False)
        self.register_buffer("candidates", torch.from_numpy(np.flatnonzero(played[first:]) + first), persistent=False)
        regularise = parts.table is None or parts.table.fusion.regularise
        self.late = None
        if parts.late and parts.table is not None:
            streams = len(parts.table.names) + parts.id_embedding
            self.late = LateFusion([self.stack() for _ in range(streams - 1)], hidden, regularise=regularise)
        self.initialise(parts, regularise)
        self.popularity = self.title_projection = self.output_head = None
        if parts.log_plays is not None:
            self.register_buffer("log_plays", torch.from_numpy(parts.log_plays.astype(np.float32)))
            self.popularity = nn.Parameter(torch.tensor(0.5))
        if parts.title_dim:
            self.title_projection = nn.Linear(parts.title_dim, hidden, bias=False)
            nn.init.normal_(self.title_projection.weight, std=self.initializer_range)
        if parts.untied:
            self.output_head = nn.Linear(hidden, self.n_items, bias=False)
            nn.init.normal_(self.output_head.weight, std=self.initializer_range)

    def initialise(self: Any, parts: Parts, regularise: bool) -> None:
        """Xavier's start of all matrices but the tables of item vectors, where the parts ask for it."""
        if not parts.xavier:
            return
        # deltas start at zero: the loaded vectors are the ones in the table
        kept = ("embedding", ".deltas.", *(() if regularise else ("item_table.",)))
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 and not any(part in name for part in kept):
                nn.init.xavier_normal_(parameter)

    def prepare(self: Any, device: str) -> None:
        """Choose what training on this device may do faster; before the first step."""

    def sparse_gradients(self: Any) -> None:
        """Have tables of one vector a track get gradients for the rows of a step alone, for `RowAdamW`."""
        self.item_embedding.sparse = True
        for module in self.item_table.modules() if self.item_table is not None else ():
            if isinstance(module, nn.Embedding):
                module.sparse = True

    def vectors(self: Any, items: torch.Tensor) -> torch.Tensor:
        """Item vectors int64 [n] -> [n, H]: free id where it is trained, plus content; under late fusion one beside the other."""
        vectors = self.item_embedding(items) * self._id_gate(items)
        if self.late is not None:
            content = self.item_table.streams(items)
            return torch.cat([vectors, content], dim=-1) if self.id_embedding else content
        return vectors if self.item_table is None else vectors + self.item_table(items)

    def _id_gate(self: Any, items: torch.Tensor) -> torch.Tensor:
        gate = self.id_gate[items]
        if self.training and self.id_dropout and self.item_table is not None:
            # without rescaling: a track without its id must look like one that never had it
            gate = gate * (torch.rand(len(items), 1, device=items.device) >= self.id_dropout)
        return gate

    def inputs(self: Any, items: torch.Tensor) -> torch.Tensor:
        """Item vectors [B, T, H] of playlists int64 [B, T], zero at padding."""
        return self.vectors(items.flatten()).view(*items.shape, -1) * (items > 0)[..., None]

    def output_rows(self: Any, items: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Rows of the output head [n, H]: the item vectors themselves where the head is tied, their streams added."""
        if self.output_head is not None:
            return F.embedding(items, self.output_head.weight, sparse=self.item_embedding.sparse)
        return vectors if self.late is None else vectors.unflatten(-1, (-1, self.hidden_size)).sum(-2)

    def own_bias(self: Any, items: torch.Tensor) -> torch.Tensor | None:
        """The layers' own bias of each item [n], where they have one."""
        return None

    def bias(self: Any, items: torch.Tensor) -> torch.Tensor | None:
        """Bias of each item [n], where the model has one."""
        bias = self.own_bias(items)
        if self.popularity is None:
            return bias
        plays = self.popularity * self.log_plays[items]
        return plays if bias is None else bias + plays

    def choose(self: Any, items: torch.Tensor, sample: Sample | None) -> Candidates:
        """The tracks of a step on windows int64 [B, T]: every trained one, or the windows' own and a shared sample."""
        if sample is None:
            return Candidates(self.candidates, self.vectors(self.candidates), None, None)
        drawn = sample.draw(self.candidates)
        ids = torch.cat([items[items > 0], drawn]).unique()
        if sample.own:
            return Candidates(ids, self.vectors(ids), None, sample.log_q(ids))
        drawn = drawn.unique()
        return Candidates(ids, self.vectors(ids), torch.searchsorted(ids, drawn), sample.log_q(drawn))

    def scored(
        self: Any, chosen: Candidates, query: torch.Tensor, match: torch.Tensor | None, wanted: torch.Tensor
    ) -> Step:
        """Scores of a step's candidates for queries [n, H], match queries [n, D] and targets int64 [n]."""
        if self.linear:
            query = torch.zeros_like(query)
        output, bias, targets = self.output_rows(chosen.ids, chosen.rows), self.bias(chosen.ids), chosen.local(wanted)
        fixed = None if match is None else self.match.rows(chosen.ids)
        if chosen.shared is None:
            return Step(Scores(query, output, match, fixed, _less(bias, chosen.log_q)), targets)
        gold = (query * F.embedding(targets, output)).sum(1)
        if fixed is not None:
            gold = gold + (match * fixed[targets]).sum(1)
        if bias is not None:
            gold, bias = gold + bias[targets], bias[chosen.shared]
        fixed, shared = None if fixed is None else fixed[chosen.shared], chosen.shared
        place = torch.searchsorted(shared, targets).clamp(max=len(shared) - 1)
        hit = torch.where(shared[place] == targets, place, len(shared))
        scores = Scores(query, F.embedding(shared, output), match, fixed, _less(bias, chosen.log_q), gold, hit)
        return Step(scores, torch.full_like(targets, len(shared)))


def _less(bias: torch.Tensor | None, log_q: torch.Tensor | None) -> torch.Tensor | None:
    if log_q is None:
        return bias
    return -log_q if bias is None else bias - log_q


def all_scores(model: Any, query: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Scores [n, V + 1] of every item, for RecBole's trainer; `items` are the playlists of the rows."""
    every = torch.arange(model.n_items, device=query.device)
    vectors = model.vectors(every)
    match = None if model.match is None else model.match.whole(items)
    fixed = None if model.match is None else model.match.rows(every)
    return Scores(query, model.output_rows(every, vectors), match, fixed, model.bias(every)).logits()

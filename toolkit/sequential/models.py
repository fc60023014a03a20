"""RecBole's SASRec with items made of ids and content, trained on all positions; what BERT4Rec (`bert4rec.py`) shares with it.

Parameter names are RecBole's (a stock checkpoint loads; `item_embedding` is the
free id part), and both pass under RecBole's own Trainer. What is added: the
content of an `ItemTable`, a `MatchHead`, the playlist's title, an untied head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential import bridge
from toolkit.sequential.attention import Packing, dropped, encode
from toolkit.sequential.distributed import Processes
from toolkit.sequential.late import LateFusion
from toolkit.sequential.losses import Scores
from toolkit.sequential.sample import Sample

if TYPE_CHECKING:
    from toolkit.fusion.item_table import ItemTable
    from toolkit.sequential.match import MatchHead

ALONE = Processes()


@dataclass(frozen=True)
class Step:
    """What one training step scores: n positions, their Scores' targets among the candidates."""

    scores: Scores
    targets: torch.Tensor


@dataclass(frozen=True)
class Parts:
    """What is added to a stock model.

    played: bool [V + 1], tracks with a training placement; the free ids of the
    others are never trained, so they are left out of items and of the training softmax.
    None is RecBole's own behaviour: every id counts.
    strict: BERT4Rec hides, predicts and asks as RecBole's does.
    identity: the matrices between the tracks around a mask and what is predicted there start as identities.
    late: a transformer stack for the ids and each modality of the table, instead of one for their sum.
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
class Chosen:
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
    """What SASRec and BERT4Rec share; mixed into RecBole's classes."""

    causal: bool
    linear = False
    """Score by match and popularity alone, as if the transformer said nothing: how their weights are fitted first."""
    packs = False
    """Whether training runs the transformer without padding."""

    def __init__(self, config: Any, dataset: Any, parts: Parts | None = None) -> None:
        super().__init__(config, dataset)  # type: ignore[call-arg]
        self._attach(parts or Parts())

    def _attach(self: Any, parts: Parts) -> None:
        hidden = self.hidden_size
        self.n_tracks = self.n_items - 1
        self.item_table, self.match = parts.table, parts.match
        self.id_embedding, self.id_dropout, self.strict = parts.id_embedding, parts.id_dropout, parts.strict
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
            self.late = LateFusion(self, streams, masks=not self.causal, regularise=regularise)
        if parts.xavier:
            # deltas start at zero: the loaded vectors are the ones in the table
            kept = ("embedding", ".deltas.", *(() if regularise else ("item_table.",)))
            for name, parameter in self.named_parameters():
                if parameter.ndim == 2 and not any(part in name for part in kept):
                    nn.init.xavier_normal_(parameter)
        if parts.identity:
            self.open_path()
        if parts.log_plays is not None:
            self.register_buffer("log_plays", torch.from_numpy(parts.log_plays.astype(np.float32)))
            self.popularity = nn.Parameter(torch.tensor(0.5))
        if parts.title_dim:
            self.title_projection = nn.Linear(parts.title_dim, hidden, bias=False)
            nn.init.normal_(self.title_projection.weight, std=self.initializer_range)
        if parts.untied:
            self.output_head = nn.Linear(hidden, self.n_items, bias=False)
            nn.init.normal_(self.output_head.weight, std=self.initializer_range)

    def sparse_gradients(self: Any) -> None:
        """Have tables of one vector a track get gradients for the rows of a step alone, for `RowAdamW`."""
        for module in self.modules():
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

    def output_rows(self: Any, items: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Rows of the output head [n, H]: the item vectors themselves where the head is tied, their streams added."""
        if hasattr(self, "output_head"):
            return F.embedding(items, self.output_head.weight, sparse=self.item_embedding.sparse)
        return vectors if self.late is None else vectors.unflatten(-1, (-1, self.hidden_size)).sum(-2)

    def last_layer(self: Any, inputs: torch.Tensor, titles: torch.Tensor | None, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Last hidden layer [B, T, H] from item vectors, of the one stack or of each stream's.

        titles: [B, d] where the model reads them. kept: bool [B, T], False at padding; None where there is none to tell.
        """
        packing = Packing.of(kept) if kept is not None and self.packs and self.training else None
        length, keys, added = inputs.shape[1], None, None
        if titles is not None:
            added = self.title_projection(titles)
            added = added[:, None] if packing is None else added[packing.rows]
        if packing is not None:
            inputs = packing.pack(inputs)
        elif kept is not None and not self.causal and not bool(kept.all()):
            keys = kept[:, None, None, :]

        def run(stack: Any, part: torch.Tensor) -> torch.Tensor:
            places = stack.position_embedding.weight[:length]
            hidden = dropped(self.dropout, stack.LayerNorm(part + (places if packing is None else places[packing.columns])))
            hidden = hidden if added is None else hidden + added
            return encode(stack.trm_encoder, hidden, causal=self.causal, keys=keys, packing=packing)

        if self.late is None:
            last = run(self, inputs)
        else:
            streams = zip([self, *self.late.stacks], inputs.split(self.hidden_size, dim=-1), strict=True)
            last = self.late([run(stack, part) for stack, part in streams])
        return last if packing is None else packing.unpack(last)

    def bias(self: Any, items: torch.Tensor) -> torch.Tensor | None:
        """Bias of each item [n], where the model has one."""
        # BERT4Rec's bias an id is trained for played tracks alone: beside content it would rank new releases by its absence
        own = hasattr(self, "output_bias") and self.item_table is None
        bias = self.output_bias[items] if own else None
        if not hasattr(self, "popularity"):
            return bias
        plays = self.popularity * self.log_plays[items]
        return plays if bias is None else bias + plays

    def choose(self: Any, items: torch.Tensor, sample: Sample | None) -> Chosen:
        """The tracks of a step on windows int64 [B, T]: every trained one, or the windows' own and a shared sample."""
        if sample is None:
            return Chosen(self.candidates, self.vectors(self.candidates), None, None)
        drawn = sample.draw(self.candidates)
        ids = torch.cat([items[items > 0], drawn]).unique()
        if sample.own:
            return Chosen(ids, self.vectors(ids), None, sample.log_q(ids))
        drawn = drawn.unique()
        return Chosen(ids, self.vectors(ids), torch.searchsorted(ids, drawn), sample.log_q(drawn))

    def scored(self: Any, chosen: Chosen, query: torch.Tensor, match: torch.Tensor | None, wanted: torch.Tensor) -> Step:
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


class MultimodalSASRec(Content, bridge.SASRec):
    """SASRec over fused items: one causal pass scores every position."""

    causal = True

    def states(self: Any, inputs: torch.Tensor, titles: torch.Tensor | None = None, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Hidden state after every position: item vectors [B, T, H], left-aligned -> [B, T, H]. kept: as `last_layer` has it."""
        return self.last_layer(inputs, titles, kept)

    def step(
        self: Any,
        items: torch.Tensor,
        scored: torch.Tensor,
        titles: torch.Tensor | None = None,
        sample: Sample | None = None,
        processes: Processes = ALONE,
    ) -> Step:
        """Every next track of windows int64 [B, T] from position `scored` int64 [B] on; of its own rows where `processes` share them."""
        chosen = self.choose(items, sample)
        items, scored, titles = processes.share(items, scored, titles)
        given, wanted = items[:, :-1], items[:, 1:]
        positions = torch.arange(given.shape[1], device=items.device)
        asked = (wanted > 0) & (positions[None] >= scored[:, None])
        query = self.states(chosen.lookup(given), titles, given > 0)[asked]
        match = None if self.match is None else self.match.prefix(given)[asked]
        return self.scored(chosen, query, match, wanted[asked])

    def query(self: Any, items: torch.Tensor, lengths: torch.Tensor, titles: torch.Tensor | None = None) -> torch.Tensor:
        """State after the last track of playlists int64 [B, T]: [B, H]."""
        flat = self.vectors(items.flatten()).view(*items.shape, -1) * (items > 0)[..., None]
        return self.gather_indexes(self.states(flat, titles), (lengths - 1).clamp(min=0))

    def seeds_kept(self: Any) -> int:
        return int(self.max_seq_length)

    def forward(self: Any, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        return self.query(item_seq, item_seq_len)

    def calculate_loss(self: Any, interaction: Any) -> torch.Tensor:
        """RecBole's own batches (one target a row), under its Trainer."""
        scores = all_scores(self, self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]), interaction[self.ITEM_SEQ])
        return F.cross_entropy(scores, interaction[self.POS_ITEM_ID])

    def full_sort_predict(self: Any, interaction: Any) -> torch.Tensor:
        return all_scores(self, self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]), interaction[self.ITEM_SEQ])


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

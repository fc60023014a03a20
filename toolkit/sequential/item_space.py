"""Item space of a network, which maps track ids to input vectors and hidden states to scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.sequential.layers.late_streams import LateFusion, LateNorm
from toolkit.sequential.losses.loss_scores import Scores

if TYPE_CHECKING:
    from toolkit.fusion.item_table import ItemTable
    from toolkit.sequential.heads.match_head import MatchHead
    from toolkit.sequential.losses.negative_sampler import Sample


@dataclass(frozen=True)
class Step:
    """Scores of a training step at n positions, with the column of each position's target, int64 [n]."""

    scores: Scores
    targets: torch.Tensor


@dataclass(frozen=True)
class Parts:
    """Parts around the layers of a network, as chosen in a recipe.

    - played: bool [V + 1], tracks in training playlists. Free ids of other tracks are not trained and are left out of
      item vectors and of the training softmax. None: every id counts, as in RecBole.
    - id_embedding: whether items have free ids.
    - id_dropout: share of items whose free id is dropped in a training step.
    - title_dim: dimension of title vectors; 0 for a network that does not read titles.
    - untied: whether the output head has its own vectors.
    - log_plays: log(1 + plays) [V + 1] for a popularity bias; None for no such bias.
    - xavier: whether matrices are initialised by Xavier's rule.
    - identity: whether BERT4Rec's path to a mask is initialised with identity matrices.
    - strict: whether BERT4Rec hides, predicts and ranks as RecBole does.
    - late: whether the ids and each modality have their own layers instead of shared layers for their sum.
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

    @property
    def separates(self) -> bool:
        """Whether the network has several streams for late fusion."""
        return self.late and self.table is not None

    @property
    def streams(self) -> int:
        """Number of layer stacks."""
        return len(self.table.names) + self.id_embedding if self.late and self.table is not None else 1

    @property
    def late_norm(self) -> LateNorm:
        """Where late fusion has a LayerNorm."""
        return self.table.fusion.late_norm if self.table is not None and self.regularises else "none"

    @property
    def regularises(self) -> bool:
        """Whether sums and projections are normalised."""
        return self.table is None or self.table.fusion.regularise


@dataclass(frozen=True)
class Candidates:
    """Candidate tracks of a step, as ids int64 [C] in ascending order and vectors [C, H].

    - shared: int64 [K], tracks that are candidates at every position; None: all candidates.
    - log_q: float [K], log probability that each shared track is in the sample.
    """

    ids: torch.Tensor
    rows: torch.Tensor
    shared: torch.Tensor | None
    log_q: torch.Tensor | None

    def local(self, items: torch.Tensor) -> torch.Tensor:
        """Return the positions in `ids` of tracks of the step. Positions of padding are arbitrary."""
        return torch.searchsorted(self.ids, items.contiguous())

    def lookup(self, items: torch.Tensor) -> torch.Tensor:
        """Return the vectors [B, T, H] of tracks of the step. Padding is zero."""
        return F.embedding(self.local(items), self.rows) * (items > 0)[..., None]


class ItemSpace:
    """Free ids, content, heads and biases of one network.

    Parameters and buffers are registered on the network, under their names in RecBole's checkpoints and saved models.

    - ids: free id vectors [V + 1 or more, H].
    - n_items: V + 1.
    - std: standard deviation of random initial values.
    - late: the stacks of all streams but the first; None for one stream.
    - own_bias: [V + 1], the architecture's own bias.
    - start: initialises what is registered so far. The title projection and the untied head are initialised later.
    """

    def __init__(
        self,
        network: nn.Module,
        ids: nn.Embedding,
        parts: Parts,
        *,
        n_items: int,
        std: float,
        late: LateFusion | None,
        start: Callable[[], None],
        own_bias: nn.Parameter | None = None,
    ) -> None:
        self.ids, self.n_items, self.std, self.own_bias = ids, n_items, std, own_bias
        self.table, self.match, self.late = parts.table, parts.match, late
        self.id_embedding, self.id_dropout = parts.id_embedding, parts.id_dropout
        # the registry, not its tensors: `Module.to` replaces these. Nor the network: a reference cycle would keep a
        # network that is no longer used in memory until the next garbage collection
        self._buffers = network._buffers
        for name, module in (("item_table", self.table), ("match", self.match)):
            network.add_module(name, module)
        # RecBole's softmax holds the padding id too; without `played` ours does as well
        first = 0 if parts.played is None else 1
        played = np.ones(n_items, bool) if parts.played is None else parts.played
        gate = torch.from_numpy(played.astype(np.float32) * parts.id_embedding)
        network.register_buffer("id_gate", gate[:, None], persistent=False)
        network.register_buffer(
            "candidates", torch.from_numpy(np.flatnonzero(played[first:]) + first), persistent=False
        )
        network.add_module("late", late)
        start()
        hidden, log_plays = ids.embedding_dim, parts.log_plays
        if log_plays is not None:
            network.register_buffer("log_plays", torch.from_numpy(log_plays.astype(np.float32)))
        self.popularity = None if log_plays is None else nn.Parameter(torch.tensor(0.5))
        network.register_parameter("popularity", self.popularity)
        self.title_projection = self._head(parts.title_dim, hidden) if parts.title_dim else None
        network.add_module("title_projection", self.title_projection)
        self.output_head = self._head(hidden, n_items) if parts.untied else None
        network.add_module("output_head", self.output_head)

    def _head(self, inputs: int, outputs: int) -> nn.Linear:
        head = nn.Linear(inputs, outputs, bias=False)
        nn.init.normal_(head.weight, std=self.std)
        return head

    def _buffer(self, name: str) -> torch.Tensor:
        tensor = self._buffers[name]
        assert tensor is not None
        return tensor

    @property
    def candidates(self) -> torch.Tensor:
        """Ids of the tracks in the full training softmax, int64 [C]."""
        return self._buffer("candidates")

    def open_gate(self, tracks: np.ndarray) -> None:
        """Add the free ids of unplayed tracks, int64 [c], to item vectors, like trained ids."""
        self._buffer("id_gate")[torch.from_numpy(tracks)] = 1.0

    @torch.no_grad()
    def start_ids(self, vectors: np.ndarray) -> None:
        """Initialise free ids with `vectors` float32 [V + 1, H], scaled to random values, unless all are zero."""
        if vectors.any():
            scale = self.std / max(float(vectors[vectors.any(axis=1)].std()), 1e-12)
            self.ids.weight[: len(vectors)].copy_(torch.from_numpy(vectors * scale))

    def use_sparse_gradients(self) -> None:
        """Use row-sparse gradients, for `RowAdamW`, in tables with a vector for each track."""
        for module in (self.ids, *(() if self.table is None else self.table.modules())):
            if isinstance(module, nn.Embedding):
                module.sparse = True

    def release(self) -> None:
        """Release the memory pages of memory-mapped content."""
        for part in (self.table, self.match):
            if part is not None:
                part.release()

    def vectors(self, items: torch.Tensor) -> torch.Tensor:
        """Return vectors [n, H] of items int64 [n], the sum of trained free ids and content.

        Under late fusion the vectors of all streams are concatenated to [n, streams · H].
        """
        vectors = self.ids(items) * self._gate(items)
        if self.table is None:
            return vectors
        if self.late is None:
            return vectors + self.table(items)
        content = self.table.streams(items)
        return torch.cat([vectors, content], dim=-1) if self.id_embedding else content

    def _gate(self, items: torch.Tensor) -> torch.Tensor:
        gate = self._buffer("id_gate")[items]
        if self.ids.training and self.id_dropout and self.table is not None:
            # without rescaling: a track whose id is dropped must look like one that never had an id
            gate = gate * (torch.rand(len(items), 1, device=items.device) >= self.id_dropout)
        return gate

    def inputs(self, items: torch.Tensor) -> torch.Tensor:
        """Return the vectors [B, T, H] of playlists int64 [B, T]. Padding is zero."""
        return self.vectors(items.flatten()).view(*items.shape, -1) * (items > 0)[..., None]

    def output_rows(self, items: torch.Tensor, vectors: torch.Tensor | None = None) -> torch.Tensor:
        """Return rows of the output head [n, H], for a tied head the item vectors summed over streams.

        - vectors: item vectors of `items`, if already computed.
        """
        vectors = self.vectors(items) if vectors is None else vectors
        if self.output_head is not None:
            return F.embedding(items, self.output_head.weight, sparse=self.ids.sparse)
        return vectors if self.late is None else vectors.unflatten(-1, (-1, self.ids.embedding_dim)).sum(-2)

    def bias(self, items: torch.Tensor) -> torch.Tensor | None:
        """Return the bias of each item [n], or None for a network without a bias."""
        bias = None if self.own_bias is None else self.own_bias[items]
        if self.popularity is None:
            return bias
        plays = self.popularity * self._buffer("log_plays")[items]
        return plays if bias is None else bias + plays

    def choose(self, items: torch.Tensor, sample: Sample | None) -> Candidates:
        """Return the candidates of a step, all trained tracks or those of windows int64 [B, T] and `sample`."""
        if sample is None:
            return Candidates(self.candidates, self.vectors(self.candidates), None, None)
        drawn = sample.draw(self.candidates)
        ids = torch.cat([items[items > 0], drawn]).unique()
        if sample.own:
            return Candidates(ids, self.vectors(ids), None, sample.log_q(ids))
        drawn = drawn.unique()
        return Candidates(ids, self.vectors(ids), torch.searchsorted(ids, drawn), sample.log_q(drawn))

    def scored(
        self, chosen: Candidates, query: torch.Tensor, match: torch.Tensor | None, targets: torch.Tensor
    ) -> Step:
        """Return the scores of a step's candidates, with track ids int64 [n] as `targets`.

        - query: states [n, H]. match: queries of the match head [n, D], if the network has one.
        """
        output, bias, local = self.output_rows(chosen.ids, chosen.rows), self.bias(chosen.ids), chosen.local(targets)
        content = None if match is None or self.match is None else self.match.rows(chosen.ids)
        if chosen.shared is None:
            return Step(Scores(query, output, match, content, _corrected(bias, chosen.log_q)), local)
        # candidates are the shared sample: each position's target is scored for itself, in a column beside them
        gold = (query * F.embedding(local, output)).sum(1)
        if match is not None and content is not None:
            gold = gold + (match * content[local]).sum(1)
        if bias is not None:
            gold, bias = gold + bias[local], bias[chosen.shared]
        content, shared = None if content is None else content[chosen.shared], chosen.shared
        column = torch.searchsorted(shared, local).clamp(max=len(shared) - 1)
        hit = torch.where(shared[column] == local, column, len(shared))
        bias = _corrected(bias, chosen.log_q)
        scores = Scores(query, F.embedding(shared, output), match, content, bias, gold, hit)
        return Step(scores, torch.full_like(local, len(shared)))

    def all_scores(self, query: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return scores [n, V + 1] of every item for states [n, H] of playlists int64 [n, T], for RecBole's trainer."""
        every = torch.arange(self.n_items, device=query.device)
        output = self.output_rows(every)
        match = None if self.match is None else self.match.whole(items)
        content = None if self.match is None else self.match.rows(every)
        return Scores(query, output, match, content, self.bias(every)).logits()

    def weights(self) -> list[tuple[str, str, str, float]]:
        """Return the learned weights of modalities as tuples (part, label in reports, modality, value).

        The part is the join, with the mean share of a track's vector; `stream`, with the factor of the modality's
        stack, or the mean gain of its LayerNorm; or `match`, with the weight in the match head.
        """
        rows: list[tuple[str, str, str, float]] = []
        if self.table is not None and (shares := self.table.fusion.join.shares) is not None:
            rows += [(shares.of, shares.label, *pair) for pair in self.table.shares().items()]
        if self.table is not None and self.late is not None:
            streams = zip([*(["(ids)"] * self.id_embedding), *self.table.names], self.late.weights(), strict=True)
            rows += [("stream", "factor of its stack", *pair) for pair in streams]
        if self.match is not None:
            rows += [("match", "weight in the match head", *pair) for pair in self.match.weights().items()]
        return rows

    def reorder(self, modality: str, order: torch.Tensor) -> None:
        """Give each track the vector of track `order[track]`, int64 [V + 1], in a modality."""
        for part in (self.table, self.match):
            if part is not None and modality in part.names:
                part.reorder(modality, order)


def _corrected(bias: torch.Tensor | None, log_q: torch.Tensor | None) -> torch.Tensor | None:
    """Return the bias minus the log probability of being sampled; None without both."""
    if log_q is None:
        return bias
    return -log_q if bias is None else bias - log_q

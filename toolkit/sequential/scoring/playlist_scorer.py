"""Scorer of playlists by a fitted network, for scores, top tracks and ranks of targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch

from toolkit import devices
from toolkit.corpus.queries import Queries
from toolkit.encoders.contract.encoder import Encoder
from toolkit.errors import InputError
from toolkit.ranker import Ranker, Scorer
from toolkit.recipe import Fusion, ModelSpec
from toolkit.sequential.heads.neighbour_head import Neighbours
from toolkit.sequential.scoring.approximate_index import ApproximateIndex
from toolkit.sequential.scoring.exact_ranks import Rows, exact_ranks
from toolkit.sequential.scoring.exact_top_k import exact_top_k, exact_top_ranks

if TYPE_CHECKING:
    from toolkit.sequential.network import Network

Encoded = tuple[torch.Tensor, torch.Tensor | None, sp.csc_matrix | None]

QUERY_BLOCK = 512
SEARCHED = 64
"""With this many times as many items as ranks to count, a bound discards the others instead of counting them."""


class PlaylistScorer(Ranker):
    """Scores and rankings by a network with its neighbours and titles.

    - model: the network. Call `forget` after every change of its weights.
    - played: bool [V + 1], tracks in training playlists.
    """

    model: Network
    played: np.ndarray

    def __init__(self, spec: ModelSpec, fusion: Fusion, titles: Encoder | None) -> None:
        self.spec, self.fusion, self.title_encoder = spec, fusion, titles
        self.neighbours: Neighbours | None = None
        self._table: torch.Tensor | None = None
        self._index: ApproximateIndex | None = None
        self._encoded: list[tuple[Queries, Encoded]] | None = None

    def forget(self) -> None:
        """Drop the item rows computed from the weights. They are recomputed when required."""
        self._table = None

    @property
    def n_items(self) -> int:
        return self.model.space.n_items - 1

    @property
    def device(self) -> torch.device:
        return self.model.space.ids.weight.device

    @property
    def ranks_unplayed(self) -> bool:
        """Whether unplayed tracks are ranked, which requires content and a shared space.

        RecBole's models rank every id.
        """
        return self.spec.ranks_every_id or (self.model.space.table is not None and self.spec.cold_rows != "none")

    @torch.inference_mode()
    def scorer(self, queries: Queries) -> Scorer:
        return self._scorer(*self._encode(queries))

    def _scorer(self, states: torch.Tensor, matches: torch.Tensor | None, near: sp.csc_matrix | None) -> Scorer:
        """Return the scorer of queries that `_encode` has read."""
        table, bias, head = self._item_rows(), self._bias(), self.model.space.match

        @torch.inference_mode()
        def score(items: np.ndarray) -> np.ndarray:
            chosen = torch.from_numpy(np.ascontiguousarray(items, np.int64)).to(self.device)
            scores = states @ table[chosen].T
            if matches is not None and head is not None:
                scores += matches @ head.rows(chosen).T
            if near is not None:
                scores += torch.from_numpy(near[:, items].toarray()).to(self.device)
            if bias is not None:
                scores += bias[chosen]
            if not self.ranks_unplayed:
                scores[:, ~torch.from_numpy(self.played[items]).to(self.device)] = -torch.inf
            return scores.float().cpu().numpy()

        return score

    @property
    def _uses_neighbours(self) -> bool:
        """Whether scores have a sparse part that no product with item rows contains."""
        return self.neighbours is not None and self.neighbours.weight > 0

    @torch.inference_mode()
    def approximate(self, *, probes: int = 16) -> ApproximateIndex:
        """Build an index that `rank` uses until the next fit, for services. `target_ranks` remains exact.

        Raises `InputError` for a model with neighbours, and `MissingPackage` without faiss.
        """
        if self._uses_neighbours:
            raise InputError("an approximate index requires a model without neighbours: train with `neighbours: 0`")
        _, rows, items, _ = self._product(Queries.of([[]]), False)
        self._index = ApproximateIndex(rows, items, probes=probes)
        return self._index

    @torch.inference_mode()
    def rank(
        self, queries: Queries, k: int, *, allow_repeats: bool = False, block: int = 16_384
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._uses_neighbours:
            return super().rank(queries, k, allow_repeats=allow_repeats, block=block)
        query, rows, items, seeds = self._product(queries, allow_repeats)
        if self._index is not None:
            scores, ids = self._index.top_k(query, rows, seeds, k)
        else:
            dtype = torch.bfloat16 if devices.has_bf16(str(self.device)) else torch.float32
            scores, ids = exact_top_k(query, rows, items, seeds, k, block=block, compute=dtype)
        return ids.cpu().numpy().astype(np.int32), scores.cpu().numpy()

    @torch.inference_mode()
    def target_ranks(
        self,
        queries: Queries,
        targets: np.ndarray,
        *,
        limit: int | None = None,
        allow_repeats: bool = False,
        block: int = 16_384,
    ) -> np.ndarray:
        if self._uses_neighbours:
            return super().target_ranks(queries, targets, limit=limit, allow_repeats=allow_repeats, block=block)
        query, rows, items, seeds = self._product(queries, allow_repeats)
        ids = torch.from_numpy(targets.astype(np.int64)).to(self.device)
        low = limit is not None and devices.has_bf16(str(self.device))
        dtype = torch.bfloat16 if low else torch.float32
        if limit is not None and SEARCHED * limit <= len(items):
            return exact_top_ranks(query, rows, items, ids, seeds, limit, block=block, compute=dtype).cpu().numpy()
        return exact_ranks(query, rows, items, ids, seeds, limit=limit, block=block, compute=dtype).cpu().numpy()

    def _product(
        self, queries: Queries, allow_repeats: bool
    ) -> tuple[torch.Tensor, Rows, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return queries [B, D] and item rows with scores as their product, the ids of ranked items, and the seeds.

        The scores of neighbours are not included. Seeds are rows int64 [s] and items int64 [s] to leave out.
        """
        states, matches, _ = self._encode(queries)
        table, bias, head = self._item_rows(), self._bias(), self.model.space.match
        ones = None if bias is None else torch.ones(len(states), 1, device=self.device)

        def rows(ids: torch.Tensor | slice) -> torch.Tensor:
            match = None if matches is None or head is None else head.rows(ids)
            return _beside(table[ids], match, None if bias is None else bias[ids, None])

        items = np.arange(1, self.n_items + 1) if self.ranks_unplayed else np.flatnonzero(self.played[1:]) + 1
        seen = queries.part(0, 0 if allow_repeats else len(queries)).matrix(self.n_items).tocoo()
        ids, owners, left_out = (
            torch.from_numpy(each.astype(np.int64)).to(self.device) for each in (items, seen.row, seen.col)
        )
        return _beside(states, matches, ones), rows, ids, (owners, left_out)

    def _encode(self, queries: Queries) -> Encoded:
        """Return states [B, H], match queries [B, D] and scores of neighbours [B, V + 1], computed in blocks."""
        if self._encoded is None:
            return self._encode_blocks(queries)
        if not self._encoded or self._encoded[0][0] is not queries:
            self._encoded[:] = [(queries, self._encode_blocks(queries))]
        return self._encoded[0][1]

    def _encode_blocks(self, queries: Queries) -> Encoded:
        self.model.eval()
        objective, head = self.model.objective, self.model.space.match
        states, matches, near = [], [], []
        for start in range(0, len(queries), QUERY_BLOCK):
            part = queries.part(start, min(start + QUERY_BLOCK, len(queries)))
            ids, lengths = part.last(objective.seeds_kept())
            items = torch.from_numpy(ids).to(self.device)
            titles = None
            if self.title_encoder is not None:
                titles = torch.from_numpy(self._titles(part.titles or [None] * len(part))).to(self.device)
            # the heads are sums over seeds and read all of them, the layers the last `max_length`. An unplayed seed of
            # a model without content adds nothing, but keeps its position
            states.append(objective.query(items, torch.from_numpy(lengths).to(self.device), titles))
            if head is not None:
                matches.append(head.bags(torch.tensor(part.seeds, device=self.device), torch.tensor(part.offsets)))
            if self.neighbours is not None:
                near.append(self.neighbours.scores(part.seeds, part.offsets))
        empty = torch.zeros(0, self.spec.hidden_size, device=self.device)
        stacked = sp.vstack(near, format="csc") if near else None
        return (torch.cat(states) if states else empty), (torch.cat(matches) if matches else None), stacked

    def _bias(self) -> torch.Tensor | None:
        return self.model.space.bias(torch.arange(self.n_items + 1, device=self.device))

    def _item_rows(self) -> torch.Tensor:
        """Return the rows of the output head for every ranked item [V + 1, H].

        The rows are the weights themselves, or are computed once after a fit or load.
        """
        space = self.model.space
        if space.table is None and not self.ranks_unplayed and self.spec.head == "tied":
            return space.ids.weight.detach()[: self.n_items + 1]
        if self._table is None:
            every = torch.arange(self.n_items + 1, device=self.device)
            # filled in place: concatenated from blocks, a table of millions of rows would be in memory twice
            self._table = torch.empty(len(every), self.spec.hidden_size, device=self.device)
            for part in every.split(65_536):
                self._table[part[0] : part[-1] + 1] = space.output_rows(part)
                space.release()
        return self._table

    def _titles(self, titles: Sequence[str | None]) -> np.ndarray:
        """Return title vectors float32 [n, d], zero without a title. Each distinct title is encoded once."""
        assert self.title_encoder is not None
        known = sorted({title for title in titles if title})
        vectors = np.zeros((len(known) + 1, self.title_encoder.dim), np.float32)
        if known:
            vectors[1:] = self.title_encoder.transform(known)
        row = {title: index for index, title in enumerate(known, start=1)}
        return vectors[[row.get(title or "", 0) for title in titles]]


@contextmanager
def encoded_once(scorer: PlaylistScorer) -> Iterator[None]:
    """Keep the last encoding within the block, where weights must not change, for uses of the same `Queries` object."""
    scorer._encoded = []
    try:
        yield
    finally:
        scorer._encoded = None


def _beside(*columns: torch.Tensor | None) -> torch.Tensor:
    """Concatenate the columns that are not None into a float32 matrix."""
    return torch.cat([each.float() for each in columns if each is not None], 1)

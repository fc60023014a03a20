"""TransRec, a model with a point for each track and a translation from each track to the next.

He, Kang and McAuley 2017, "Translation-based recommendation", RecSys, section 3: p(j | u, i) grows with β_j - |γ_i + t
+ t_u - γ_j|², learned by sequential Bayesian personalised ranking, with vectors in the unit ball. `transrec` also has a
vector t_u for each training playlist, which can be used under `leave_last_out`. `transrec-global` has only the global
translation t.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.sparse_products import minus_inf_outside
from toolkit.baselines.validation_recall import hidden_matrix, recalls
from toolkit.contracts.learning import Learning, sample_rows
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats, integers
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.choose_weight import sample_evenly
from toolkit.evaluation.early_stopping import merits
from toolkit.evaluation.log_rank import HitCount
from toolkit.ranker import Capabilities, Scorer, TrainingData

if TYPE_CHECKING:
    import torch

VALIDATED = 1000
"""Validation playlists by which training stops early, at most."""


class TransRecParams(BaselineParams):
    dim: int = Field(64, ge=1)
    regularisation: float = Field(0.01, ge=0, description="weight of the squared norms of biases and playlist vectors")
    learning_rate: float = Field(0.01, gt=0)
    batch: int = Field(4096, ge=1, description="pairs of successive tracks in a step")
    epochs: int = Field(60, ge=1)
    patience: int = Field(
        3, ge=1, description="validations (one every four epochs) without improvement before training stops"
    )


class TransRecGlobal(Baseline):
    """Ranks tracks by their distance to the last seed plus one translation vector for all playlists (TransRec).

    Score of track j after the last seed i that has a vector: β_j - |γ_i + t - γ_j|².

    Unplayed tracks have no vector and cannot be ranked (-inf). If all seeds are unplayed, no track can be ranked.

    State: points float32 [V + 1, d], biases [V + 1], translation [d], played bool [V + 1].
    """

    name = "transrec-global"
    Params = TransRecParams
    capabilities = Capabilities(playlist_tracks=2)
    grid = {"regularisation": [0.001, 0.01, 0.1], "dim": [32, 128]}
    own: bool = False
    """Whether each training playlist has a vector."""

    def learn(self, data: TrainingData) -> State:
        training = _TransRecTraining(self, data)
        state = training.run(sample_evenly(data.valid, VALIDATED) if data.valid else None)
        self.learning = training.learning()
        return state

    def layout(self, names: Collection[str]) -> Layout:
        return {
            "points": floats(TRACKS, "dim"),
            "biases": floats(TRACKS),
            "translation": floats("dim"),
            "played": flags(TRACKS),
        }

    def scorer(self, queries: Queries) -> Scorer:
        points, biases, played = self.state["points"], self.state["biases"], self.state["played"]
        last = queries.last_of(played)
        at = points[last] + self.state["translation"] + self._own(queries)
        offset = biases - np.square(points).sum(axis=1)
        lengths = np.square(at).sum(axis=1)

        def score(items: np.ndarray) -> np.ndarray:
            scores = np.asarray(2.0 * (at @ points[items].T) + offset[items] - lengths[:, None], np.float32)
            return minus_inf_outside(scores, last > 0, played[items])

        return score

    def _own(self, queries: Queries) -> np.ndarray | float:
        """Return the vector of each query's own playlist: float32 [B, d]."""
        return 0.0


class TransRec(TransRecGlobal):
    """Ranks tracks by their distance to the last seed plus a translation vector of the playlist (TransRec).

    A query that is not a training playlist has only the global translation.

    State: also own float32 [n, d] and rows int64 [n], the corpus rows of these vectors in ascending order.
    """

    name = "transrec"
    own = True
    capabilities = Capabilities(playlist_tracks=2, training_playlists_only=True, counterpart=TransRecGlobal.name)

    def layout(self, names: Collection[str]) -> Layout:
        return {**super().layout(names), "own": floats("playlists", "dim"), "rows": integers("playlists")}

    def _own(self, queries: Queries) -> np.ndarray | float:
        if queries.rows is None or not len(queries):
            return 0.0
        rows = self.state["rows"]
        at = np.minimum(np.searchsorted(rows, queries.rows), len(rows) - 1)
        return np.where((rows[at] == queries.rows)[:, None], self.state["own"][at], np.float32(0))


class _TransRecTraining:
    """Training of TransRec, with its parameters, optimiser and all pairs of successive tracks.

    `pairs` is int64 [3, n]: playlist, track and next track of each pair.
    """

    def __init__(self, ranker: TransRecGlobal, data: TrainingData) -> None:
        import torch

        from toolkit.encoders.learning.weight_distance import WeightStart

        self.ranker, self.data, self.params = ranker, data, ranker.params
        self.device = devices.device(data.device)
        self.draw = torch.Generator().manual_seed(data.seed % 2**63)
        items, offsets = data.train.flat()
        playlist = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        first = np.flatnonzero(playlist[1:] == playlist[:-1])
        self.pairs = torch.from_numpy(np.stack([playlist[first], items[first], items[first + 1]]).astype(np.int64))
        self.counts = data.train.counts()
        self.candidates = torch.from_numpy(np.flatnonzero(self.counts))
        size, dim = data.n_items + 1, self.params.dim
        start = torch.randn((size, dim), generator=self.draw) / dim**0.5
        self.points = self._parameter(start / start.norm(dim=1, keepdim=True).clamp(min=1.0))
        self.biases, self.translation = self._parameter(torch.zeros(size)), self._parameter(torch.zeros(dim))
        self.own = self._parameter(torch.zeros(len(data.train), dim)) if ranker.own else None
        self.learned = [self.points, self.biases, self.translation, *([self.own] if self.own is not None else [])]
        self.start, self.loss = WeightStart(self.learned), math.inf
        self.optimiser = torch.optim.Adam(self.learned, lr=self.params.learning_rate)
        order = np.argsort(data.train.rows, kind="stable")
        self.order, self.rows = order, np.asarray(data.train.rows, np.int64)[order]

    def run(self, valid: HeldOut | None) -> State:
        """Train for all epochs, or until Recall@50 on validation stops rising, and return the best state.

        With few hits, epochs are compared by the mean log rank of hidden tracks instead.
        """
        best, highest, waited = self.state(), -np.inf, 0
        curve: list[dict[str, float]] = []
        self.ranker.curve = curve
        for epoch in range(1, self.params.epochs + 1):
            self._epoch()
            if valid is None or epoch % 4:
                continue
            self.ranker._state, self.ranker._n_items = self.state(), self.data.n_items
            curve.append({"epoch": epoch, **self._validated(valid)})
            merit = merits(curve, "recall@50")[-1]
            waited = 0 if merit > highest else waited + 1
            if merit > highest:
                best, highest = self.ranker._state, merit
            if waited >= self.params.patience:
                return best
        return best if curve else self.state()

    def _validated(self, valid: HeldOut) -> dict[str, float]:
        queries = valid.queries()
        ids, _ = self.ranker.rank(queries, 50)
        count = HitCount(self.ranker, 50, self.counts > 0)
        count.add(valid, queries, ids)
        return {"recall@50": float(recalls(ids, hidden_matrix(valid)).mean()), **count.values()}

    def _epoch(self) -> None:
        import torch

        total = 0.0
        order = torch.randperm(self.pairs.shape[1], generator=self.draw)
        for start in range(0, len(order), self.params.batch):
            playlist, track, follows = self.pairs[:, order[start : start + self.params.batch]]
            negative = self.candidates[torch.randint(len(self.candidates), (len(track),), generator=self.draw)]
            loss = self._step(*(part.to(self.device) for part in (playlist, track, follows, negative)))
            total += loss * len(track)
        self.loss = total / len(order)

    def learning(self) -> Learning:
        """Return the record of the last epoch. A model that scores all tracks alike has the loss ln 2."""
        rows = self.candidates[sample_rows(len(self.candidates))].to(self.device)
        found = Learning(self.loss, math.log(2), self.start.distance(self.learned))
        return found.of_vectors(self.points.detach()[rows].cpu().numpy())

    def _step(
        self, playlist: torch.Tensor, track: torch.Tensor, follows: torch.Tensor, negative: torch.Tensor
    ) -> float:
        """Take a step, and return its loss without the penalty."""
        import torch

        at = self.points[track] + self.translation
        penalty = self.biases[follows].square().mean() + self.biases[negative].square().mean()
        if self.own is not None:
            at = at + self.own[playlist]
            penalty = penalty + self.own[playlist].square().sum(dim=1).mean()
        better = self.biases[follows] - (at - self.points[follows]).square().sum(dim=1)
        worse = self.biases[negative] - (at - self.points[negative]).square().sum(dim=1)
        loss = -torch.nn.functional.logsigmoid(better - worse).mean()
        self.optimiser.zero_grad(set_to_none=True)
        (loss + self.params.regularisation * penalty).backward()
        self.optimiser.step()
        with torch.no_grad():  # all points: Adam's momentum still moves those of earlier steps
            self.points.div_(self.points.norm(dim=1, keepdim=True).clamp(min=1.0))
        return float(loss.detach())

    def state(self) -> State:
        """Return a copy of the ranker's state."""
        learned = {"points": self.points, "biases": self.biases, "translation": self.translation}
        state = {name: value.detach().cpu().numpy().copy() for name, value in learned.items()}
        state["played"] = self.counts > 0
        if self.own is not None:
            state |= {"own": self.own.detach().cpu().numpy()[self.order].copy(), "rows": self.rows}
        return state

    def _parameter(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.device).requires_grad_()

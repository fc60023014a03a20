"""Two-tower ranker with a network for the tracks of a user and a network for the content of candidates.

As in Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus item recommendations", the other tracks
of a batch are the negatives, and the log of a track's share of all plays is subtracted from its logit. A user is the
mean of the played tracks. A played track is represented by content and factors, a candidate by content alone, so played
and unplayed candidates are comparable.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from toolkit import devices
from toolkit.baselines.baseline import Baseline, State
from toolkit.coldstart.cold_ranker import (
    COLD_START,
    FactorParams,
    concatenated_columns,
    factor_scorer,
    factors_of,
)
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats
from toolkit.corpus.queries import Queries
from toolkit.encoders.contract.content_hash import combined
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.packages import IMPLICIT
from toolkit.ranker import Scorer, TrainingData
from toolkit.seeds import derived_seed, seeded_weights


class TwoTowerParams(FactorParams):
    """Parameters of the towers and their training.

    - dim: dimension of both outputs, which have unit norm.
    - hidden: units of each preceding layer.
    - temperature: divisor of the cosines.
    - seeds: tracks drawn from a playlist to represent its user in training.
    - batch: pairs of a playlist and a hidden track in a step.
    """

    dim: int = Field(64, ge=1)
    hidden: list[Annotated[int, Field(ge=1)]] = [256]
    temperature: float = Field(0.1, gt=0)
    seeds: int = Field(20, ge=1)
    epochs: int = Field(10, ge=1)
    batch: int = Field(256, ge=2)
    lr: float = Field(1e-3, gt=0)


class TwoTower(Baseline):
    """Ranks tracks by the cosine between vectors of users and tracks, from two networks over content and factors.

    Score: cosine of the user's vector and the track's vector, or -inf for a track without content and for a user
    without a known track.

    State: items and queries float32 [V + 1, dim], ranked and heard bool [V + 1]: the tracks with such a vector.
    """

    name = "two-tower"
    Params = TwoTowerParams
    requires = (IMPLICIT,)
    capabilities = replace(COLD_START, playlist_tracks=2)

    def learn(self, data: TrainingData) -> State:
        factors = factors_of(data, self.params.factors)
        content, ranked = concatenated_columns(data.modalities, factors.known)
        known, heard = concatenated_columns(
            {**data.modalities, "factors": Modality("factors", factors.items, factors.known)}, factors.known
        )
        items, queries = self._towers(data, content, known, ranked)
        return {"items": items * ranked[:, None], "queries": queries * heard[:, None], "ranked": ranked, "heard": heard}

    def _towers(
        self, data: TrainingData, content: np.ndarray, known: np.ndarray, ranked: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train both towers, and return vectors of candidates and of played tracks, float32 [V + 1, dim] each."""
        import torch

        from toolkit.coldstart.two_tower_network import Towers
        from toolkit.encoders.learning.train_network import Schedule, train

        params, device = self.params, devices.device(data.device)
        tracks, offsets = data.train.flat()
        lengths = np.diff(offsets)
        targets = np.flatnonzero(ranked[tracks] & (np.repeat(lengths, lengths) > 1))
        if not len(targets):
            raise InputError(
                "two-tower requires playlists of 2 training tracks with content, but there are 0: add content"
            )
        starts = torch.from_numpy(np.repeat(offsets[:-1], lengths)[targets])
        sizes, positions = torch.from_numpy(np.repeat(lengths, lengths)[targets]), torch.from_numpy(targets)
        model = seeded_weights(
            lambda: Towers(content, known, tracks, params.hidden, params.dim, params.seeds, params.temperature),
            derived_seed(data.seed, self.name, "weights"),
        )
        seed = derived_seed(data.seed, self.name, "train")
        about = json.dumps([self.name, params.model_dump(mode="json"), list(data.modalities)]).encode()
        arrays = (np.ascontiguousarray(array).data.cast("B") for array in (tracks, known))
        schedule = Schedule(params.epochs, params.batch, params.lr, 0.0, seed, device, combined(about, *arrays))

        def load(rows: np.ndarray) -> tuple[torch.Tensor, ...]:
            index = torch.from_numpy(rows)
            return starts[index], sizes[index], positions[index]

        train(model, load, len(targets), schedule, workdir=data.workdir, what=f"fit {self.name}")
        items, queries = model.all_tracks()
        self.learning = model.learning.of_task(content[ranked], known).of_vectors(items[ranked])
        return items, queries

    def layout(self, names: Collection[str]) -> Layout:
        vectors, which = floats(TRACKS, "dim"), flags(TRACKS)
        return {"items": vectors, "queries": vectors, "ranked": which, "heard": which}

    def scorer(self, queries: Queries) -> Scorer:
        seeds, state = queries.matrix(self.n_items), self.state
        users = np.asarray(seeds @ state["queries"], np.float32)
        users /= np.maximum(np.linalg.norm(users, axis=1, keepdims=True), 1e-12)
        known = np.asarray(seeds @ state["heard"].astype(np.float32)) > 0
        return factor_scorer(users, known, state["items"], state["ranked"])

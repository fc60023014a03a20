"""The content-user embedding model: users and sounds brought to one space, trained at once on who plays what.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018: a user's vector is a look-up
and a dense layer, a track's the output of a one-dimensional convolutional network over 3 s of log-mel spectrogram and a dense layer;
their score is the cosine. Max-margin loss with margin .2 over 20 tracks that the user did not play, Nesterov's momentum, a rate that
falls by 1e-6 a step. `id-item` is its variant whose tracks are looked up too, and which therefore knows only those of training.

Where this is not the paper's: the 20 tracks are drawn for a step, not for each pair, so that the network hears 20 more a step and not
20 times as many (one that a pair's user did play does not count there); a clip's windows are averaged as vectors when all tracks are
ranked; and a playlist that training does not hold, which the paper has none of, is the mean of its tracks' vectors.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, ValidationError

from segue_papers.encoders.log_mel import LogMelParams
from toolkit import devices
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.coldstart.cold_ranker import COLD_START, factor_scorer, single_modality
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.parameters import Parameters
from toolkit.ranker import Scorer, TrainingData
from toolkit.seeds import derived_seed, seeded_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from segue_papers.rankers.content_user_network import Pairs

TOGETHER = 256
"""Windows that go through the network at once when all tracks are embedded."""


class IdItemParams(BaselineParams):
    """width: of users' and tracks' vectors. epochs: over the placements of training. batch: pairs a step."""

    width: int = Field(256, ge=1)
    margin: float = Field(0.2, gt=0)
    negatives: int = Field(20, ge=1)
    lr: float = Field(0.2, gt=0)
    decay: float = Field(1e-6, ge=0)
    epochs: int = Field(20, ge=1)
    batch: int = Field(64, ge=1)


class ContentUserParams(IdItemParams):
    """filters, kernel, pool: of the convolutions, as of `mel-cnn-1d`."""

    filters: list[Annotated[int, Field(ge=1)]] = Field([128, 128, 128, 128, 256], min_length=1)
    kernel: int = Field(3, ge=1)
    pool: int = Field(3, ge=1)


class IdItem(Baseline):
    """Ranks played tracks by the cosine between learned vectors of users and tracks.

    Both are looked up; a track without a training placement cannot be ranked.

    State: users float32 [n, d] of the training playlists, rows int64 [n], their rows in the corpus, items float32 [V + 1, d], ranked bool
    [V + 1]. All vectors have length 1.
    """

    name = "id-item"
    Params: ClassVar[type[Parameters]] = IdItemParams
    capabilities = replace(COLD_START, content="none", cold_tracks=False)

    def learn(self, data: TrainingData) -> State:
        known = data.train.counts() > 0
        network = self._trained(data, known, lambda: _lookup(data.n_items + 1, self.params.width))
        every = np.flatnonzero(known)
        items = np.zeros((data.n_items + 1, self.params.width), np.float32)
        items[every] = _embedded(network.items, every, 4096)
        return self._state_of(data, network, items, known)

    def _trained(self, data: TrainingData, known: np.ndarray, items: Any) -> Pairs:
        """The network, learned from the placements of `known` tracks. items: makes what gives tracks their vectors."""
        from segue_papers.rankers.content_user_network import Pairs
        from toolkit.encoders.contract.content_hash import combined
        from toolkit.encoders.learning.train_network import Schedule, train

        params, device = self.params, devices.device(data.device)
        played = data.train.matrix()
        played.data *= known[played.indices]
        played.eliminate_zeros()
        if not played.nnz:
            raise InputError(
                f"{self.name}: no track with placements in training has what it learns from: nothing to learn"
            )
        weights = derived_seed(data.seed, self.name, "weights")
        network = seeded_weights(
            lambda: Pairs(items(), played, margin=params.margin, negatives=params.negatives, width=params.width),
            weights,
        )
        about = [params.model_dump_json().encode(), played.indices.tobytes(), played.indptr.tobytes()]
        schedule = Schedule(
            params.epochs,
            params.batch,
            params.lr,
            0.0,
            derived_seed(data.seed, self.name, "train"),
            device,
            combined(*about),
            optimizer="nesterov",
            decay=params.decay,
        )
        self.curve = train(network, network.pairs, played.nnz, schedule, workdir=data.workdir, what=f"fit {self.name}")
        return network

    def _state_of(self, data: TrainingData, network: Pairs, items: np.ndarray, ranked: np.ndarray) -> State:
        users = _embedded(network.users, np.arange(len(data.train)), 4096)
        return {"users": users, "rows": np.asarray(data.train.rows, np.int64), "items": items, "ranked": ranked}

    def users(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """Vectors float32 [B, d] of the queries' users, and bool [B]: who has any."""
        state = self.state
        seeds = queries.matrix(self.n_items)
        seeds.data *= state["ranked"][seeds.indices]
        found = _unit(seeds @ state["items"])
        met = np.asarray(seeds.sum(axis=1)).ravel() > 0
        if queries.rows is not None and len(state["rows"]):
            order = np.argsort(state["rows"], kind="stable")
            place = order[np.minimum(np.searchsorted(state["rows"][order], queries.rows), len(order) - 1)]
            own = state["rows"][place] == queries.rows
            found[own] = state["users"][place[own]]
            met |= own
        return found, met

    def scorer(self, queries: Queries) -> Scorer:
        return factor_scorer(*self.users(queries), self.state["items"], self.state["ranked"])


class ContentUser(IdItem):
    """Ranks tracks by the cosine between a user's vector and a vector computed from the track's audio.

    All tracks with audio are ranked, played or not. Needs one modality, made by the encoder `log-mel`.
    """

    name = "content-user"
    Params = ContentUserParams
    capabilities = COLD_START

    def learn(self, data: TrainingData) -> State:
        from segue_papers.rankers.content_user_network import Sounds

        modality, shape = _spectrogram(data.modalities)
        table = modality.matrix.reshape(len(modality.matrix), *shape)
        params = self.params
        taught = (data.train.counts() > 0) & modality.present

        def sounds() -> nn.Module:
            return Sounds(table, params.filters, kernel=params.kernel, pool=params.pool, width=params.width)

        network = self._trained(data, taught, sounds)
        every = np.flatnonzero(modality.present)
        items = np.zeros((len(table), params.width), np.float32)
        items[every] = _embedded(network.items, every, max(1, TOGETHER // shape[0]))
        return self._state_of(data, network, items, modality.present)


def _lookup(count: int, width: int) -> nn.Module:
    from segue_papers.rankers.content_user_network import LookUp

    return LookUp(count, width)


def _spectrogram(modalities: dict[str, Modality]) -> tuple[Modality, tuple[int, int, int]]:
    """The one modality, and the windows, bands and frames that its vectors are."""
    modality = single_modality("content-user", modalities)
    encoder, _, params = modality.encoder.partition(" ")
    try:
        shape = LogMelParams.model_validate(json.loads(params)).shape() if encoder == "log-mel" else None
    except (ValueError, ValidationError):
        shape = None
    if shape is None or int(np.prod(shape)) != modality.dim:
        raise InputError(
            f"content-user trains on spectrograms, and modality {modality.name!r} is of encoder {encoder!r}: give it log-mel"
        )
    return modality, shape


def _embedded(tower: Any, ids: np.ndarray, together: int) -> np.ndarray:
    """Vectors of length 1 of all `ids`, float32 [n, d]."""
    import torch

    tower.eval()
    with torch.inference_mode():
        parts: list[Tensor] = [
            tower.whole(torch.from_numpy(ids[at : at + together])).cpu() for at in range(0, len(ids), together)
        ]
    return torch.cat(parts).float().numpy() if parts else np.zeros((0, tower.width), np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)

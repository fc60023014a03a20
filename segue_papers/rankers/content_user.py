"""Content-user embedding model, with vectors of users and audio in one space, trained on plays.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018. A user's
vector is a look-up followed by a dense layer. A track's vector is the output of a one-dimensional convolutional network
over 3 s of log-mel spectrogram, followed by a dense layer. The score is the cosine. The loss is max-margin with margin
.2 over 20 tracks that the user did not play, trained with Nesterov momentum and a learning rate that decays by 1e-6 a
step. `id-item` is the variant with a look-up of tracks, which can rank only training tracks.

Differences from the paper: the 20 negatives are drawn once for a step, not for each pair, so a step reads 20 additional
tracks and not 20 times as many. A negative that the user of a pair did play does not count for the pair. When all
tracks are ranked, the vectors of a clip's windows are averaged. A playlist outside training, which the paper does not
have, is represented by the mean of its tracks' vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, ValidationError

from segue_papers.encoders.log_mel import LogMelParams
from toolkit import devices
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.coldstart.cold_ranker import COLD_START, factor_scorer, single_modality
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats, integers
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.parameters import Parameters
from toolkit.ranker import Scorer, TrainingData
from toolkit.seeds import derived_seed, seeded_weights

if TYPE_CHECKING:
    from torch import Tensor

    from segue_papers.rankers.content_user_network import LookUp, Pairs, Sounds

BLOCK_WINDOWS = 256
"""Windows that the network reads at once when all tracks are embedded."""


class IdItemParams(BaselineParams):
    """Parameters of both towers and their training.

    - width: dimension of user and track vectors.
    - margin, negatives: settings of the loss. Negatives are drawn for each step.
    - lr, decay: the rate at step s is lr / (1 + decay · s).
    - epochs, batch: passes over the training plays, and pairs in a step.
    """

    width: int = Field(256, ge=1)
    margin: float = Field(0.2, gt=0)
    negatives: int = Field(20, ge=1)
    lr: float = Field(0.2, gt=0)
    decay: float = Field(1e-6, ge=0)
    epochs: int = Field(20, ge=1)
    batch: int = Field(64, ge=1)


class ContentUserParams(IdItemParams):
    """Parameters of the network over audio.

    - filters, kernel, pool: settings of the convolutions, as in `mel-cnn-1d`.
    """

    filters: list[Annotated[int, Field(ge=1)]] = Field([128, 128, 128, 128, 256], min_length=1)
    kernel: int = Field(3, ge=1)
    pool: int = Field(3, ge=1)


class IdItem(Baseline):
    """Ranks played tracks by the cosine between learned vectors of users and tracks.

    Both vectors are looked up. Unplayed tracks cannot be ranked.

    State: users float32 [n, d] of the training playlists, rows int64 [n], their rows in the corpus, items float32 [V +
    1, d], ranked bool [V + 1]. All vectors have unit norm.
    """

    name = "id-item"
    Params: ClassVar[type[Parameters]] = IdItemParams
    capabilities = replace(COLD_START, content="none", cold_tracks=False)

    def learn(self, data: TrainingData) -> State:
        known = data.train.counts() > 0
        network = self._trained(data, known, lambda: _lookup(data.n_items + 1, self.params.width))
        return self._state_of(data, network, known, 4096)

    def _trained(self, data: TrainingData, known: np.ndarray, items: Callable[[], LookUp | Sounds]) -> Pairs:
        """Return the network, trained on the plays of `known` tracks.

        - items: creates the tower of tracks.
        """
        from segue_papers.rankers.content_user_network import Pairs
        from toolkit.encoders.contract.content_hash import combined
        from toolkit.encoders.learning.train_network import Schedule, train

        params, device = self.params, devices.device(data.device)
        played = data.train.matrix()
        played.data *= known[played.indices]
        played.eliminate_zeros()
        if not played.nnz:
            raise InputError(
                f"{self.name} requires training tracks with content, but there are 0: add content of training tracks"
            )
        network = seeded_weights(
            lambda: Pairs(items(), played, margin=params.margin, negatives=params.negatives, width=params.width),
            derived_seed(data.seed, self.name, "weights"),
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

    def _state_of(self, data: TrainingData, network: Pairs, ranked: np.ndarray, block: int) -> State:
        """Return the fitted state, with vectors of all users and of the tracks `ranked` bool [V + 1].

        - block: number of tracks embedded at a time.
        """
        items, ids = np.zeros((data.n_items + 1, self.params.width), np.float32), np.flatnonzero(ranked)
        items[ids] = _embedded(network.items, ids, block)
        self.learning = network.learning.of_vectors(items[ids])
        users = _embedded(network.users, np.arange(len(data.train)), 4096)
        return {"users": users, "rows": np.asarray(data.train.rows, np.int64), "items": items, "ranked": ranked}

    def layout(self, names: Collection[str]) -> Layout:
        return {
            "users": floats("playlists", "dim"),
            "rows": integers("playlists"),
            "items": floats(TRACKS, "dim"),
            "ranked": flags(TRACKS),
        }

    def users(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors float32 [B, d] of the queries' users, and which users have a vector, bool [B]."""
        state = self.state
        seeds = queries.matrix(self.n_items)
        seeds.data *= state["ranked"][seeds.indices]
        vectors = _unit(seeds @ state["items"])
        known = np.asarray(seeds.sum(axis=1)).ravel() > 0
        if queries.rows is not None and len(state["rows"]):
            order = np.argsort(state["rows"], kind="stable")
            at = order[np.minimum(np.searchsorted(state["rows"][order], queries.rows), len(order) - 1)]
            own = state["rows"][at] == queries.rows
            vectors[own] = state["users"][at[own]]
            known |= own
        return vectors, known

    def scorer(self, queries: Queries) -> Scorer:
        return factor_scorer(*self.users(queries), self.state["items"], self.state["ranked"])


class ContentUser(IdItem):
    """Ranks tracks by the cosine between a user's vector and a vector computed from the track's audio.

    All tracks with audio are ranked, played or not. The ranker requires one modality, from the encoder `log-mel`.
    """

    name = "content-user"
    Params = ContentUserParams
    capabilities = replace(COLD_START, modalities=1)

    def learn(self, data: TrainingData) -> State:
        from segue_papers.rankers.content_user_network import Sounds

        modality, shape = _spectrogram(data.modalities)
        table = modality.matrix.reshape(len(modality.matrix), *shape)
        params = self.params
        trained = (data.train.counts() > 0) & modality.present

        def sounds() -> Sounds:
            return Sounds(table, params.filters, kernel=params.kernel, pool=params.pool, width=params.width)

        network = self._trained(data, trained, sounds)
        return self._state_of(data, network, modality.present, max(1, BLOCK_WINDOWS // shape[0]))


def _lookup(count: int, width: int) -> LookUp:
    from segue_papers.rankers.content_user_network import LookUp

    return LookUp(count, width)


def _spectrogram(modalities: dict[str, Modality]) -> tuple[Modality, tuple[int, int, int]]:
    """Return the only modality, and the windows, bands and frames of its vectors."""
    modality = single_modality(modalities)
    encoder, _, params = modality.encoder.partition(" ")
    try:
        shape = LogMelParams.model_validate(json.loads(params)).shape() if encoder == "log-mel" else None
    except (ValueError, ValidationError):
        shape = None
    if shape is None or int(np.prod(shape)) != modality.dim:
        raise InputError(
            f"content-user requires spectrograms, but modality {modality.name!r} is from encoder {encoder!r}:"
            f" encode {modality.name!r} with log-mel"
        )
    return modality, shape


def _embedded(tower: LookUp | Sounds, ids: np.ndarray, block: int) -> np.ndarray:
    """Return vectors with unit norm for all `ids`, float32 [n, d]."""
    import torch

    tower.eval()
    with torch.inference_mode():
        parts: list[Tensor] = [
            tower.whole(torch.from_numpy(ids[start : start + block])).cpu() for start in range(0, len(ids), block)
        ]
    return torch.cat(parts).float().numpy() if parts else np.zeros((0, tower.width), np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)

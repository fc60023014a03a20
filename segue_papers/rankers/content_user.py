"""Content-user embedding model, with vectors of users and audio in one space, trained on plays.

Source: Lee, Lee, Park, Park and Nam, "Deep content-user embedding model for music recommendation", 2018. A user's
vector is a look-up followed by two dense layers, with ReLU after the look-up and the first layer. A track's vector is
the output of a one-dimensional convolutional network over 3 s of log-mel spectrogram, drawn at random from the clip in
each step, followed by a dense layer. The score is the cosine. The loss is max-margin with margin .2 over 20 tracks that
the user did not play, trained with Nesterov momentum and a learning rate that decays by 1e-6 a step. `score: dot` and
`loss: softmax` are the variants of the paper's preliminary experiments. `id-item` is the variant with a look-up of
tracks, which can rank only training tracks.

Differences from the paper: its text gives neither the initial learning rate nor the sizes of layers; they are our own.
The 20 negatives are drawn once for a step, not for each pair, so a step reads 20 additional tracks and not 20 times as
many. A negative that the user of a pair did play does not count for the pair. When all tracks are ranked, the vectors
of a clip's consecutive windows are averaged. A playlist outside training, which the paper does not have, is represented
by the mean of its tracks' vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

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
    - score: cosine or inner product of both vectors.
    - loss: `margin`, or `softmax`, the cross-entropy of the played track among itself and the negatives.
    - margin, negatives: settings of the loss. Negatives are drawn for each step.
    - lr, decay: the rate at step s is lr / (1 + decay · s).
    - epochs, batch: passes over the training plays, and pairs in a step.
    """

    width: int = Field(256, ge=1)
    score: Literal["cosine", "dot"] = "cosine"
    loss: Literal["margin", "softmax"] = "margin"
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
    """Ranks played tracks by the cosine or inner product of learned vectors of users and tracks.

    Both vectors are looked up. Unplayed tracks cannot be ranked.

    State: users float32 [n, d] of the training playlists, rows int64 [n], their rows in the corpus, items float32 [V +
    1, d], ranked bool [V + 1]. With `score: cosine` all vectors have unit norm.
    """

    name = "id-item"
    Params: ClassVar[type[Parameters]] = IdItemParams
    capabilities = replace(COLD_START, content="none", cold_tracks=False, embeds=True)

    def learn(self, data: TrainingData) -> State:
        known = data.train.counts() > 0
        network = self._trained(data, known, lambda: _lookup(data.n_items + 1, self.params))
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
        margin = params.margin if params.loss == "margin" else None
        network = seeded_weights(
            lambda: Pairs(items(), _lookup(played.shape[0], params), played, margin=margin, negatives=params.negatives),
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
        counts = np.asarray(seeds.sum(axis=1)).ravel()
        known = counts > 0
        vectors = np.asarray(seeds @ state["items"] / np.maximum(counts, 1)[:, None], np.float32)
        vectors = _unit(vectors) if self.params.score == "cosine" else vectors
        if queries.rows is not None and len(state["rows"]):
            order = np.argsort(state["rows"], kind="stable")
            at = order[np.minimum(np.searchsorted(state["rows"][order], queries.rows), len(order) - 1)]
            own = state["rows"][at] == queries.rows
            vectors[own] = state["users"][at[own]]
            known |= own
        return vectors, known

    def scorer(self, queries: Queries) -> Scorer:
        return factor_scorer(*self.users(queries), self.state["items"], self.state["ranked"])

    def item_vectors(self, items: np.ndarray) -> np.ndarray:
        vectors, ranked = self.state["items"][items], self.state["ranked"][items]
        return np.where(ranked[:, None], vectors, np.float32(np.nan))


class ContentUser(IdItem):
    """Ranks tracks by the cosine or inner product of a user's vector and a vector computed from the track's audio.

    All tracks with audio are ranked, played or not. The ranker requires one modality, from the encoder `log-mel`.
    """

    name = "content-user"
    Params = ContentUserParams
    capabilities = replace(COLD_START, modalities=1, embeds=True)

    def learn(self, data: TrainingData) -> State:
        from segue_papers.rankers.content_user_network import Shape, Sounds

        modality, spectrogram = _spectrogram(data.modalities)
        table = modality.matrix.reshape(len(modality.matrix), *spectrogram.shape())
        params = self.params
        trained = (data.train.counts() > 0) & modality.present

        def sounds() -> Sounds:
            shape = Shape(params.filters, params.kernel, params.pool, params.width)
            return Sounds(table, spectrogram.frames(), np.flatnonzero(trained), shape, unit=params.score == "cosine")

        network = self._trained(data, trained, sounds)
        block = max(1, BLOCK_WINDOWS * spectrogram.frames() // spectrogram.shape()[1])
        return self._state_of(data, network, modality.present, block)


def _lookup(count: int, params: IdItemParams) -> LookUp:
    from segue_papers.rankers.content_user_network import LookUp

    return LookUp(count, params.width, unit=params.score == "cosine")


def _spectrogram(modalities: dict[str, Modality]) -> tuple[Modality, LogMelParams]:
    """Return the only modality, and the parameters of its spectrograms."""
    modality = single_modality(modalities)
    encoder, _, params = modality.encoder.partition(" ")
    try:
        spectrogram = LogMelParams.model_validate(json.loads(params)) if encoder == "log-mel" else None
    except (ValueError, ValidationError):
        spectrogram = None
    if spectrogram is None or int(np.prod(spectrogram.shape())) != modality.dim:
        raise InputError(
            f"content-user requires spectrograms, but modality {modality.name!r} is from encoder {encoder!r}:"
            f" encode {modality.name!r} with log-mel"
        )
    return modality, spectrogram


def _embedded(tower: LookUp | Sounds, ids: np.ndarray, block: int) -> np.ndarray:
    """Return the vectors of all `ids`, float32 [n, d]."""
    import torch

    tower.eval()
    with torch.inference_mode():
        parts: list[Tensor] = [
            tower.whole(torch.from_numpy(ids[start : start + block])).cpu() for start in range(0, len(ids), block)
        ]
    return torch.cat(parts).float().numpy() if parts else np.zeros((0, tower.width), np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)

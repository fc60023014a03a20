"""Towers and loss of the content-user embedding model.

Lee et al. 2018, "Deep content-user embedding model for music recommendation".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from segue_papers.encoders.band_normaliser import BandNormaliser
from segue_papers.encoders.mel_cnn_1d import mel_trunk
from segue_papers.encoders.mel_spectrogram import mean_and_deviation
from toolkit.encoders.learning.train_network import TrainableNetwork

if TYPE_CHECKING:
    import scipy.sparse as sp


@dataclass(frozen=True)
class Shape:
    """Sizes of the network over spectrograms: filters, width and pooling of its convolutions, and of its vectors."""

    filters: Sequence[int]
    kernel: int
    pool: int
    width: int


class LookUp(nn.Module):
    """Look-up and two dense layers that map ids to vectors, with ReLU after the look-up and the first layer.

    - count, width: number of ids, and size of the look-up, the hidden layer and the vectors.
    - unit: whether the vectors have unit norm.
    """

    def __init__(self, count: int, width: int, *, unit: bool = True) -> None:
        super().__init__()
        self.width, self.unit = width, unit
        self.table = nn.Embedding(count, width)
        self.dense = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, ids: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Return the vectors of ids int64 [n]: float32 [n, width]."""
        return _scaled(self.dense(self.table(ids.to(self.table.weight.device))), unit=self.unit)

    whole = forward


class Sounds(nn.Module):
    """Convolutions over spectrograms that map track ids to vectors.

    - table: spectrograms of clips, float32 [V + 1, bands, frames], kept in main memory.
    - window: number of frames that the network reads at once.
    - trained: tracks whose spectrograms give the mean and deviation of each band, int64 [n].
    - shape: sizes of the network.
    - unit: whether the vectors have unit norm.
    """

    def __init__(self, table: np.ndarray, window: int, trained: np.ndarray, shape: Shape, *, unit: bool = True) -> None:
        super().__init__()
        self.width, self.unit, self.window, self.sounds = shape.width, unit, window, table
        normaliser = BandNormaliser(*mean_and_deviation(table, trained))
        self.trunk = mel_trunk(normaliser, table.shape[1], shape.filters, kernel=shape.kernel, pool=shape.pool)
        self.dense = nn.Linear(shape.filters[-1], shape.width)

    def forward(self, ids: Tensor, drawn: Tensor) -> Tensor:
        """Return a vector for one window of each track: float32 [n, width].

        - ids: int64 [n].
        - drawn: random numbers in 0…1 that select the start of each window, float32 [n].
        """
        last = self.sounds.shape[2] - self.window
        starts = (drawn.double() * (last + 1)).long().clamp_max(last).tolist()
        windows = [
            self.sounds[track, :, start : start + self.window]
            for track, start in zip(ids.tolist(), starts, strict=True)
        ]
        return _scaled(self._vectors(np.stack(windows)), unit=self.unit)

    def whole(self, ids: Tensor) -> Tensor:
        """Return the mean over all consecutive windows of tracks int64 [n]: float32 [n, width]."""
        clips, count = self.sounds[ids.numpy()], self.sounds.shape[2] // self.window
        windows = clips[:, :, : count * self.window].reshape(*clips.shape[:2], count, self.window).swapaxes(1, 2)
        vectors = self._vectors(windows.reshape(-1, clips.shape[1], self.window))
        means = _scaled(vectors, unit=self.unit).reshape(len(ids), count, -1).mean(dim=1)
        return _scaled(means, unit=self.unit)

    def _vectors(self, spectrograms: np.ndarray) -> Tensor:
        inputs = torch.from_numpy(np.ascontiguousarray(spectrograms)).to(self.dense.weight.device)
        vectors: Tensor = self.dense(self.trunk(inputs))
        return vectors


class Pairs(TrainableNetwork):
    """Towers of users and tracks with a loss over played pairs.

    - items, users: the towers.
    - played: sparse float32 [n, V + 1]. Pair p is the p-th stored entry.
    - margin: margin of the max-margin loss. None is the cross-entropy of the played track among the negatives.
    - negatives: number of other tracks in a step.
    """

    def __init__(
        self, items: LookUp | Sounds, users: LookUp, played: sp.csr_matrix, *, margin: float | None, negatives: int
    ) -> None:
        super().__init__()
        self.users, self.items = users, items
        self.played, self.margin, self.negatives = played, margin, negatives
        self.candidates = np.unique(played.indices).astype(np.int64)
        self.owners = np.repeat(np.arange(played.shape[0]), np.diff(played.indptr))
        # the noise of a pair selects its window; that of the first pair also the step's negatives and their windows
        self.latent = 1 + 2 * negatives

    def pairs(self, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return users and tracks int64 [b] of the pairs with indices `places`."""
        return torch.from_numpy(self.owners[places]), torch.from_numpy(self.played.indices[places].astype(np.int64))

    def losses(self, inputs: tuple[Tensor, ...], noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Return the loss of users and tracks, int64 [b] each."""
        users, tracks = inputs
        chances = _chances(noise)
        negatives = self._drawn(chances[0])
        tracks = tracks.cpu()
        together = torch.cat([tracks, negatives])
        vectors = self.items(together, torch.cat([chances[:, 0], chances[0, 1 + self.negatives :]]))
        own = self.users(users)
        right, others = (own * vectors[: len(tracks)]).sum(dim=1), own @ vectors[len(tracks) :].T
        counts = self._unplayed(users, negatives).to(own.device)
        if self.margin is None:
            return {"loss": softmax_loss(right, others, counts)}
        return {"loss": margin_loss(right, others, counts, self.margin)}

    def constant_loss(self, steps: Iterable[tuple[Any, Tensor]]) -> float | None:
        """Return the mean loss if all users and tracks have the same vector, so that all scores are equal."""
        total, count = 0.0, 0
        for (users, _), noise in steps:
            unplayed = self._unplayed(users, self._drawn(_chances(noise)[0]))
            equal = torch.zeros(unplayed.shape)
            if self.margin is None:
                loss = softmax_loss(equal[:, 0], equal, unplayed)
            else:
                loss = margin_loss(equal[:, 0], equal, unplayed, self.margin)
            total, count = total + float(loss) * len(users), count + len(users)
        return total / count

    def _unplayed(self, users: Tensor, tracks: Tensor) -> Tensor:
        """Return which `tracks` int64 [n] each user int64 [b] did not play, bool [b, n]."""
        return torch.from_numpy(self.played[users.cpu().numpy()][:, tracks.numpy()].toarray() == 0)

    def _drawn(self, chances: Tensor) -> Tensor:
        """Return training tracks drawn uniformly, int64 [negatives], by the random numbers of the first pair."""
        drawn = chances[1 : 1 + self.negatives].double() * len(self.candidates)
        index = drawn.long().clamp_max(len(self.candidates) - 1)
        return torch.from_numpy(self.candidates[index.numpy()])


def _chances(noise: Tensor) -> Tensor:
    """Return standard normal noise as random numbers in 0…1, in main memory."""
    return torch.special.ndtr(noise.cpu().double()).float()


def margin_loss(positive: Tensor, negative: Tensor, counts: Tensor, margin: float) -> Tensor:
    """Return the mean over pairs of Σ max(0, margin − positive + negative), summed over counted negatives.

    - positive: scores [b].
    - negative: scores [b, negatives].
    - counts: which negatives count, bool [b, negatives].
    """
    return ((margin - positive[:, None] + negative).clamp_min(0) * counts).sum(dim=1).mean()


def softmax_loss(positive: Tensor, negative: Tensor, counts: Tensor) -> Tensor:
    """Return the mean over pairs of the cross-entropy of the positive among itself and the counted negatives.

    Parameters as in `margin_loss`.
    """
    scores = torch.cat([positive[:, None], negative.masked_fill(~counts, -torch.inf)], dim=1)
    return (scores.logsumexp(dim=1) - positive).mean()


def _scaled(vectors: Tensor, *, unit: bool) -> Tensor:
    return nn.functional.normalize(vectors, dim=1) if unit else vectors

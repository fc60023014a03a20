"""Towers and loss of the content-user embedding model.

Lee et al. 2018, "Deep content-user embedding model for music recommendation".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from segue_papers.encoders.mel_cnn_1d import mel_trunk
from toolkit.encoders.learning.train_network import TrainableNetwork

if TYPE_CHECKING:
    import scipy.sparse as sp


class LookUp(nn.Module):
    """Look-up and dense layer that map ids to vectors with unit norm."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.table = nn.Embedding(count, width)
        self.dense = nn.Linear(width, width)

    def forward(self, ids: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Return the vectors of ids int64 [n]: float32 [n, width]."""
        return nn.functional.normalize(self.dense(self.table(ids.to(self.table.weight.device))), dim=1)

    whole = forward


class Sounds(nn.Module):
    """Convolutions over spectrograms that map track ids to vectors with unit norm.

    - table: spectrograms float32 [V + 1, windows, bands, frames], kept in main memory.
    - filters, kernel, pool: settings of the convolutions.
    - width: dimension of the vectors.
    """

    def __init__(self, table: np.ndarray, filters: Sequence[int], *, kernel: int, pool: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.sounds = table
        self.trunk = mel_trunk(table.shape[2], filters, kernel=kernel, pool=pool)
        self.dense = nn.Linear(filters[-1], width)

    def forward(self, ids: Tensor, drawn: Tensor) -> Tensor:
        """Return a vector for one window of each track: float32 [n, width].

        - ids: int64 [n].
        - drawn: random numbers in 0…1 that select the window of each track, float32 [n].
        """
        window = (drawn * self.sounds.shape[1]).long().clamp_max(self.sounds.shape[1] - 1)
        spectrograms = self.sounds[ids.cpu().numpy(), window.cpu().numpy()]
        return nn.functional.normalize(self._vectors(spectrograms), dim=1)

    def whole(self, ids: Tensor) -> Tensor:
        """Return the mean over all windows of tracks int64 [n], scaled to unit norm: float32 [n, width]."""
        windows = self.sounds[ids.numpy()]
        vectors = self._vectors(windows.reshape(-1, *windows.shape[2:])).reshape(len(ids), windows.shape[1], -1)
        return nn.functional.normalize(nn.functional.normalize(vectors, dim=2).mean(dim=1), dim=1)

    def _vectors(self, spectrograms: np.ndarray) -> Tensor:
        inputs = torch.from_numpy(np.ascontiguousarray(spectrograms)).to(self.dense.weight.device)
        vectors: Tensor = self.dense(self.trunk(inputs))
        return vectors


class Pairs(TrainableNetwork):
    """Towers of users and tracks with the max-margin loss over played pairs.

    - items: the tower of tracks.
    - played: sparse float32 [n, V + 1]. Pair p is the p-th stored entry.
    - margin, negatives: settings of the loss.
    - width: dimension of the vectors.
    """

    def __init__(
        self, items: LookUp | Sounds, played: sp.csr_matrix, *, margin: float, negatives: int, width: int
    ) -> None:
        super().__init__()
        self.users, self.items = LookUp(played.shape[0], width), items
        self.played, self.margin, self.negatives = played, margin, negatives
        self.candidates = np.unique(played.indices).astype(np.int64)
        self.owners = np.repeat(np.arange(played.shape[0]), np.diff(played.indptr))
        # the noise of a pair selects its window; that of the first pair also the step's negatives and their windows
        self.latent = 1 + 2 * negatives

    def pairs(self, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return users and tracks int64 [b] of the pairs with indices `places`."""
        return torch.from_numpy(self.owners[places]), torch.from_numpy(self.played.indices[places].astype(np.int64))

    def losses(self, inputs: tuple[Tensor, ...], noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Return the max-margin loss of users and tracks, int64 [b] each."""
        users, tracks = inputs
        chances = _chances(noise)
        negatives = self._drawn(chances[0])
        tracks = tracks.cpu()
        together = torch.cat([tracks, negatives])
        vectors = self.items(together, torch.cat([chances[:, 0], chances[0, 1 + self.negatives :]]))
        own = self.users(users)
        right, others = (own * vectors[: len(tracks)]).sum(dim=1), own @ vectors[len(tracks) :].T
        return {"loss": margin_loss(right, others, self._unplayed(users, negatives).to(own.device), self.margin)}

    def constant_loss(self, steps: Iterable[tuple[Any, Tensor]]) -> float | None:
        """Return the mean loss if all users and tracks have the same vector, so that every score is 1."""
        total = count = 0
        for (users, _), noise in steps:
            unplayed = self._unplayed(users, self._drawn(_chances(noise)[0]))
            total, count = total + int(unplayed.sum()), count + len(users)
        return self.margin * total / count

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

"""The towers of the content-user embedding model and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from segue_papers.encoders.mel_cnn_1d import mel_trunk
from toolkit.encoders.learning.train_network import TrainableNetwork

if TYPE_CHECKING:
    import scipy.sparse as sp


class LookUp(nn.Module):
    """Ids to vectors of length 1: a look-up and a dense layer."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.table = nn.Embedding(count, width)
        self.dense = nn.Linear(width, width)

    def forward(self, ids: Tensor, drawn: Tensor | None = None) -> Tensor:
        """ids int64 [n] -> float32 [n, width]."""
        return nn.functional.normalize(self.dense(self.table(ids.to(self.table.weight.device))), dim=1)

    whole = forward


class Sounds(nn.Module):
    """Tracks to vectors of length 1 by their spectrograms, float32 [V + 1, windows, bands, frames], which stay where they are."""

    def __init__(self, table: np.ndarray, filters: Sequence[int], *, kernel: int, pool: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.sounds = table
        self.trunk = mel_trunk(table.shape[2], filters, kernel=kernel, pool=pool)
        self.dense = nn.Linear(filters[-1], width)

    def forward(self, ids: Tensor, drawn: Tensor) -> Tensor:
        """ids int64 [n], drawn: chances 0…1 float32 [n] that say which window of each is heard -> float32 [n, width]."""
        window = (drawn * self.sounds.shape[1]).long().clamp_max(self.sounds.shape[1] - 1)
        heard = self.sounds[ids.cpu().numpy(), window.cpu().numpy()]
        return nn.functional.normalize(self._vectors(heard), dim=1)

    def whole(self, ids: Tensor) -> Tensor:
        """ids int64 [n] -> float32 [n, width]: the mean over all windows, brought to length 1."""
        heard = self.sounds[ids.numpy()]
        vectors = self._vectors(heard.reshape(-1, *heard.shape[2:])).reshape(len(ids), heard.shape[1], -1)
        return nn.functional.normalize(nn.functional.normalize(vectors, dim=2).mean(dim=1), dim=1)

    def _vectors(self, heard: np.ndarray) -> Tensor:
        found: Tensor = self.dense(
            self.trunk(torch.from_numpy(np.ascontiguousarray(heard)).to(self.dense.weight.device))
        )
        return found


class Pairs(TrainableNetwork):
    """Users, tracks and the max-margin loss over pairs that were played.

    played: float32 [n, V + 1], sparse; pair p is its p-th stored place.
    """

    def __init__(self, items: nn.Module, played: sp.csr_matrix, *, margin: float, negatives: int, width: int) -> None:
        super().__init__()
        self.users, self.items = LookUp(played.shape[0], width), items
        self.played, self.margin, self.negatives = played, margin, negatives
        self.heard = np.unique(played.indices).astype(np.int64)
        self.owners = np.repeat(np.arange(played.shape[0]), np.diff(played.indptr))
        # of an input's own noise: which window is heard; of the first one's also the step's negatives and their windows
        self.latent = 1 + 2 * negatives

    def pairs(self, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """Users and tracks int64 [b] of the pairs `places`."""
        return torch.from_numpy(self.owners[places]), torch.from_numpy(self.played.indices[places].astype(np.int64))

    def losses(self, inputs: Any, noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        users, tracks = inputs
        chances = torch.special.ndtr(noise.cpu().double()).float()
        wrong = self._drawn(chances[0, 1 : 1 + self.negatives])
        tracks = tracks.cpu()
        together = torch.cat([tracks, wrong])
        vectors = self.items(together, torch.cat([chances[:, 0], chances[0, 1 + self.negatives :]]))
        own = self.users(users)
        right, others = (own * vectors[: len(tracks)]).sum(dim=1), own @ vectors[len(tracks) :].T
        unplayed = torch.from_numpy(self.played[users.cpu().numpy()][:, wrong.numpy()].toarray() == 0).to(own.device)
        return {"loss": margin_loss(right, others, unplayed, self.margin)}

    def _drawn(self, chances: Tensor) -> Tensor:
        """Tracks of training, all alike: int64 [negatives]."""
        places = (chances.double() * len(self.heard)).long().clamp_max(len(self.heard) - 1)
        return torch.from_numpy(self.heard[places.numpy()])


def margin_loss(right: Tensor, wrong: Tensor, counts: Tensor, margin: float) -> Tensor:
    """Mean over pairs of Σ max(0, margin − right + wrong) over the wrong ones that count.

    right: scores [b]; wrong: [b, negatives]; counts: bool [b, negatives].
    """
    return ((margin - right[:, None] + wrong).clamp_min(0) * counts).sum(dim=1).mean()

"""Network of the ranker `two-tower`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.encoders.learning.network_layers import dense
from toolkit.encoders.learning.train_network import TrainableNetwork

BLOCK = 4096
"""Tracks that a trained tower reads at once."""


class Towers(TrainableNetwork):
    """Towers of candidates and of played tracks.

    - content: inputs of candidates, float32 [V + 1, D].
    - known: inputs of played tracks, float32 [V + 1, D'].
    - tracks: the tracks of all playlists, playlist by playlist, int [entries].
    - hidden, dim: units of the hidden layers and of the output.
    - seeds: tracks drawn from a playlist to represent its user.
    - temperature: divisor of the cosines.
    """

    def __init__(
        self,
        content: np.ndarray,
        known: np.ndarray,
        tracks: np.ndarray,
        hidden: Sequence[int],
        dim: int,
        seeds: int,
        temperature: float,
    ) -> None:
        super().__init__()
        self.item, self.query = (_tower([columns.shape[1], *hidden, dim]) for columns in (content, known))
        self.temperature = temperature
        self.latent = seeds  # tracks are drawn by the noise of training, which is the same in a resumed run
        flat = torch.from_numpy(np.asarray(tracks, np.int64))
        share = torch.bincount(flat, minlength=len(content)).clamp_min(1) / len(flat)
        for name, value in (
            ("content", torch.from_numpy(content)),
            ("known", torch.from_numpy(known)),
            ("tracks", flat),
        ):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("log_share", share.log(), persistent=False)

    def losses(self, inputs: tuple[Tensor, ...], noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """Return the cross-entropy of each target among the targets of the batch.

        - inputs: start and length of each playlist in `tracks`, and the position of its target there, int64 [b] each.
        """
        starts, lengths, positions = inputs
        targets = self._of("tracks")[positions]
        uniform = torch.special.ndtr(noise.double()).clamp(max=1 - 1e-12)
        steps = 1 + (uniform * (lengths - 1)[:, None]).long()  # never the target itself
        offsets = (positions - starts)[:, None].add(steps) % lengths[:, None]
        drawn = self._of("tracks")[starts[:, None] + offsets]  # (b, seeds)
        other = (drawn != targets[:, None]).float()[..., None]
        users = nn.functional.normalize((self.query(self._of("known")[drawn]) * other).sum(dim=1), dim=1)
        items = nn.functional.normalize(self.item(self._of("content")[targets]), dim=1)
        logits = users @ items.T / self.temperature - self._of("log_share")[targets]
        answers = torch.arange(len(targets), device=logits.device)
        return {"loss": nn.functional.cross_entropy(logits.masked_fill(_others(targets), -torch.inf), answers)}

    def constant_loss(self, steps: Iterable[tuple[Any, Tensor]]) -> float | None:
        """Return the mean cross-entropy if all candidates of a batch have the same logit."""
        total = count = 0.0
        for (_, _, positions), _ in steps:
            candidates = (~_others(self._of("tracks")[positions])).sum(dim=1)
            total, count = total + float(candidates.log().sum()), count + len(positions)
        return total / count

    def _of(self, name: str) -> Tensor:
        buffer: Tensor = getattr(self, name)
        return buffer

    @torch.inference_mode()
    def all_tracks(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors of all tracks as candidates (unit norm) and as played tracks: float32 [V + 1, dim] each."""
        items = torch.cat(
            [nn.functional.normalize(self.item(part), dim=1) for part in self._of("content").split(BLOCK)]
        )
        queries = torch.cat([self.query(part) for part in self._of("known").split(BLOCK)])
        return items.cpu().numpy(), queries.cpu().numpy()


def _others(targets: Tensor) -> Tensor:
    """Return which columns hold the target of a row a second time, bool [b, b]. They are not its negatives."""
    same = targets[:, None] == targets
    return same.fill_diagonal_(False)


def _tower(sizes: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*list(dense(sizes))[:-1])

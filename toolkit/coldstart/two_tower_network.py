"""The network of `two-tower`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.encoders.learning.predictor_network import Network
from toolkit.encoders.learning.trunk_layers import dense

BLOCK = 4096
"""Tracks that go through a tower at once, once it is trained."""


class Towers(Network):
    """content, known: float32 [V + 1, D], what a track is scored by and what a track that was played is known by.

    tracks: int [placements], all lists end to end. seeds: tracks drawn of a list for its user.
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
        self.latent = seeds  # which tracks are drawn comes from the noise of training, which a resumed run draws again
        flat = torch.from_numpy(np.asarray(tracks, np.int64))
        share = torch.bincount(flat, minlength=len(content)).clamp_min(1) / len(flat)
        for name, value in (
            ("content", torch.from_numpy(content)),
            ("known", torch.from_numpy(known)),
            ("tracks", flat),
        ):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("log_share", share.log(), persistent=False)

    def losses(self, inputs: Any, noise: Tensor, *, beta: float) -> dict[str, Tensor]:
        """inputs: starts, lengths and places int64 [b] each: a list's span, and where in all lists its track to find is."""
        starts, lengths, places = inputs
        targets = self._of("tracks")[places]
        uniform = torch.special.ndtr(noise.double()).clamp(max=1 - 1e-12)
        steps = 1 + (uniform * (lengths - 1)[:, None]).long()  # never back to the track to find
        drawn = self._of("tracks")[
            starts[:, None] + (places - starts)[:, None].add(steps) % lengths[:, None]
        ]  # (b, seeds)
        other = (drawn != targets[:, None]).float()[..., None]
        users = nn.functional.normalize((self.query(self._of("known")[drawn]) * other).sum(dim=1), dim=1)
        items = nn.functional.normalize(self.item(self._of("content")[targets]), dim=1)
        logits = users @ items.T / self.temperature - self._of("log_share")[targets]
        same = targets[:, None] == targets
        same.fill_diagonal_(False)
        answers = torch.arange(len(targets), device=logits.device)
        return {"loss": nn.functional.cross_entropy(logits.masked_fill(same, -torch.inf), answers)}

    def _of(self, name: str) -> Tensor:
        found: Tensor = getattr(self, name)
        return found

    @torch.inference_mode()
    def all_tracks(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of all tracks as scored, of length 1, and as played: float32 [V + 1, dim] twice."""
        items = torch.cat(
            [nn.functional.normalize(self.item(part), dim=1) for part in self._of("content").split(BLOCK)]
        )
        queries = torch.cat([self.query(part) for part in self._of("known").split(BLOCK)])
        return items.cpu().numpy(), queries.cpu().numpy()


def _tower(sizes: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*list(dense(sizes))[:-1])

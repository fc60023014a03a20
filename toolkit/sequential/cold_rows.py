"""Free ids of tracks without a training placement, predicted from their content.

A ridge regression from all modalities side by side to the free ids that training gave the played tracks, in closed form. What it
says of a cold track is what other tracks of such content have been given beyond their content's own vector, which is added to it as for
any track. The mapping of Gantner et al. 2010, "Learning attribute-to-feature mappings for cold-start recommendations", section 4.
"""

from __future__ import annotations

import numpy as np
import torch

from toolkit.errors import InputError
from toolkit.fusion.concatenated import concatenated_columns
from toolkit.fusion.ridge_regression import RidgeRegression
from toolkit.modality import Modality

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Shares of the number of played tracks, of which one is chosen."""

CHOSEN_ON = 20_000
"""Tracks by which it is chosen, at most."""

BLOCK = 65_536


class ColdRows:
    """The map for one catalogue; `fill` fits it to a table of free ids as it is then.

    tracks: int64 [c], ids of tracks without a placement that have content.
    """

    def __init__(self, modalities: dict[str, Modality], played: np.ndarray) -> None:
        """played: bool [V + 1]. Raises `InputError` where no played track has content."""
        columns, present = concatenated_columns(modalities, played)
        self.taught, self.tracks = np.flatnonzero(played & present), np.flatnonzero(~played & present)
        if not len(self.taught):
            raise InputError(
                "cold_rows: predicted needs played tracks with content, and there are none: use cold_rows: none"
            )
        self._mean = columns[self.taught].mean(axis=0, dtype=np.float64)
        self._columns = columns
        gram = np.zeros((columns.shape[1], columns.shape[1]))
        for rows in self._blocks(self.taught):
            gram += rows.T @ rows
        self._regression = RidgeRegression(gram)

    def _blocks(self, tracks: np.ndarray) -> list[np.ndarray]:
        """Centred columns of tracks, float64, some at a time."""
        cuts = range(0, len(tracks), BLOCK)
        return [self._columns[tracks[start : start + BLOCK]].astype(np.float64) - self._mean for start in cuts]

    @torch.no_grad()
    def fill(self, weight: torch.Tensor) -> float:
        """Predict the rows of cold tracks in free ids float32 [V + 1 or more, H], in place; returns the penalty that was taken."""
        wanted = weight[torch.from_numpy(self.taught).to(weight.device)].double().cpu().numpy()
        mean = wanted.mean(axis=0)
        wanted -= mean
        turned = np.zeros((len(self._regression.eigenvalues), wanted.shape[1]))
        for start, rows in zip(range(0, len(wanted), BLOCK), self._blocks(self.taught), strict=True):
            turned += self._regression.rotated(rows.T @ wanted[start : start + BLOCK])
        penalty = min(PENALTIES, key=lambda each: self._left_out(wanted, turned, each))
        weights = self._regression.weights(turned, penalty * len(wanted))
        for start, rows in zip(range(0, len(self.tracks), BLOCK), self._blocks(self.tracks), strict=True):
            ids = torch.from_numpy(self.tracks[start : start + BLOCK]).to(weight.device)
            weight[ids] = torch.from_numpy(rows @ weights + mean).to(weight)
        return penalty

    def _left_out(self, wanted: np.ndarray, turned: np.ndarray, penalty: float) -> float:
        """Mean squared error of played tracks' rows, each predicted from all others: residuals over one less their leverage."""
        some = np.linspace(0, len(wanted) - 1, min(len(wanted), CHOSEN_ON)).astype(np.int64)
        seen = (self._columns[self.taught[some]].astype(np.float64) - self._mean) @ self._regression.axes
        shrunk = self._regression.eigenvalues + penalty * len(wanted)
        leverage = 1 / len(wanted) + (seen**2 / shrunk).sum(axis=1)
        residuals = (wanted[some] - seen @ (turned / shrunk[:, None])) / np.maximum(1 - leverage, 1e-9)[:, None]
        return float(np.square(residuals).mean())

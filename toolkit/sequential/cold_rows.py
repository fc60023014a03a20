"""Free ids for tracks that are in no training playlist, predicted from their content.

A ridge regression in closed form maps the concatenated modalities to the free ids of played tracks. For a cold track it
predicts what a free id would add to the track's content vector. Source: Gantner et al. 2010, "Learning
attribute-to-feature mappings for cold-start recommendations", section 4.
"""

from __future__ import annotations

import numpy as np
import torch

from toolkit.errors import InputError
from toolkit.fusion.concatenated import concatenated_columns
from toolkit.fusion.ridge_regression import RidgeRegression
from toolkit.modality import Modality

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Candidates, as shares of the number of played tracks."""

CHOSEN_ON = 20_000
"""At most this many tracks choose the penalty."""

BLOCK = 65_536


class ColdRows:
    """Ridge regression from content to free ids for a catalogue.

    - fitted: int64 [n], ids of played tracks with content.
    - tracks: int64 [c], ids of unplayed tracks with content.
    """

    def __init__(self, modalities: dict[str, Modality], played: np.ndarray) -> None:
        """Prepare the regression. Raises `InputError` if no played track has content.

        - played: bool [V + 1], tracks in training playlists.
        """
        columns, present = concatenated_columns(modalities, played)
        self.fitted, self.tracks = np.flatnonzero(played & present), np.flatnonzero(~played & present)
        if not len(self.fitted):
            raise InputError(
                "`cold_rows: predicted` requires played tracks with content, but there are 0: set `cold_rows: none`"
            )
        self._mean = columns[self.fitted].mean(axis=0, dtype=np.float64)
        self._columns = columns
        gram = np.zeros((columns.shape[1], columns.shape[1]))
        for rows in self._blocks(self.fitted):
            gram += rows.T @ rows
        self._regression = RidgeRegression(gram)

    def _blocks(self, tracks: np.ndarray) -> list[np.ndarray]:
        """Return centred columns of tracks, float64, in blocks."""
        cuts = range(0, len(tracks), BLOCK)
        return [self._columns[tracks[start : start + BLOCK]].astype(np.float64) - self._mean for start in cuts]

    @torch.no_grad()
    def fill(self, weight: torch.Tensor) -> float:
        """Predict in place the free ids of cold tracks, and return the penalty.

        - weight: free ids, float32 [V + 1 or more, H].
        """
        targets = weight[torch.from_numpy(self.fitted).to(weight.device)].double().cpu().numpy()
        mean = targets.mean(axis=0)
        targets -= mean
        products = np.zeros((len(self._regression.eigenvalues), targets.shape[1]))
        for start, rows in zip(range(0, len(targets), BLOCK), self._blocks(self.fitted), strict=True):
            products += self._regression.rotated(rows.T @ targets[start : start + BLOCK])
        penalty = min(PENALTIES, key=lambda share: self._left_out_error(targets, products, share))
        weights = self._regression.weights(products, penalty * len(targets))
        for start, rows in zip(range(0, len(self.tracks), BLOCK), self._blocks(self.tracks), strict=True):
            ids = torch.from_numpy(self.tracks[start : start + BLOCK]).to(weight.device)
            weight[ids] = torch.from_numpy(rows @ weights + mean).to(weight)
        return penalty

    def _left_out_error(self, targets: np.ndarray, products: np.ndarray, penalty: float) -> float:
        """Return the leave-one-out mean squared error over the rows of played tracks.

        The error of a left-out row is its residual divided by one minus its leverage, which requires no further fit.
        """
        sample = np.linspace(0, len(targets) - 1, min(len(targets), CHOSEN_ON)).astype(np.int64)
        rotated = (self._columns[self.fitted[sample]].astype(np.float64) - self._mean) @ self._regression.axes
        shrunk = self._regression.eigenvalues + penalty * len(targets)
        leverage = 1 / len(targets) + (rotated**2 / shrunk).sum(axis=1)
        residuals = (targets[sample] - rotated @ (products / shrunk[:, None])) / np.maximum(1 - leverage, 1e-9)[:, None]
        return float(np.square(residuals).mean())

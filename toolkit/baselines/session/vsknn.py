"""VSKNN, session-kNN with larger weights for later seeds.

Ludewig and Jannach 2018, "Evaluation of session-based recommendation algorithms", UMUAI 28, section 3.2.2 (V-SKNN).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import BaselineParams
from toolkit.baselines.session.session_neighbours import SessionNeighbours, SharedSeeds


class VSKNNParams(BaselineParams):
    neighbours: int = Field(200, ge=1, description="training playlists that vote for a query")
    weighting: Literal["same", "linear", "quadratic"] = Field(
        "linear", description="weight of a seed by its position in the query: 1, i/n, (i/n)²"
    )
    decay: Literal["same", "reciprocal"] = Field(
        "same", description="weight of a neighbour by its last shared seed: 1, or 1 over that seed's rank from the end"
    )
    idf: bool = Field(True, description="increase the weight of tracks in few playlists")


class VSKNN(SessionNeighbours):
    """Ranks the tracks of similar training playlists; later seeds count more.

    Similarity: the sum of the shared seeds' weights, divided by the square root of the playlist's length.

    The published method does not divide by the length, which favours long playlists. The shop sessions of the paper are
    all short.
    """

    name = "vsknn"
    Params = VSKNNParams
    grid = {"weighting": ["same", "linear"], "neighbours": [100, 300], "decay": ["same", "reciprocal"]}

    def counts(self, shared: SharedSeeds) -> np.ndarray:
        power = {"same": 0, "linear": 1, "quadratic": 2}[self.params.weighting]
        return np.asarray(((shared.length - shared.back) / shared.length) ** power)

    def similar(self, sums: np.ndarray, query: np.ndarray, playlist: np.ndarray) -> np.ndarray:
        return np.asarray(sums / np.sqrt(playlist))

    def trust(self, back: np.ndarray) -> np.ndarray | float:
        return 1.0 if self.params.decay == "same" else 1.0 / (back + 1.0)

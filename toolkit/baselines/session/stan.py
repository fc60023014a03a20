"""STAN and VSTAN, session-kNN with decays by position.

STAN: Garg et al. 2019, "Sequence and time aware neighborhood for session-based recommendations", SIGIR, section 3.
VSTAN: Ludewig, Mauro, Latifi and Jannach 2021, "Empirical analysis of session-based recommendation algorithms", UMUAI
31, section 3.1.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import BaselineParams
from toolkit.baselines.session.session_neighbours import SessionNeighbours, SharedSeeds


class STANParams(BaselineParams):
    neighbours: int = Field(200, ge=1, description="training playlists that vote for a query")
    position: float | None = Field(
        50.0, gt=0, description="λ1: number of seeds over which a seed's weight falls to 1/e; null: equal weights"
    )
    nearby: float | None = Field(
        50.0,
        gt=0,
        description="λ3: distance from the last shared seed at which weights fall to 1/e; null: equal weights",
    )


class STAN(SessionNeighbours):
    """Ranks the tracks of similar training playlists; early seeds, and tracks far from a shared seed, count less.

    Similarity: Σ exp(-back / λ1) over shared seeds, divided by sqrt(|q| |n|), where `back` is the number of seeds that
    follow. The weight of a neighbour's tracks is exp(-distance / λ3), with the distance from the last shared seed.

    λ2, the decay with a neighbour's age, is left out, because training playlists have no common clock.
    """

    name = "stan"
    Params = STANParams
    grid = {"position": [10.0, 50.0, None], "nearby": [20.0, 100.0, None]}

    def counts(self, shared: SharedSeeds) -> np.ndarray:
        reach = self.params.position
        return np.ones(len(shared.back)) if reach is None else np.asarray(np.exp(-shared.back / reach))

    def similar(self, sums: np.ndarray, query: np.ndarray, playlist: np.ndarray) -> np.ndarray:
        return np.asarray(sums / np.sqrt(query.astype(np.float64) * playlist))

    @property
    def reach(self) -> float | None:
        reach: float | None = self.params.nearby
        return reach


class VSTANParams(STANParams):
    latest: float | None = Field(
        50.0,
        gt=0,
        description="seeds after the last shared seed over which a neighbour's weight falls to 1/e; null: equal",
    )
    idf: bool = Field(True, description="increase the weight of tracks in few playlists")


class VSTAN(STAN):
    """Ranks tracks as STAN does; neighbours that share a late seed, and rare tracks, count more.

    The score is STAN's score times exp(-back / `latest`) for the last seed that a neighbour shares, times the track's
    idf.
    """

    name = "vstan"
    Params = VSTANParams
    grid = {"position": [20.0, None], "nearby": [50.0, None], "latest": [20.0, None]}

    def trust(self, back: np.ndarray) -> np.ndarray | float:
        return 1.0 if self.params.latest is None else np.asarray(np.exp(-back / self.params.latest))

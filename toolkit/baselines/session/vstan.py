"""VSTAN: STAN that also gives more weight to neighbours that share a late seed, and to rare tracks.

Ludewig, Mauro, Latifi and Jannach 2021, "Empirical analysis of session-based recommendation algorithms", UMUAI 31,
section 3.1.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from toolkit.baselines.session.stan import STAN, STANParams


class VSTANParams(STANParams):
    latest: float | None = Field(
        50.0,
        gt=0,
        description="seeds after the last shared one over which a neighbour's weight falls to 1/e; null: not at all",
    )
    idf: bool = Field(True, description="tracks of few playlists count for more")


class VSTAN(STAN):
    """Ranks tracks as STAN does; neighbours that share a late seed, and rare tracks, count more.

    STAN's scores, times exp(-back / `latest`) of the last seed that a neighbour shares, and times the track's idf.
    """

    name = "vstan"
    Params = VSTANParams
    grid = {"position": [20.0, None], "nearby": [50.0, None], "latest": [20.0, None]}

    def trust(self, back: np.ndarray) -> np.ndarray | float:
        return 1.0 if self.params.latest is None else np.asarray(np.exp(-back / self.params.latest))

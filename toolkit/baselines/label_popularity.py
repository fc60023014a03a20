"""Popular tracks that share labels with the seeds: `artist-popularity` and `genre-popularity`.

Bonnin and Jannach 2014, "Automated generation of music playlists: Survey and experiments", section 4.3 ("same artists -
greatest hits"), ranks the tracks of the seeds' artists by plays.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.baselines.sparse_products import packed, product_scorer, unpacked
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, floats
from toolkit.corpus.label_rows import label_profile, unit_labels
from toolkit.corpus.queries import Queries
from toolkit.ranker import Capabilities, Scorer, TrainingData


class LabelPopularityParams(BaselineParams):
    power: float = Field(
        0.5, ge=0, le=2, description="exponent of a track's training playlists + 1; 0 ignores popularity"
    )
    idf: bool = Field(False, description="increase the weight of rare labels")


class LabelPopularity(Baseline):
    """Ranks tracks that share labels with the seeds, the most played first.

    Score of a track: cosine between its labels and the seeds' summed labels, times (training playlists + 1) ** power.

    Seeds without a label do not count. A track that shares no label with a seed cannot be ranked (-inf). Unplayed
    tracks can be ranked.
    """

    Params = LabelPopularityParams
    label: ClassVar[str]
    grid = {"power": [0.0, 0.25, 0.5, 1.0], "idf": [False, True]}

    def learn(self, data: TrainingData) -> State:
        plays = np.asarray(data.train.matrix().sum(axis=0, dtype=np.float64)).ravel()
        labels = unit_labels(data.labels, self.label, self.name, idf=self.params.idf)
        return packed(labels, "labels") | {"boost": ((plays + 1.0) ** self.params.power).astype(np.float32)}

    def layout(self, names: Collection[str]) -> Layout:
        return {"labels": Sparse(TRACKS, "labels"), "boost": floats(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        labels = unpacked(self.state, "labels")
        return product_scorer(label_profile(queries.matrix(self.n_items), labels), labels, self.state["boost"])


class ArtistPopularity(LabelPopularity):
    """Ranks tracks of the seeds' artists, the most played first."""

    name = "artist-popularity"
    label = "artist"
    capabilities = Capabilities(labels=("artist",), labels_required=True, cold_tracks=True)


class GenrePopularity(LabelPopularity):
    """Ranks tracks of the seeds' genres, the most played first."""

    name = "genre-popularity"
    label = "genre"
    capabilities = Capabilities(labels=("genre",), labels_required=True, cold_tracks=True)

"""Genre popularity: tracks of the seeds' genres, the most played first."""

from __future__ import annotations

from toolkit.baselines.label_popularity import LabelPopularity
from toolkit.ranker import Capabilities


class GenrePopularity(LabelPopularity):
    """Ranks tracks of the seeds' genres, the most played first."""

    name = "genre-popularity"
    label = "genre"
    capabilities = Capabilities(labels=("genre",), labels_required=True, cold_tracks=True)
    grid = {"power": [0.0, 0.25, 0.5, 1.0], "idf": [False, True]}

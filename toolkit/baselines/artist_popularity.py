"""Artist popularity: the tracks of the seeds' artists, the most played first."""

from __future__ import annotations

from toolkit.baselines.label_popularity import LabelPopularity
from toolkit.ranker import Capabilities


class ArtistPopularity(LabelPopularity):
    """Ranks tracks of the seeds' artists, the most played first."""

    name = "artist-popularity"
    label = "artist"
    capabilities = Capabilities(labels=("artist",), labels_required=True, cold_tracks=True)
    grid = {"power": [0.0, 0.25, 0.5, 1.0], "idf": [False, True]}

"""Artist popularity: the tracks of the seeds' artists, the most played first."""

from __future__ import annotations

from toolkit.baselines.label_popularity import LabelPopularity


class ArtistPopularity(LabelPopularity):
    """`LabelPopularity` of artists."""

    name = "artist-popularity"
    label = "artist"
    labels = ("artist",)
    grid = {"power": [0.0, 0.25, 0.5, 1.0], "idf": [False, True]}

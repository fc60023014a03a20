"""Genre popularity: tracks of the seeds' genres, the most played first."""

from __future__ import annotations

from toolkit.baselines.label_popularity import LabelPopularity


class GenrePopularity(LabelPopularity):
    """`LabelPopularity` of genres."""

    name = "genre-popularity"
    label = "genre"
    labels = ("genre",)
    grid = {"power": [0.0, 0.25, 0.5, 1.0], "idf": [False, True]}

"""`global_time`: the calendar cuts training from validation and validation from the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from toolkit.evaluation.protocols.split_options import Cut, Shown, WholeLists

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split


class GlobalTime(Shown, WholeLists):
    """Splits by time: models learn from earlier placements and are tested on later ones.

    Playlists that continue after the cut are tested on what follows it.
    """

    type: str = "global_time"
    valid_from: Cut = Field(0.8, description="when training ends: a date, or the share of all placements before it")
    test_from: Cut = Field(0.9, description="when validation ends and the test begins")
    new_playlists: Literal["shown", "drop"] = Field(
        "shown", description="those that start after the cut: tested by `shown` or `seeds`, or left out"
    )

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        from toolkit.corpus import time_split
        from toolkit.evaluation import leaks

        parts = time_split.global_time(
            corpus,
            valid_from=self.valid_from,
            test_from=self.test_from,
            shown=self.shown,
            seeds=self.seeds,
            min_tracks=self.min_tracks,
            new_playlists=self.new_playlists,
        )
        parts = self.without_copies(parts)
        leaks.check_in_time(parts)
        return self.ordered(parts)

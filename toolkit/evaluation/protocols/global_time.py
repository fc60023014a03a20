"""Protocol `global_time`, which separates training, validation and test by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from toolkit.evaluation.protocols.split_options import Cut, Shown, WholeLists

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split


class GlobalTime(Shown, WholeLists):
    """Splits by time: models learn from earlier playlist entries and are tested on later entries.

    Playlists that continue after the cut are tested on the entries after the cut.
    """

    type: str = "global_time"
    valid_from: Cut = Field(0.8, description="end of training: a date, or a share of all playlist entries")
    test_from: Cut = Field(0.9, description="end of validation and start of the test")
    new_playlists: Literal["shown", "drop"] = Field(
        "shown", description="test playlists that start after the cut (with `shown` or `seeds`), or drop them"
    )

    def larger_validation(self) -> list[dict[str, object]]:
        earlier = [self.valid_from * part for part in (0.9, 0.75, 0.5)] if isinstance(self.valid_from, float) else []
        changes: list[dict[str, object]] = [{"valid_from": round(share, 3)} for share in earlier]
        return [*super().larger_validation(), *changes]

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
